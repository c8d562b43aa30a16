"""A clock that only moves when the run has nothing left to do but wait."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, TypeVar

from headrace.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

__all__ = ["VirtualClock"]

T = TypeVar("T")
_START: Final = 1_767_225_600.0  # 2026-01-01 00:00 UTC


class VirtualClock(Clock):
    """Time that passes in jumps; it starts at ``start`` seconds since the epoch, by default on 1 January 2026, UTC.

    For runs whose tasks are executed in the driver's thread.
    """

    def __init__(self, start: float = _START) -> None:
        self._now = start
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = 0

    def now(self) -> float:
        """Return the virtual time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, making the calls that fall due on the way."""
        end = self._now + seconds
        while self._calls and self._calls[0][0] <= end:
            self._now, _, call = heappop(self._calls)
            call()
        self._now = end

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Arrange for ``call()`` when ``seconds`` have passed."""
        self._sequence += 1
        heappush(self._calls, (self._now + seconds, self._sequence, call))

    def wait(self, inbox: SimpleQueue[T], timeout: float | None) -> T | None:
        """Jump to the next call that fills ``inbox``, or to the end of ``timeout``."""
        while inbox.empty():
            next_call = self._calls[0][0] if self._calls else None
            if next_call is None and timeout is None:
                raise AssertionError("The run waits for something that will never happen in virtual time.")
            if next_call is None or (timeout is not None and next_call > self._now + timeout):
                self.advance(max(0.0, timeout or 0.0))
                return None
            step = next_call - self._now
            self.advance(step)
            timeout = None if timeout is None else timeout - step
        return inbox.get()
