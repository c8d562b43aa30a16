"""Descriptors of files: of memory that has no name, and on their way through Unix sockets."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import weakref
from array import array
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["mapped", "nameless_file", "receive", "send"]

_ROOM: Final = socket.CMSG_SPACE(16 * array("i").itemsize)
# Programs that a task starts do not get the descriptors that were received.
_CLOSED_ON_EXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def nameless_file() -> int:
    """Return a descriptor of a new file that has no name, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("headrace")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def mapped(file: int, size: int, flags: int) -> memoryview:
    """Map a file for reading and writing; the mapping ends with the last view of it. Closes ``file``.

    `mmap.mmap` would keep a descriptor open as long as the mapping lasts: a process can have many more values than
    descriptors. ``flags`` are ``mmap.MAP_SHARED`` or ``mmap.MAP_PRIVATE``.
    """
    try:
        address = _library().mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)
    finally:
        os.close(file)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, _library().munmap, address, size).atexit = False
    return memoryview(memory).cast("B")


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def send(connection: socket.socket, data: Any, files: Sequence[int], flags: int = 0) -> int:
    """Send ``data`` and descriptors; return how much of ``data`` was sent, as ``socket.send`` does."""
    # Not socket.send_fds, which does not heed flags.
    return connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", files))], flags)


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int], bool]:
    """Return up to ``size`` bytes, the descriptors that came with them, and whether some were lost.

    The latter is so where this process can have no more of them.
    """
    data, ancillary, flags, _ = connection.recvmsg(size, _ROOM, _CLOSED_ON_EXEC)
    files = array("i")
    for _, _, found in ancillary:
        files.frombytes(found[: len(found) - len(found) % files.itemsize])
    return data, list(files), bool(flags & socket.MSG_CTRUNC)
