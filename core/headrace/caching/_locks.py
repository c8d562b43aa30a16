"""One lock per cache key, between threads and between processes of one machine."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING

from headrace.exceptions import ResultError
from headrace.file_locks import try_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeyLock"]


class KeyLock:
    """A file that is locked while somebody computes; the operating system unlocks it when its process dies.

    The file is removed by whoever unlocks it, so none is left behind.
    """

    __slots__ = ("_file", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock; return False at once if somebody else has it. Raise ResultError if there can be no lock."""
        while True:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                file = self._path.open("ab")
            except OSError as error:
                raise ResultError(
                    f"The lock {self._path} of the cache cannot be made: {error.strerror or error}.",
                    hint="Check the free space and the permissions of the folder.",
                ) from error
            # Where files cannot be locked, a result may be computed more than once.
            if try_lock(file.fileno()) is False:
                file.close()
                return False
            if self._is_ours(file):
                self._file = file
                return True
            # Whoever had it removed the file between our opening and locking it.
            file.close()

    def _is_ours(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock back; do nothing if it is not held."""
        file, self._file = self._file, None
        if file is None:
            return
        # On Windows an open file cannot be removed, and another process may have opened it.
        with contextlib.suppress(OSError):
            self._path.unlink()
        file.close()
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self._path.unlink()
