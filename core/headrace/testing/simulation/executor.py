"""An executor in one thread that does whatever executors may do: reorders, delays, repeats and loses completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.abc import Capability, Executor
from headrace.exceptions import WorkerCrashedError
from headrace.remote import AwaitedResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from headrace.engine.worker import Outcome, Work
    from headrace.testing.clocks import VirtualClock

__all__ = ["SimulatedExecutor"]

_LONGEST_CHAIN: Final = 5


class SimulatedExecutor(Executor):
    """Runs work at moments of a virtual clock, and delivers at later ones.

    ``step`` is told of each; ``losing`` is how likely it is that a worker dies: before its task, or after it and before
    anybody has heard of it. A chain is done as far as it happens to come.
    """

    capabilities = frozenset({Capability.CHAINS})

    def __init__(self, random: Random, clock: VirtualClock, step: Callable[[str], None], losing: float = 0.0) -> None:
        self._random = random
        self._clock = clock
        self._step = step
        self._losing = losing
        self._size = random.randint(1, 6)
        self.lost = 0
        self.chains = 0

    @property
    def capacity(self) -> int:
        """Return any number: it may change at every moment."""
        return self._random.randint(1, self._size)

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Run ``work`` now or later."""
        self._step("submit")
        self._soon(0.2, lambda: self._run(work, deliver))

    def chain_length(self, _work: Work, /) -> int:
        """Return any number, as for `capacity`."""
        return self._random.randint(1, _LONGEST_CHAIN)

    def submit_chain(self, chain: Sequence[Work], deliver: Callable[[Outcome], object], /) -> None:
        """Run the first of ``chain`` now or later, and then one after the other; put some of the rest back."""
        self._step("submit chain")
        self.chains += 1
        taken = self._random.randint(1, len(chain))
        self._put_back(chain[taken:], deliver)
        self._soon(0.2, lambda: self._run_chain(chain[:taken], {}, deliver))

    def _run_chain(self, chain: Sequence[Work], results: dict[int, Any], deliver: Callable[[Outcome], object]) -> None:
        first, *others = chain
        first.arguments = {key: _arrived(value, results) for key, value in first.arguments.items()}
        state = self._run(first, deliver).state
        if others and state.is_successful() and not state.is_skipped() and self._random.random() < 0.9:
            results[first.key] = state.result
            self._soon(0.5, lambda: self._run_chain(others, results, deliver))
        else:
            self._put_back(others, deliver)

    def _put_back(self, works: Sequence[Work], deliver: Callable[[Outcome], object]) -> None:
        for work in self._random.sample(works, len(works)):
            self._send(work.not_begun(), deliver)

    def _run(self, work: Work, deliver: Callable[[Outcome], object]) -> Outcome:
        self._step("run")
        dies = self._random.random() < self._losing
        outcome = None if dies and self._random.random() < 0.5 else work()
        if dies or outcome is None:
            self.lost += 1
            outcome = work.failed(WorkerCrashedError("simulated", exit_code=9))
        self._send(outcome, deliver)
        return outcome

    def _send(self, outcome: Outcome, deliver: Callable[[Outcome], object]) -> None:
        if self._random.random() < 0.3:
            deliver(outcome)
        else:
            self._clock.call_later(self._random.uniform(0, 90), lambda: self._deliver(outcome, deliver))

    def _deliver(self, outcome: Outcome, deliver: Callable[[Outcome], object]) -> None:
        self._step("deliver")
        deliver(outcome)
        if self._random.random() < 0.05:
            self._clock.call_later(self._random.uniform(0, 90), lambda: deliver(outcome))

    def _soon(self, at_once: float, call: Callable[[], object]) -> None:
        if self._random.random() < at_once:
            call()
        else:
            self._clock.call_later(self._random.uniform(0, 90), call)


def _arrived(value: Any, results: Mapping[int, Any]) -> Any:
    return results[value.key] if isinstance(value, AwaitedResult) else value
