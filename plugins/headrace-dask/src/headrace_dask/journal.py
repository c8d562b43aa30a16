"""Which pieces of work a worker has begun, in a file that survives the worker.

When a worker process dies, what it was running has crashed, and what merely waited for it can go elsewhere. Nobody but
the worker knows which is which, and what it says through its connection may be lost with it. So it writes a number into
a file before it begins a piece of work, and the nanny beside it, which outlives it, is asked to read the file.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["Journal", "begun_by"]

_ENTRY: Final = struct.Struct("<q")
# More than a worker can have begun without the scheduler knowing how that ended.
_LENGTH: Final = 16_384


class Journal:
    """Remembers the last pieces of work that were begun. Used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        self._count = count()

    @classmethod
    def open(cls, worker: Any, token: str) -> Journal:
        """Return the journal of a worker for one run; raise OSError if no file can be written."""
        # The worker's own folder goes with it; the one around it is where its nanny looks.
        return cls(_path(Path(worker.local_directory).parent, token, worker.address))

    def begin(self, ticket: int) -> None:
        """Note that a piece of work begins now."""
        with suppress(OSError):  # a full disk must not fail a task
            os.pwrite(self._file, _ENTRY.pack(ticket + 1), next(self._count) % _LENGTH * _ENTRY.size)

    def close(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            os.close(self._file)
        self._path.unlink(missing_ok=True)


def begun_by(address: str, token: str, dask_worker: Any) -> AbstractSet[int]:
    """Return what a worker that died had begun. Called in its nanny, the ``dask_worker``."""
    path = _path(Path(dask_worker.local_directory), token, address)
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # the journal is opened before the first work begins
        return frozenset()
    path.unlink(missing_ok=True)
    return {number - 1 for (number,) in _ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size]) if number}


def _path(folder: Path, token: str, address: str) -> Path:
    safe = "".join(letter if letter.isalnum() else "-" for letter in address)
    return folder / f"headrace-{token}-{safe}.journal"
