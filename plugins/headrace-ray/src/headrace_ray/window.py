"""How much work is worth being with Ray at once."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

__all__ = ["Window"]

# Pieces of work for each CPU, so that each worker finds its next task waiting.
_PER_CPU: Final = 4
_FEWEST: Final = 8
# Seconds that what is with Ray should last for, where tasks are short; more would only wait there, out of order.
_MOMENT: Final = 0.1


class Window:
    """The size of the window: what Ray works off in a moment, at least a few tasks for each CPU.

    Ray works off its queue in the order in which it grew, so that a short queue is what keeps a run depth first. A task
    that asks for less than one CPU takes no more room than that. ``asked`` is what the user says instead.
    """

    def __init__(self, asked: int | None) -> None:
        self.cpus = 1
        self._asked = asked
        self._rate = 0.0
        self._landed = 0
        self._since = time.monotonic()
        self._room = 0.0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """How many pieces of work may be with Ray."""
        if self._asked is not None:
            return self._asked
        return int(max(_FEWEST, _PER_CPU * self.cpus, self._rate * _MOMENT) + self._room)

    def leave(self, cpus: float) -> None:
        """Note that work which needs so many CPUs is with Ray."""
        with self._lock:
            self._room += max(0.0, 1.0 - cpus)

    def land(self, cpus: float) -> None:
        """Note that it is not any more."""
        with self._lock:
            self._room -= max(0.0, 1.0 - cpus)
            self._landed += 1
            now = time.monotonic()
            passed = now - self._since
            if passed > _MOMENT:
                self._rate = self._landed / passed
                self._landed, self._since = 0, now
