"""Where the engine gets its time from, and how it waits."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from queue import SimpleQueue

__all__ = ["Clock", "SystemClock"]

T = TypeVar("T")


class Clock(ABC):
    """The time of one run. Used by the driver's thread only."""

    @abstractmethod
    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    @abstractmethod
    def wait(self, inbox: SimpleQueue[T], timeout: float) -> T | None:
        """Return the next item of ``inbox``, or None when ``timeout`` seconds have passed without one."""


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> float:
        """Return the wall-clock time."""
        return time.time()

    def wait(self, inbox: SimpleQueue[T], timeout: float) -> T | None:
        """Block on ``inbox``."""
        from queue import Empty  # noqa: PLC0415 - only a run that waits needs it

        try:
            return inbox.get(timeout=max(0.0, timeout))
        except Empty:
            return None
