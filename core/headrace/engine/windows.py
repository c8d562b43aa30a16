"""A bound on how many children of one map are on their way at once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.engine.task_runs import TaskRun

__all__ = ["Window"]


class Window:
    """Admits at most ``limit`` children; who comes too early is held back and returned when there is room."""

    __slots__ = ("_held", "_in_flight", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0
        self._held: deque[TaskRun] = deque()

    def admit(self, run: TaskRun) -> bool:
        """Tell whether ``run`` may go on; if not, hold it back."""
        if self._in_flight < self._limit:
            self._in_flight += 1
            return True
        self._held.append(run)
        return False

    def hold_if_full(self, parent: TaskRun) -> bool:
        """Hold back ``parent``, which makes the children, while there is no room for another; tell whether."""
        if self._in_flight < self._limit:
            return False
        self._held.append(parent)
        return True

    def leave(self) -> list[TaskRun]:
        """Take note that a child is no longer on its way; return who may go on in its place."""
        self._in_flight -= 1
        return [self._held.popleft()] if self._held else []

    def release(self) -> list[TaskRun]:
        """Return all that were held back."""
        held = list(self._held)
        self._held.clear()
        return held
