"""Running a flow in a test, and asking what happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace import config
from headrace.abc import Executor
from headrace.engine import Engine
from headrace.engine.timeouts import timeout_error
from headrace.engine.worker import Work, state_of
from headrace.plugins import hookimpl
from headrace.states import Running, State
from headrace.testing.clocks import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.engine.worker import Outcome
    from headrace.flows import Flow
    from headrace.plugins import FlowRunInfo, TaskRunInfo
    from headrace.tasks import Task

__all__ = ["FlowRunRecord", "Takes", "run", "takes"]


@dataclass(frozen=True, slots=True)
class Takes:
    """An override that lets a task take ``seconds`` of virtual time; see `takes`."""

    seconds: float
    outcome: Any


def takes(seconds: float, outcome: Any = None) -> Takes:
    """Make an override: the task takes ``seconds`` of virtual time, then returns ``outcome`` or raises it.

    A task whose timeout is shorter ends as TimedOut when that has passed.
    """
    return Takes(seconds, outcome)


def run(
    flow: Flow,
    *,
    parameters: Mapping[str, Any] | None = None,
    clock: VirtualClock | None = None,
    overrides: Mapping[Task, Any] | None = None,
    plugins: tuple[object, ...] = (),
    **options: Any,
) -> FlowRunRecord:
    """Run ``flow`` in this thread and in virtual time; return what happened.

    Args:
        flow: the flow, which is not changed.
        parameters: as for ``flow.run()``, which the other ``options`` go to as well.
        clock: the time; by default a new `VirtualClock`.
        overrides: instead of executing a task, return this value, raise this exception, or do what `takes` says.
            For a mapped task this goes for each child.
        plugins: plugin objects for the engine.
    """
    clock = clock or VirtualClock()
    record = FlowRunRecord(flow, clock)
    # A test finds nothing in the project's cache and leaves nothing there.
    with config.set_temporary_config({"cache.url": "memory:"}):
        engine = Engine(plugins=[*plugins, record], clock=clock, strict=True)
        executor = _VirtualExecutor(clock, overrides or {})
        record.state = flow.run(parameters, engine=engine, executor=executor, **options)
    return record


class FlowRunRecord:
    """What happened in one run: ``state`` is the final state, ``order`` the names of what was executed, in order."""

    state: State

    def __init__(self, flow: Flow, clock: VirtualClock) -> None:
        self._flow = flow
        self._clock = clock
        self._began = clock.now()
        self._executed: Counter[str] = Counter()
        self.order: list[str] = []

    @property
    def elapsed(self) -> float:
        """How many seconds of virtual time have passed since the run began."""
        return self._clock.now() - self._began

    def __getitem__(self, task: Task) -> State:
        state: State = self.state.result[task]
        return state

    def result(self, task: Task) -> Any:
        """Return the result of ``task``."""
        return self[task].result

    def times(self, task: Task) -> int:
        """Return how many times ``task`` was executed, counting attempts and mapped children."""
        return self._executed[self._flow.slugs[task]]

    def assert_ran(self, task: Task, *, times: int | None = None) -> None:
        """Raise AssertionError unless ``task`` was executed, and ``times`` times if that is given."""
        count = self.times(task)
        if count == 0 or (times is not None and count != times):
            expected = "at least once" if times is None else f"{times} times"
            raise AssertionError(f"{task.name!r} ran {count} times, expected {expected}: {self._reason(task)}")

    def assert_not_ran(self, task: Task, state: type[State] | None = None) -> None:
        """Raise AssertionError if ``task`` was executed, or did not end in the class ``state`` if that is given."""
        count = self.times(task)
        if count:
            raise AssertionError(f"{task.name!r} ran {count} times, expected none: {self._reason(task)}")
        if state is not None and not isinstance(self[task], state):
            raise AssertionError(f"{task.name!r} did not end as {state.__name__}: {self._reason(task)}")

    def _reason(self, task: Task) -> str:
        state = self[task]
        return f"it ended as {type(state).__name__} ({state.message})"

    @hookimpl
    def headrace_task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
        """Take note of what is executed; a mapped parent is not."""
        del run, old
        if isinstance(new, Running) and task_run.child_count is None:
            self._executed[task_run.task_slug] += 1
            self.order.append(task_run.name)


class _VirtualExecutor(Executor):
    """Executes tasks at once in the driver's thread, or does what an override says."""

    def __init__(self, clock: VirtualClock, overrides: Mapping[Task, Any]) -> None:
        self._clock = clock
        self._overrides = overrides

    @property
    def capacity(self) -> int:
        """Return a number high enough for every task that takes time to take it at once."""
        return 1_000_000

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Deliver now, or when the virtual time has come."""
        override = self._overrides.get(work.task, work)
        if override is work:
            deliver(work())
        elif isinstance(override, Takes):
            self._deliver_later(work, override, deliver)
        else:
            deliver(_instead(work, override))

    def _deliver_later(self, work: Work, override: Takes, deliver: Callable[[Outcome], object]) -> None:
        timeout = work.task.timeout
        if timeout is not None and override.seconds > timeout:
            outcome = _instead(work, override.outcome)
            outcome.state = state_of(timeout_error(work.name, timeout))
            self._clock.call_later(timeout, lambda: deliver(outcome))
        else:
            self._clock.call_later(override.seconds, lambda: deliver(_instead(work, override.outcome)))


def _instead(work: Work, outcome: Any) -> Outcome:
    """Do what ``work`` would, with a task that returns or raises ``outcome``."""

    def stub(**_: Any) -> Any:
        if isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException)):
            raise outcome
        return outcome

    work.task = work.task.copy(run=stub, timeout=None)
    # As plain work: what a test says instead of a result has no business in a cache.
    return Work.__call__(work)
