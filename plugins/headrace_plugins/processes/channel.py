"""Messages between the process that drives a run and a worker, over a Unix socket.

A message is a head, which is small, a body, and buffers: what pickle protocol 5 leaves out of band. A large body and
the buffers do not go through the socket. They are written once into memory that has no name, whose descriptor is sent
along, and read where they lie: the receiver maps the memory privately, so what it gets can be written to. A buffer that
other messages have too comes in memory of its own: it is written once for all of them.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
from collections import deque
from functools import partial
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace_plugins.processes import descriptors
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.sharing import SharedBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Channel", "Message", "NonBlockingChannel"]

# Kind, whether the body is in the file, length of the head, number of buffers, length of the body.
_HEADER: Final = Struct("<B?xxIIQ")
# Length of a buffer, and whether it has a file of its own.
_BUFFER: Final = Struct("<Q?")
# What is not larger goes through the socket in one piece: all of it or, if a signal interrupts the call, nothing.
_LARGE: Final = 32_768
_READ_SIZE: Final = 262_144
_ALIGNMENT: Final = 64
_LOST: Final = -1


class Message(NamedTuple):
    """What was received; ``body`` and ``buffers`` may be views into memory that was sent along.

    If that memory could not be had, ``error`` says why, and both are empty.
    """

    kind: int
    head: bytes
    body: bytes | memoryview
    buffers: list[memoryview]
    error: OSError | None = None


class Channel:
    """One end of a connection. Sending and receiving may happen in different threads, each in one at a time.

    ``new_file`` makes the files for what is large.
    """

    def __init__(self, connection: socket.socket, new_file: Callable[[], int] = nameless_file) -> None:
        self._socket = connection
        self._new_file = new_file
        self._received = bytearray()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection, also for processes that have been forked from this one; drop what was received."""
        with contextlib.suppress(OSError):  # the other end has closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        _close(self._files)
        self._files.clear()

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, kind: int, head: bytes, body: bytes | memoryview = b"", buffers: Sequence[Any] = ()) -> None:
        """Send a message; raise OSError if nobody listens any more, or if there is no memory for a large one."""
        outside = len(body) > _LARGE
        start = _HEADER.pack(kind, outside, len(head), len(buffers), len(body))
        if not outside and not buffers:
            self._transmit(start + head + body, [])
            return
        views = [buffer.raw() for buffer in buffers]
        apart = [isinstance(buffer, SharedBuffer) and buffer.users > 1 for buffer in buffers]
        start += b"".join(map(_BUFFER.pack, [view.nbytes for view in views], apart)) + head
        together = [view for view, alone in zip(views, apart, strict=True) if not alone]
        if outside:
            together.insert(0, memoryview(body))
        shared = [buffer for buffer, alone in zip(buffers, apart, strict=True) if alone]
        self._transmit(start if outside else start + body, self._files_of(together, shared))

    def _files_of(self, together: Sequence[memoryview], shared: Sequence[SharedBuffer]) -> list[int]:
        """Return descriptors for one message: of what goes together, if anything does, and of each shared buffer."""
        write = partial(_written, self._new_file)
        files: list[int] = []
        try:
            if together:
                files.append(write(together))
            files.extend(buffer.file(write) for buffer in shared)
        except BaseException:
            _close(files)
            raise
        return files

    def _transmit(self, data: bytes, files: list[int]) -> None:
        """Send ``data``, and ``files``, which are then closed."""
        if not files:
            self._socket.sendall(data)
            return
        try:
            sent = descriptors.send(self._socket, data, files)
            if sent < len(data):
                self._socket.sendall(memoryview(data)[sent:])
        finally:
            _close(files)

    # -- receiving -----------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take in what has arrived, waiting for something if nothing has; return False if nothing more will come."""
        try:
            data, files, lost = descriptors.receive(self._socket, _READ_SIZE)
        except ConnectionResetError:
            return False
        if lost:  # of one message: no others come with the same data
            _close(files)
            files = [_LOST]
        self._files.extend(files)
        self._received += data
        return bool(data)

    def is_ready(self) -> bool:
        """Tell whether `read` would not have to wait."""
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return True

    def take(self) -> Message | None:
        """Return the next message that has arrived in full, or None. Nothing here keeps it alive after that."""
        received = self._received
        if len(received) < _HEADER.size:
            return None
        kind, outside, head_length, count, body_length = _HEADER.unpack_from(received)
        head_start = _HEADER.size + count * _BUFFER.size
        body_start = head_start + head_length
        end = body_start if outside else body_start + body_length
        if len(received) < end:
            return None
        with memoryview(received) as view:
            layout = list(_BUFFER.iter_unpack(view[_HEADER.size : head_start]))
            head = bytes(view[head_start:body_start])
            body = bytes(view[body_start:end])
        del received[:end]
        if not outside and not count:
            return Message(kind, head, body, [])
        try:
            views = self._mapped([(body_length, False), *layout] if outside else layout)
        except OSError as error:
            return Message(kind, head, b"", [], error)
        return Message(kind, head, views.pop(0) if outside else body, views)

    def _mapped(self, layout: Sequence[tuple[int, bool]]) -> list[memoryview]:
        """Return views of what the files of one message hold: lengths, and whether each is in a file of its own."""
        together = [length for length, alone in layout if not alone]
        contents = [together] if together else []
        contents += [[length] for length, alone in layout if alone]
        if self._files[0] == _LOST:
            self._files.popleft()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        files = deque(self._files.popleft() for _ in contents)
        try:
            found = [_mapped(files.popleft(), lengths) for lengths in contents]
        finally:
            _close(files)
        inside = iter(found.pop(0) if together else ())
        apart = chain.from_iterable(found)
        return [next(apart if alone else inside) for _, alone in layout]


