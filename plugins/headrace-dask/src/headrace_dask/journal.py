"""What a worker has begun and what came of it, in files that survive the worker.

When a worker process dies, what it was running has crashed, what merely waited for it can go elsewhere, and what it had
done in the last moment is done. Nobody but the worker knows which is which, and what it says through its connection may
be lost with it. So it writes that down first, and the nanny beside it, which outlives it, is asked to read the files.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Journal", "Last", "last_of"]

_TICKET: Final = struct.Struct("<q")
_HEAD: Final = struct.Struct("<qI")
# More than a worker can have begun, or done, without anybody having heard of it.
_BEGUN: Final = 16_384
_DONE_BYTES: Final = 1_048_576

Last = tuple[list[int], list[bytes]]
"""The tickets of what had begun, and what was to be told of that which was done."""


class Journal:
    """Remembers the last pieces of work of one worker and run. Used from any thread."""

    def __init__(self, path: Path) -> None:
        self._begun_path, self._done_path, self._older_path = _files(path)
        self._begun = _opened(self._begun_path)
        self._done = _opened(self._done_path)
        self._size = 0
        self._begun_count = 0
        self._lock = Lock()

    @classmethod
    def open(cls, worker: Any, token: str) -> Journal:
        """Return the journal of a worker for one run; raise OSError if no file can be written."""
        # The worker's own folder goes with it; the one around it is where its nanny looks.
        return cls(_path(Path(worker.local_directory).parent, token, worker.address))

    def begin(self, ticket: int) -> None:
        """Note that a piece of work begins now."""
        with self._lock, suppress(OSError):  # a full disk must not fail a task
            os.lseek(self._begun, self._begun_count % _BEGUN * _TICKET.size, os.SEEK_SET)
            os.write(self._begun, _TICKET.pack(ticket + 1))
            self._begun_count += 1

    def end(self, ticket: int, message: bytes) -> None:
        """Note what is going to be told of a piece of work."""
        with self._lock, suppress(OSError):
            if self._size > _DONE_BYTES:
                os.close(self._done)
                self._done_path.replace(self._older_path)
                self._done, self._size = _opened(self._done_path), 0
            self._size += os.write(self._done, _HEAD.pack(ticket, len(message)) + message)

    def close(self) -> None:
        """Remove the files."""
        with self._lock, suppress(OSError):
            os.close(self._begun)
            os.close(self._done)
        for path in (self._begun_path, self._done_path, self._older_path):
            path.unlink(missing_ok=True)


def last_of(address: str, token: str, tickets: Iterable[int], dask_worker: Any) -> Last:
    """Return what a worker that died had begun and done of these tickets. Called in its nanny, the ``dask_worker``."""
    begun, done, older = _files(_path(Path(dask_worker.local_directory), token, address))
    asked = set(tickets)
    # Where there is no journal, no work began: it is opened before.
    data = _taken(begun)
    numbers = [number - 1 for (number,) in _TICKET.iter_unpack(data[: len(data) // _TICKET.size * _TICKET.size])]
    told = [message for path in (older, done) for ticket, message in _messages(_taken(path)) if ticket in asked]
    return [number for number in numbers if number in asked], told


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + _HEAD.size <= len(data):
        ticket, length = _HEAD.unpack_from(data, place)
        place += _HEAD.size + length
        if place <= len(data):
            yield ticket, data[place - length : place]


def _taken(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    path.unlink(missing_ok=True)
    return data


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def _files(path: Path) -> tuple[Path, Path, Path]:
    return path.with_suffix(".begun"), path.with_suffix(".done"), path.with_suffix(".older")


def _path(folder: Path, token: str, address: str) -> Path:
    safe = "".join(letter if letter.isalnum() else "-" for letter in address)
    return folder / f"headrace-{token}-{safe}"
