"""A queue for those who write, so that each comes in its turn and as soon as it can."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from headrace.history.forks import watch_forks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WriteQueue"]


class WriteQueue:
    """Holds back all but one of the processes that write to a file; a context manager, for one thread at a time.

    SQLite alone makes them look again and again, ever less often, so that one that came late may be served first and
    another one not for seconds. The operating system wakes them in the order in which they came, and forgets those who
    die. ``folder`` is what they lock for that. Without it, or where that cannot be done, there is no queue, and SQLite
    alone sees to it that they do not write at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._is_watched = False

    def __enter__(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError:
            # The folder is made when the first run begins, and some file systems lock no folders.
            self.close()
            return
        if not self._is_watched:
            self._is_watched = True
            watch_forks(self)

    def __exit__(self, *exc: object) -> None:
        if sys.platform == "win32" or self._descriptor < 0:
            return
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the folder; the next use opens it again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def before_fork(self) -> None:
        """See `headrace.history.forks.Forkable`."""

    def after_fork(self, *, forked: bool) -> None:
        """Let go of the folder in a forked process, which would keep the lock if the one it was forked from died."""
        if forked:
            self.close()
