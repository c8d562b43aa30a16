"""Messages between the process that drives a run and a worker, over a Unix socket.

A message is a head, which is small, a body, and buffers: what pickle protocol 5 leaves out of band. A large body and
the buffers do not go through the socket. They are written once into memory that has no name, whose descriptor is sent
along, and read where they lie: the receiver maps the memory privately, so what it gets can be written to.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from array import array
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Channel", "Message", "nameless_file"]

# Kind, whether the body is in the file, length of the head, number of buffers, length of the body.
_HEADER: Final = Struct("<B?xxIIQ")
_LENGTH: Final = Struct("<Q")
_LARGE: Final = 65_536
_READ_SIZE: Final = 262_144
_ROOM_FOR_FILES: Final = socket.CMSG_SPACE(16 * array("i").itemsize)
_ALIGNMENT: Final = 64


class Message(NamedTuple):
    """What was received; ``body`` and ``buffers`` may be views into memory that was sent along."""

    kind: int
    head: bytes
    body: bytes | memoryview
    buffers: list[memoryview]


class Channel:
    """One end of a connection. Sending and receiving may happen in different threads, each in one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end; what was received and not asked for is dropped."""
        self._socket.close()
        while self._files:
            os.close(self._files.popleft())

    def hang_up(self) -> None:
        """Send nothing more: the other end is told that this was all, and may still answer."""
        with contextlib.suppress(OSError):  # it has closed already
            self._socket.shutdown(socket.SHUT_WR)

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, kind: int, head: bytes, body: bytes | memoryview = b"", buffers: Sequence[Any] = ()) -> None:
        """Send a message; raise OSError if nobody listens any more, or if there is no memory for a large one."""
        views = [buffer.raw() for buffer in buffers]
        outside = len(body) > _LARGE
        lengths = b"".join(_LENGTH.pack(view.nbytes) for view in views)
        start = _HEADER.pack(kind, outside, len(head), len(views), len(body)) + lengths + head
        if not outside and not views:
            self._socket.sendall(start + body)
            return
        file = _written([memoryview(body), *views] if outside else views)
        try:
            self._send_with(file, start if outside else start + body)
        finally:
            os.close(file)

    def _send_with(self, file: int, data: bytes) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))]
        sent = self._socket.sendmsg([data], ancillary)
        if sent < len(data):
            self._socket.sendall(memoryview(data)[sent:])

    # -- receiving -----------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take in what has arrived, waiting for something if nothing has; return False if nothing more will come."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_READ_SIZE, _ROOM_FOR_FILES)
        except ConnectionResetError:
            return False
        for _, _, found in ancillary:
            self._files.extend(array("i", found))
        self._received += data
        return bool(data)

    def messages(self) -> Iterator[Message]:
        """Yield the messages that have arrived in full."""
        received = self._received
        while len(received) >= _HEADER.size:
            kind, outside, head_length, count, body_length = _HEADER.unpack_from(received)
            head_start = _HEADER.size + count * _LENGTH.size
            end = head_start + head_length + (0 if outside else body_length)
            if len(received) < end:
                return
            lengths = [_LENGTH.unpack_from(received, _HEADER.size + i * _LENGTH.size)[0] for i in range(count)]
            head = bytes(received[head_start : head_start + head_length])
            body: bytes | memoryview = b"" if outside else bytes(received[head_start + head_length : end])
            del received[:end]
            views: list[memoryview] = []
            if outside:
                body, *views = _mapped(self._files.popleft(), [body_length, *lengths])
            elif lengths:
                views = _mapped(self._files.popleft(), lengths)
            yield Message(kind, head, body, views)


def _written(views: Sequence[memoryview]) -> int:
    """Return a descriptor of a new nameless file that holds ``views``, each at an aligned offset."""
    file = nameless_file()
    try:
        offset = 0
        for view in views:
            _write_all(file, view.cast("B"), offset)
            offset = _aligned(offset + view.nbytes)
        os.truncate(file, max(offset, 1))
    except BaseException:
        os.close(file)
        raise
    return file


def nameless_file() -> int:
    """Return a descriptor of a new file that has no name, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("headrace")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write_all(file: int, view: memoryview, offset: int) -> None:
    written = 0
    while written < len(view):
        written += os.pwrite(file, view[written:], offset + written)


def _mapped(file: int, lengths: Sequence[int]) -> list[memoryview]:
    """Return views of what `_written` wrote, and close ``file``: the memory is freed with the last view."""
    try:
        size = os.fstat(file).st_size
        memory = mmap.mmap(file, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(file)
    whole = memoryview(memory)
    views = []
    offset = 0
    for length in lengths:
        views.append(whole[offset : offset + length])
        offset = _aligned(offset + length)
    return views


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
