"""When a failed task run is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

__all__ = ["Delay", "RetryDelay", "delay_seconds", "exponential_backoff"]

Delay: TypeAlias = float | timedelta
RetryDelay: TypeAlias = Delay | Sequence[Delay] | Callable[[int], Delay]


def delay_seconds(delay: RetryDelay | None, retry: int) -> float:
    """Return how many seconds to wait before the ``retry``-th retry, counted from 1; never negative.

    Of a list, the last entry serves every further retry.
    """
    if delay is None:
        return 0.0
    if callable(delay):
        delay = delay(retry)
    elif isinstance(delay, Sequence):
        delay = delay[min(retry, len(delay)) - 1]
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    return max(0.0, seconds)


def exponential_backoff(
    base: Delay = 1.0, factor: float = 2.0, maximum: Delay = 3600.0, jitter: float = 0.1
) -> Callable[[int], float]:
    """Return a retry delay of ``base * factor ** (retry - 1)`` seconds, at most ``maximum``.

    ``jitter`` is the largest share, 0 to 1, that chance adds or takes away, so that tasks which failed together do not
    come back together.
    """
    return _Backoff(delay_seconds(base, 1), factor, delay_seconds(maximum, 1), jitter)


# A dataclass, so that `Flow.serialize` can write it.
@dataclass(frozen=True, slots=True)
class _Backoff:
    base: float
    factor: float
    maximum: float
    jitter: float

    def __call__(self, retry: int) -> float:
        import random  # noqa: PLC0415 - most processes never back off

        # Compared as a power first: the product of a thousandth retry would overflow.
        steps = min(retry - 1, 1000)
        try:
            seconds = min(self.maximum, self.base * self.factor**steps)
        except OverflowError:
            seconds = self.maximum
        return seconds * (1 + random.uniform(-self.jitter, self.jitter))  # noqa: S311 - no secret depends on it
