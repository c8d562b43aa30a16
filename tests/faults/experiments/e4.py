"""E4: a large value goes through a chain of tasks, each of which makes a new one of it."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial

from headrace import Flow, task

_TASKS = 5
_SMALL, _LARGE = 200 << 20, 1 << 30
# How many times the value may be in memory at most: what a task was given, what it returns, and a little.
_MOST = 2.2


def step(value: bytearray, number: int) -> bytearray:
    made = bytearray(value)
    made[0] = number
    return made


def first(size: int) -> bytearray:
    return bytearray(size)


def measure(value: bytearray) -> int:
    return len(value) + value[0]


class LargeValue(Experiment):
    name = "E4"
    title = "200 MB, or with every tenth seed 1 GB, goes through five tasks"
    executors: ClassVar[Sequence[str]] = ("local", "threads")
    seconds: ClassVar[float] = 120.0

    def inside(self, trial: Trial) -> None:
        size = _SMALL if trial.seed % 10 else _LARGE
        with Flow("large value") as flow:
            value = task(first)(size)
            for number in range(1, _TASKS):
                value = task(step)(value, number)
            last = task(measure)(value)
        before = _peak()
        state = flow.run(executor=trial.make_executor(workers=2))
        times = (_peak() - before) / size
        trial.findings.count("peak in percent of the value", round(100 * times))
        trial.findings.expect(times <= _MOST, f"the value was {times:.2f} times in memory")
        trial.findings.expect(state.result[last].result == size + _TASKS - 1, f"{state.result[last]} is wrong")
        # What nobody reads any more is gone, and another run needs no more than the first one.
        flow.run(executor=trial.make_executor(workers=2))
        again = (_peak() - before) / size
        trial.findings.expect(again <= _MOST, f"in a second run the value was {again:.2f} times in memory")


def _peak() -> int:
    """Return the most memory that this process had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
