"""An executor in one thread that does whatever executors may do: reorders, delays, repeats and loses completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.abc import Executor
from headrace.exceptions import WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from headrace.engine.worker import Outcome, Work
    from headrace.testing.clocks import VirtualClock

__all__ = ["SimulatedExecutor"]


class SimulatedExecutor(Executor):
    """Runs work at moments of a virtual clock, and delivers at later ones.

    ``step`` is told of each; ``losing`` is how likely it is that a worker dies: before its task, or after it and before
    anybody has heard of it.
    """

    def __init__(self, random: Random, clock: VirtualClock, step: Callable[[str], None], losing: float = 0.0) -> None:
        self._random = random
        self._clock = clock
        self._step = step
        self._losing = losing
        self._size = random.randint(1, 6)
        self.lost = 0

    @property
    def capacity(self) -> int:
        """Return any number: it may change at every moment."""
        return self._random.randint(1, self._size)

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Run ``work`` now or later."""
        self._step("submit")
        if self._random.random() < 0.2:
            self._run(work, deliver)
        else:
            self._clock.call_later(self._random.uniform(0, 90), lambda: self._run(work, deliver))

    def _run(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        self._step("run")
        dies = self._random.random() < self._losing
        outcome = None if dies and self._random.random() < 0.5 else work()
        if dies or outcome is None:
            self.lost += 1
            outcome = work.failed(WorkerCrashedError("simulated", exit_code=9))
        final = outcome
        if self._random.random() < 0.3:
            deliver(final)
        else:
            self._clock.call_later(self._random.uniform(0, 90), lambda: self._deliver(final, deliver))

    def _deliver(self, outcome: Outcome, deliver: Callable[[Outcome], object]) -> None:
        self._step("deliver")
        deliver(outcome)
        if self._random.random() < 0.05:
            self._clock.call_later(self._random.uniform(0, 90), lambda: deliver(outcome))
