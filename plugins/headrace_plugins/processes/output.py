"""What a worker, the code in C that it calls and the programs that it starts write to standard output and error.

In a run whose logs are kept, both descriptors of a worker are pipes to the process that drives the run, which writes
what comes out to where it would have gone, and hands it on. What was written outlives the worker, however that dies.
Between calls the worker writes a mark that names the next one, so that it is known whose output what follows is.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import fcntl
import io
import os
import secrets
import select
import sys
from typing import TYPE_CHECKING, Any, Final

from headrace.log import original_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.whereabouts import Place

__all__ = ["STREAMS", "Marks", "Output", "Reader", "new_token", "show"]

STREAMS: Final = ("stdout", "stderr")
_READ_SIZE: Final = 65_536
# How often a pipe is read before others get their turn: what a task has started may write for ever.
_MOST_READS: Final = 32
_LONGEST_MARK: Final = 64
_UNBUFFERED: Final = 2


def new_token() -> bytes:
    """Return what marks begin with, and nothing else does."""
    return b"\0\x1b[headrace " + secrets.token_hex(8).encode() + b" "


class Reader:
    """Reads one pipe, and splits what comes out by calls.

    ``token`` is what marks begin with, which nobody else knows.
    """

    def __init__(self, file: int, stream: str, token: bytes) -> None:
        self.file = file
        self.stream = stream
        self._token = token
        self._number = 0
        self._rest = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        os.set_blocking(file, False)

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self.file

    def read(self) -> tuple[bytes, bool]:
        """Return what has come, and whether more may come."""
        parts: list[bytes] = []
        for _ in range(_MOST_READS):
            try:
                data = os.read(self.file, _READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return b"".join(parts), False
            if not data:
                return b"".join(parts), False
            parts.append(data)
        return b"".join(parts), True

    def split(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the numbers of calls and what belongs to them; what may be the beginning of a mark is kept back."""
        data = self._rest + data
        self._rest = b""
        while (at := data.find(self._token)) >= 0:
            end = data.find(b"\n", at, at + _LONGEST_MARK)
            if end < 0:
                break
            yield self._number, data[:at]
            self._number = int(data[at + len(self._token) : end] or b"0")
            data = data[end + 1 :]
        keep = at if at >= 0 else _beginning_of(self._token, data)
        self._rest = data[keep:]
        yield self._number, data[:keep]

    def decode(self, data: bytes) -> str:
        """Return bytes as text; a character of which only a part has come is kept back."""
        return self._decoder.decode(data)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.file)


def _beginning_of(token: bytes, data: bytes) -> int:
    """Return where the beginning of ``token`` is that ``data`` ends with, or its length."""
    at = data.find(token[:1], max(0, len(data) - len(token)))
    while at >= 0:
        if token.startswith(data[at:]):
            return at
        at = data.find(token[:1], at + 1)
    return len(data)


class Output:
    """The output of one worker, as the driver reads it; used by the pool's thread alone.

    ``take`` gets the task run, the name of the stream, and the text; marks begin with ``token``.
    """

    def __init__(self, take: Callable[[Place, str, str], object], token: bytes) -> None:
        self._take = take
        self._token = token
        self._places: dict[int, Place] = {}
        self._read: list[tuple[Reader, bytes]] = []
        self.readers: list[Reader] = []

    def make_pipes(self) -> list[int]:
        """Return the ends that the worker writes to."""
        ends = []
        for stream in STREAMS:
            reading, writing = os.pipe()
            _make_small(writing)
            self.readers.append(Reader(reading, stream, self._token))
            ends.append(writing)
        return ends

    def expect(self, number: int, place: Place) -> None:
        """Note whose call is going to have that number."""
        self._places[number] = place

    def read(self) -> list[Reader]:
        """Read what has come; return the readers that get no more, still open. `hand_on` is to follow."""
        ended = []
        for reader in self.readers:
            data, is_open = reader.read()
            if data:
                self._read.append((reader, data))
            if not is_open:
                ended.append(reader)
        for reader in ended:
            self.readers.remove(reader)
        return ended

    def hand_on(self) -> None:
        """Hand on what was read, and show it."""
        found, self._read = self._read, []
        for reader, data in found:
            for number, piece in reader.split(data):
                if piece:
                    self._tell(reader, number, piece)
                    show(reader.stream, piece)

    def _tell(self, reader: Reader, number: int, piece: bytes) -> None:
        place = self._places.get(number)
        text = reader.decode(piece)
        if place is not None and text:
            self._take(place, reader.stream, text)
        # Calls come in order.
        for older in [each for each in self._places if each < number - 1]:
            del self._places[older]

    def close(self) -> None:
        """Close what is still open."""
        for reader in self.readers:
            reader.close()
        self.readers.clear()


def _make_small(pipe: int) -> None:
    """Let a pipe hold no more than it must: what is in it when the process that reads it is killed is lost."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)


def show(name: str, data: bytes) -> None:
    """Write what a worker wrote to the standard stream of that name."""
    stream = original_stream(name)
    if stream is None:
        return
    with contextlib.suppress(Exception):  # it is anybody's, and may be closed: no reason for the run to end
        if type(stream) is io.TextIOWrapper:
            stream.flush()
            stream.buffer.write(data)
        else:
            stream.write(data.decode("utf-8", "replace"))
        stream.flush()


# In the worker


class Marks:
    """The worker's end: puts pipes in the place of its standard descriptors, and marks what belongs to which call.

    Nothing that is written stays in a buffer: whatever kills the worker, what was written is there.
    """

    def __init__(self, files: list[int], token: bytes) -> None:
        self._token = token
        for file, number in zip(files, (1, 2), strict=True):
            os.dup2(file, number)
        # For marks, wherever a task may lead the standard descriptors.
        self._files = files
        for name, number in zip(STREAMS, (1, 2), strict=True):
            stream = _unbuffered(number, getattr(sys, name))
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        self._library: Any = None
        with contextlib.suppress(Exception):  # there may be no such function here
            self._library = ctypes.CDLL(None)
            standard_output = ctypes.c_void_p.in_dll(self._library, "stdout")
            self._library.setvbuf(standard_output, None, _UNBUFFERED, ctypes.c_size_t(0))

    def begin(self, number: int) -> None:
        """Say that what follows belongs to call ``number``."""
        mark = self._token + b"%d\n" % number
        for file in self._files:
            with contextlib.suppress(OSError):  # nobody reads it, or a task has closed all there is
                os.write(file, mark)

    def flush(self) -> None:
        """Write out what C has in its buffers."""
        if self._library is not None:
            self._library.fflush(None)


def _unbuffered(number: int, before: Any) -> io.TextIOWrapper:
    raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - it stays as long as the process
    encoding = getattr(before, "encoding", None) or "utf-8"
    errors = getattr(before, "errors", None) or "backslashreplace"
    return io.TextIOWrapper(raw, encoding, errors, write_through=True)