class NonBlockingChannel(Channel):
    """A `Channel` that never waits: what is sent is kept until `flush`, which sends what there is room for.

    For an end that must not wait for the other one, which may be waiting for it.
    """

    def __init__(self, connection: socket.socket, new_file: Callable[[], int] = nameless_file) -> None:
        super().__init__(connection, new_file)
        # Files come with the first byte.
        self._unsent: deque[tuple[bytearray, list[int]]] = deque()

    @property
    def has_unsent(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._unsent)

    def _transmit(self, data: bytes, files: list[int]) -> None:
        if not files and self._unsent:
            self._unsent[-1][0].extend(data)
        else:
            self._unsent.append((bytearray(data), files))

    def flush(self) -> None:
        """Send what there is room for; raise OSError if nobody listens any more, or it cannot be sent."""
        while self._unsent:
            data, files = self._unsent[0]
            try:
                if files:
                    sent = descriptors.send(self._socket, data, files, socket.MSG_DONTWAIT)
                else:
                    sent = self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            _close(files)
            if sent < len(data):
                self._unsent[0] = data[sent:], []
            else:
                self._unsent.popleft()

    def hang_up(self) -> None:
        """Send nothing more: the other end is told that this was all, and may still answer."""
        with contextlib.suppress(OSError):  # it has closed already
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        super().close()
        while self._unsent:
            _close(self._unsent.popleft()[1])


def _close(files: Iterable[int]) -> None:
    for file in files:
        if file != _LOST:
            os.close(file)


def _written(new_file: Callable[[], int], views: Sequence[memoryview]) -> int:
    """Return a descriptor of a new file that holds ``views``, each at an aligned offset."""
    file = new_file()
    try:
        offset = 0
        for view in views:
            _write_all(file, view.cast("B"), offset)
            offset += _aligned(view.nbytes)
        os.truncate(file, _end([view.nbytes for view in views]))
    except BaseException:
        os.close(file)
        raise
    return file


def _write_all(file: int, view: memoryview, offset: int) -> None:
    written = 0
    while written < len(view):
        written += os.pwrite(file, view[written:], offset + written)


def _mapped(file: int, lengths: Sequence[int]) -> list[memoryview]:
    """Return views of what `_written` wrote, and close ``file``: the memory is freed with the last view."""
    whole = descriptors.mapped(file, _end(lengths), mmap.MAP_PRIVATE)
    views = []
    offset = 0
    for length in lengths:
        views.append(whole[offset : offset + length])
        offset += _aligned(length)
    return views


def _end(lengths: Sequence[int]) -> int:
    """Return how long a file is that holds so much."""
    return max(1, sum(map(_aligned, lengths)))


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
