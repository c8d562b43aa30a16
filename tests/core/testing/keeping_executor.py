"""An executor that keeps results, in this process, as simple as one can be."""

from __future__ import annotations

from collections.abc import Callable, Sized
from contextlib import ExitStack
from typing import Any

from headrace.abc import Capability, Executor, ExecutorContext, ResultReference
from headrace.engine.values import approximate_size
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import ResultReleasedError


class Shelf:
    """Where the values are; closed when the run is over."""

    def __init__(self) -> None:
        self.open = True
        self.loads = 0


class KeptResult(ResultReference):
    __slots__ = ("length", "outlives_run", "shelf", "size", "value")

    def __init__(self, value: Any, shelf: Shelf, *, outlives_run: bool) -> None:
        self.value = value
        self.shelf = shelf
        self.size = approximate_size(value, 10**7)
        self.length = length_of(value)
        self.outlives_run = outlives_run

    def load(self) -> Any:
        if not self.shelf.open and not self.outlives_run:
            raise ResultReleasedError
        self.shelf.loads += 1
        return self.value

    def element(self, index: int) -> ResultReference:
        return KeptResult(self.value[index], self.shelf, outlives_run=self.outlives_run)


def settled(value: Any) -> Any:
    """Return an argument as the task gets it."""
    if isinstance(value, list) and any(isinstance(item, KeptResult) for item in value):
        return [settled(item) for item in value]
    return value.value if isinstance(value, KeptResult) else value


def length_of(value: Any) -> int | None:
    try:
        return len(value) if isinstance(value, Sized) else None
    except Exception:
        return None


class KeepingExecutor(Executor):
    capabilities = frozenset({Capability.KEEPS_RESULTS})
    capacity = 2
    kept_class: type[KeptResult] = KeptResult

    def __init__(self, *, outlives_run: bool = False) -> None:
        self.outlives_run = outlives_run
        self.shelf = Shelf()

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        self.shelf = Shelf()
        stack.callback(setattr, self.shelf, "open", False)

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        work.arguments = {name: settled(value) for name, value in work.arguments.items()}
        outcome = work()
        if outcome.state.is_successful():
            outcome.state.result = self.kept(outcome.state._result)
        deliver(outcome)

    def kept(self, value: Any) -> Any:
        return self.kept_class(value, self.shelf, outlives_run=self.outlives_run)
