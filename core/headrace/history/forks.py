"""What is to happen to objects that belong to one process when it forks."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol

__all__ = ["Forkable", "watch_forks"]


class Forkable(Protocol):
    """Something that a forked process must not use."""

    def before_fork(self) -> None:
        """Come to rest; called in the thread that forks."""

    def after_fork(self, *, forked: bool) -> None:
        """Go on or, in the ``forked`` process, become useless; called in the same thread."""


class _Watched:
    """All that is told of forks. What Python calls at a fork stays registered until the process ends: so it is one."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._resting: list[Forkable] = []
        self._one_at_a_time = threading.Lock()
        self._registered = False

    def add(self, watched: Forkable) -> None:
        with self._one_at_a_time:
            self._all.add(watched)
            if self._registered or not hasattr(os, "register_at_fork"):
                return
            self._registered = True
        os.register_at_fork(before=self._before, after_in_parent=self._here, after_in_child=self._there)

    def _before(self) -> None:
        self._one_at_a_time.acquire()
        self._resting = list(self._all)
        for each in self._resting:
            each.before_fork()

    def _here(self) -> None:
        self._after(forked=False)

    def _there(self) -> None:
        self._after(forked=True)

    def _after(self, *, forked: bool) -> None:
        resting, self._resting = self._resting, []
        for each in resting:
            each.after_fork(forked=forked)
        self._one_at_a_time.release()


_WATCHED: Final = _Watched()


def watch_forks(watched: Forkable) -> None:
    """Tell ``watched`` of every fork, as long as it exists."""
    _WATCHED.add(watched)
