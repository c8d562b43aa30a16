"""An executor and a driver in one, for the pure scheduler: work ends in whatever order a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from headrace import Flow
from headrace.engine.retrying import retry_state
from headrace.engine.scheduler import Scheduler
from headrace.engine.task_runs import TaskRun
from headrace.engine.worker import Work
from headrace.references import ReleasedValue
from headrace.run_context import ValuesFrame
from headrace.states import Cancelled, Looped, Retrying, State
from headrace.tasks import Task


def released_too_early() -> NoReturn:
    raise AssertionError("a value was released before its last reader had it")


@dataclass
class Simulation:
    """Runs a flow with up to ``capacity`` tasks in flight, in one thread and without a clock.

    ``choose(n)`` says which of ``n`` pieces of work in flight ends next. Released values can no longer be read, so a
    value released too early makes the run end differently. After ``cancel_after`` decisions the run is cancelled.
    """

    flow: Flow
    choose: Callable[[int], int] = lambda _count: 0
    capacity: int = 1
    cancel_after: int | None = None
    decisions: int = 0
    began: list[str] = field(default_factory=list)
    began_after_cancel: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan = self.flow.plan()
        self.scheduler = Scheduler(self.plan)
        self._flying: list[tuple[TaskRun, Work]] = []
        self._released: list[tuple[State, object]] = []

    def run(self, states: Mapping[int, State] | None = None) -> Simulation:
        """Run to the end; ``states`` are brought along by the nodes with these indexes."""
        scheduler = self.scheduler
        scheduler.start(states)
        while True:
            while len(self._flying) < self.capacity and (decision := scheduler.next()) is not None:
                self._carry_out(*decision)
            if self._flying:
                run, work = self._flying.pop(self.choose(len(self._flying)))
                self._conclude(run, work().state)
            elif scheduler.next_wake is not None:
                scheduler.wake(scheduler.next_wake)
            else:
                return self._restored()

    def states(self, *tasks: Task) -> list[State]:
        """Return how the given tasks ended."""
        return [self.scheduler.runs[self.plan.index[task]].state for task in tasks]

    def _carry_out(self, run: TaskRun, state: State | None) -> None:
        if state is not None:
            self._settle(run, state)
        else:
            self._begin(run)
        self.decisions += 1
        if self.decisions == self.cancel_after:
            self.scheduler.cancel(Cancelled("Cancelled."))

    def _begin(self, run: TaskRun) -> None:
        if self.cancel_after is not None and self.decisions >= self.cancel_after:
            self.began_after_cancel.append(run.node.task)
        arguments = self.scheduler.arguments(run)
        node, frame = run.node, ValuesFrame({"flow_run_id": "simulated"})
        work = Work(0, node.task, node.slug, arguments, run.map_index, run.attempt, run.loop, run.resumed, frame, None)
        self.began.append(work.name)
        self._flying.append((run, work))

    def _conclude(self, run: TaskRun, state: State) -> None:
        if isinstance(state, Looped):
            state.loop_count = 1 if run.loop is None else run.loop.loop_count + 1
            run.loop = state
        elif state.is_failed():
            state = retry_state(run, state, 0.0) or state
        if isinstance(state, Retrying):
            run.attempt += 1
        self._settle(run, state)

    def _settle(self, run: TaskRun, state: State) -> None:
        self.scheduler.settle(run, state)
        for consumed in self.scheduler.consumed:
            if not isinstance(consumed._result, ReleasedValue):
                self._released.append((consumed, consumed._result))
                consumed._result = ReleasedValue(released_too_early)
        self.scheduler.consumed.clear()

    def _restored(self) -> Simulation:
        """Give the values back: what tests look at afterwards is what the tasks returned."""
        for state, value in self._released:
            state._result = value
        return self
