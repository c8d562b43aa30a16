"""How long tasks take, which decides what may wait for what."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_QUEUE", "Pace"]

# How many jobs a worker may be sent, if all of them take less than so many seconds.
LONGEST_QUEUE: Final = 16
_QUICK: Final = 0.001
_SLOW: Final = 1.0


class Pace:
    """Moving averages of the seconds that the runs of each task take; a task that is new here counts as slow."""

    def __init__(self) -> None:
        self._by_task: dict[str, float] = {}
        self._recent = _QUICK

    def is_quick(self, task_id: str) -> bool:
        """Tell whether others may wait for a run of the task to end."""
        return self._by_task.get(task_id, _SLOW) < _QUICK

    def note(self, task_id: str, seconds: float) -> None:
        """Take in how long a run took."""
        self._by_task[task_id] = _average(self._by_task.get(task_id, seconds), seconds)
        self._recent = _average(self._recent, seconds)

    def note_delay(self, task_id: str) -> None:
        """Take in that somebody had to wait for a run of the task, which goes on."""
        self._by_task[task_id] = _SLOW

    @property
    def depth(self) -> int:
        """How many jobs to have for each worker, running and waiting; many where they are short."""
        return 2 * LONGEST_QUEUE if self._recent < _QUICK else 2


def _average(before: float, now: float) -> float:
    """Return a moving average, of about the last five."""
    return 0.8 * before + 0.2 * now
