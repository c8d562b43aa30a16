"""Where the engine gets its time from, and how it waits."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from queue import SimpleQueue

__all__ = ["Clock", "SystemClock"]

T = TypeVar("T")

_SLICE = 0.5


class Clock(ABC):
    """The time of one run. Used by the driver's thread only."""

    @abstractmethod
    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    @abstractmethod
    def wait(self, inbox: SimpleQueue[T], timeout: float | None) -> T | None:
        """Return the next item of ``inbox``, or None when ``timeout`` seconds have passed without one.

        None waits for as long as it takes.
        """


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> float:
        """Return the wall-clock time."""
        return time.time()

    def wait(self, inbox: SimpleQueue[T], timeout: float | None) -> T | None:
        """Block on ``inbox``."""
        from queue import Empty  # noqa: PLC0415 - only a run that waits needs it

        end = None if timeout is None else time.monotonic() + timeout
        while True:
            # In slices: Python sees a signal that comes just before it begins to block only after it has blocked.
            slice_ = _SLICE if end is None else min(_SLICE, max(0.0, end - time.monotonic()))
            try:
                return inbox.get(timeout=slice_)
            except Empty:
                if end is not None and time.monotonic() >= end:
                    return None
