"""One run of a flow, from the arguments of ``flow.run()`` to the final state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from headrace.abc import Executor as ExecutorInterface
from headrace.abc import ExecutorContext
from headrace.engine.brought import brought_states, gone_on, withhold_cached
from headrace.engine.driver import Driver
from headrace.engine.pausing import ask_on_terminal
from headrace.engine.run_names import check_run_name
from headrace.engine.scheduler import Scheduler
from headrace.engine.transitions import Transitions, Watcher
from headrace.engine.values import ValueKeeper
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError, MissingParameterError, UnknownParameterError
from headrace.masking import MASK
from headrace.run_context import Build, RunFrame, building, current_frame, run_around
from headrace.states import Cancelled, Failed, Paused, Pending, Running, State, Success
from headrace.task_options import check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from headrace.abc import Executor, ResultStore, RunStore
    from headrace.engine import Engine
    from headrace.engine.plan import Plan
    from headrace.engine.recorded_runs import Recording
    from headrace.engine.storage import RunStorage
    from headrace.engine.values import KeepResults
    from headrace.flows import Flow
    from headrace.history.resuming import Resumption
    from headrace.parameters import Parameter
    from headrace.plugins import FlowRunInfo
    from headrace.results import Result
    from headrace.schedules.events import ClockEvent
    from headrace.schedules.schedule import Schedule
    from headrace.tasks import Task

__all__ = ["RunOptions", "run_flow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What ``flow.run()`` takes besides parameters.

    Attributes:
        context: values to show in `headrace.context` while the run goes on.
        run_name: what reports call this run: one line of up to 200 characters, and not `latest`; by default the flow's
            name and the beginning of the run's id.
        state: the state that an earlier run of this flow ended in: tasks start from the states they were in there. A
            finished one is returned as it is.
        task_states: states that tasks start from: a finished one is kept, and the task does not run.
        results: the store that keeps results, or its URL; overrides the flow's and the configured one.
        keep_results: which results stay in memory after their last reader: ``"auto"``, ``"all"`` or ``"none"``.
        notify: URLs of notifiers to tell about this run, besides the configured ones.
        run_on_schedule: for a flow with a schedule, whether to wait for its events and run at each, or to run once and
            now; by default as configured, ``flows.run_on_schedule``.
        on_pause: is called when nothing is left to do but wait for people, with the names of the paused tasks, and
            returns those that may go on; by default asks at the terminal, if there is one. A run with paused tasks
            ends as Paused; to go on later, give its ``state``, and ``task_states`` with a Resume for them.
        scheduled_start_time: when this run was meant to begin, as an aware datetime; by default now.
        record: whether to record the run in the history: True for the configured one, its URL, or a `RunStore`; by
            default as configured, ``history.record``.
        timeout: seconds, whole or not, or a timedelta, after which the run is ended as `cancel` would, and counts as
            TimedOut; by default the flow's own.
        origin: where the flow came from, for whoever resumes a recorded run: what `headrace run` was given.
        resumption: what a run that is resumed takes over from the one before.
    """

    context: Mapping[str, Any] = field(default_factory=dict)
    run_name: str | None = None
    state: State | None = None
    task_states: Mapping[Task, State] = field(default_factory=dict)
    results: str | ResultStore | Result | None = None
    keep_results: KeepResults | None = None
    notify: Sequence[str] = ()
    run_on_schedule: bool | None = None
    scheduled_start_time: datetime | None = None
    on_pause: Callable[[list[str]], Iterable[str]] = ask_on_terminal
    record: bool | str | RunStore | None = None
    timeout: float | timedelta | None = None
    origin: Mapping[str, object] = field(default_factory=dict)
    resumption: Resumption | None = None

    def __post_init__(self) -> None:
        for name, value in (("context", self.context), ("task_states", self.task_states)):
            if not isinstance(value, Mapping):
                raise DefinitionTypeError(f"`{name}` of a run must be a dictionary, and is {value!r}.")
        if self.state is not None and not isinstance(self.state, State):
            raise DefinitionTypeError(f"`state` of a run must be a State, and is {self.state!r}.")
        if isinstance(self.notify, str) or not isinstance(self.notify, Sequence):
            raise DefinitionTypeError(f"`notify` of a run must be a list of URLs, and is {self.notify!r}.")
        if self.resumption is None:
            # One that is resumed is called as it was, with a number.
            check_run_name(self.run_name)
        check_timeout("a run", self.timeout, FlowDefinitionError)
        if not callable(self.on_pause):
            raise DefinitionTypeError(f"`on_pause` of a run must be callable, and is {self.on_pause!r}.")

    def first_states(self) -> Mapping[Task, State]:
        """Return what tasks start from, by task."""
        earlier = None if self.state is None else self.state.result
        if not isinstance(earlier, Mapping):
            return self.task_states
        return {**earlier, **{task: gone_on(earlier.get(task), state) for task, state in self.task_states.items()}}


def run_flow(
    flow: Flow,
    parameters: dict[str, Any],
    /,
    *,
    executor: str | Executor | None = None,
    engine: Engine | None = None,
    options: RunOptions | None = None,
    **kwargs: Any,
) -> State:
    """Run ``flow``; see `Flow.run`."""
    plan = flow.plan()
    options = _split(flow.name, plan.parameters, parameters, options or RunOptions(), kwargs)
    if options.state is not None and options.state.is_finished():
        return options.state
    if engine is None:
        from headrace.engine import Engine  # noqa: PLC0415 - it imports this module's neighbours

        engine = Engine()
    if flow.schedule is not None and _waits(engine, options):
        return _run_on_schedule(flow, flow.schedule, plan, parameters, engine, options, executor)
    values = _parameter_values(flow.name, plan.parameters, parameters)
    with engine:
        return _Run(flow, plan, values, engine, options).run(executor)


def _waits(engine: Engine, options: RunOptions) -> bool:
    configured = engine.config["flows"]["run_on_schedule"]
    return bool(configured if options.run_on_schedule is None else options.run_on_schedule)


def _run_on_schedule(
    flow: Flow,
    schedule: Schedule,
    plan: Plan,
    parameters: dict[str, Any],
    engine: Engine,
    options: RunOptions,
    executor: str | Executor | None,
) -> State:
    from headrace.engine.scheduled_runs import run_on_schedule  # noqa: PLC0415 - most flows have no schedule

    def run(event: ClockEvent, given: dict[str, Any]) -> State:
        values = _parameter_values(flow.name, plan.parameters, given)
        at = replace(options, scheduled_start_time=event.start_time)
        return _Run(flow, plan, values, engine, at).run(executor)

    with engine:
        return run_on_schedule(flow, schedule, engine.clock, plan.parameters, parameters, run)


def _split(
    flow_name: str,
    known: Sequence[Parameter],
    parameters: dict[str, Any],
    options: RunOptions,
    kwargs: dict[str, Any],
) -> RunOptions:
    """Move parameters given by keyword into ``parameters``; return ``options`` with the other keywords."""
    names = {parameter.name for parameter in known}
    option_names = {f.name for f in fields(RunOptions)}
    for key in names.intersection(kwargs):
        parameters[key] = kwargs.pop(key)
    for key in kwargs.keys() - option_names:
        raise UnknownParameterError(flow_name, key, names | option_names)
    for key in parameters.keys() - names:
        raise UnknownParameterError(flow_name, key, names)
    return replace(options, **kwargs) if kwargs else options


def _parameter_values(flow_name: str, known: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each parameter, in plan order."""
    missing = [parameter.name for parameter in known if parameter.required and parameter.name not in given]
    if missing:
        raise MissingParameterError(flow_name, missing)
    return {parameter.name: parameter.resolve(given) for parameter in known}


def new_run_id() -> str:
    """Return a random UUID as text."""
    digits = os.urandom(16).hex()
    # Version 4, variant 1, as RFC 9562 lays them out; the uuid module takes longer to import than a small run.
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) % 4]}{digits[17:20]}-{digits[20:]}"
    )


def _scheduler(plan: Plan, values: dict[str, Any], resumption: Resumption | None) -> Scheduler:
    if resumption is None or resumption.staying is None:
        return Scheduler(plan, values)
    from headrace.engine.staying import StayingScheduler  # noqa: PLC0415 - few runs are resumed

    return StayingScheduler(plan, values, resumption.staying)


class _Run:
    """Puts the parts of one run together."""

    def __init__(self, flow: Flow, plan: Plan, values: dict[str, Any], engine: Engine, options: RunOptions) -> None:
        self._flow = flow
        self._plan = plan
        self._values = values
        self._secrets = {each.name: values[each.name] for each in plan.parameters if each.secret}
        self._engine = engine
        self._options = options
        self._id = new_run_id()
        self._name = options.run_name or f"{flow.name}-{self._id[:8]}"
        self._scheduler = _scheduler(plan, values, options.resumption)
        self._began = engine.clock.now()

    def run(self, executor: str | Executor | None) -> State:
        """Run to the end and return the final state."""
        chosen = self._executor(executor)
        storage = self._storage()
        with ExitStack() as stack:
            # Triggers, handlers and observers see the run in `headrace.context` too.
            frame = self._frame()
            stack.callback(current_frame.reset, current_frame.set(frame))
            # A flow whose block is open while this one runs is not built any further by what tasks call.
            stack.callback(building.reset, building.set(Build(None)))
            transitions = Transitions(self._flow, self._info, list(self._watchers(stack)))
            recording = self._recording(executor, frame.enclosing())
            if recording is None:
                return self._drive(chosen, storage, transitions, frame, None)
            frame.recorded = True
            with recording:
                return self._drive(chosen, storage, transitions, frame, recording)

    def _drive(
        self,
        executor: Executor,
        storage: RunStorage | None,
        transitions: Transitions,
        frame: RunFrame,
        recording: Recording | None,
    ) -> State:
        keeper = None if storage is None else storage.keeper()
        if keeper is None and recording is not None:
            keeper = recording.keeper
        brought = brought_states(self._flow.name, self._plan, self._options.first_states())
        # What a run is resumed from has been decided upon.
        cached = withhold_cached(self._plan, brought) if self._options.resumption is None else {}
        settings = self._engine.config["engine"]
        policy = self._options.keep_results or settings["keep_results"]
        driver = Driver(
            self._plan,
            self._scheduler,
            executor=executor,
            clock=self._engine.clock,
            frame=frame,
            transitions=transitions,
            values=ValueKeeper(policy, settings["kept_result_bytes"], settings["kept_total_bytes"], keeper),
            keeper=keeper,
            arrangements={} if storage is None else storage.arrangements(self._plan, cached),
            recorder=None if recording is None else recording.recorder,
            cancel_grace=settings["cancel_grace"],
            on_pause=self._options.on_pause,
            timeout=self._timeout(),
        )
        if recording is not None:
            recording.watch(driver.why_left)
        running = transitions.enter_flow(Pending(), Running("Running."))
        if not running.is_running():
            running.result = self._task_states()
            return running
        self._scheduler.start(brought)
        try:
            driver.run(self._executor_context(recording))
        except Exception as error:
            if recording is not None and not driver.began:
                recording.never_began(error, self._engine.clock.now())
            raise
        final = self._end(transitions, running, driver)
        if recording is not None:
            recording.ended(final)
        if storage is not None:
            storage.tidy(self._cached_states())
        if driver.interrupted:
            raise driver.interruption()
        if driver.error is not None:
            raise driver.error
        return final

    # -- parts ---------------------------------------------------------------------------------------------------

    def _executor(self, executor: str | Executor | None) -> Executor:
        configured = self._flow.executor or self._engine.config["engine"]["executor"]
        chosen = configured if executor is None else executor
        if isinstance(chosen, ExecutorInterface):
            return chosen
        if not isinstance(chosen, str):
            is_class = isinstance(chosen, type) and issubclass(chosen, ExecutorInterface)
            raise DefinitionTypeError(
                f"An executor is a name or an Executor object, and got {chosen!r}.",
                hint=f"Make one: `{chosen.__name__}()`." if is_class else None,
            )
        options = self._engine.config["engine"].get("executors", {}).get(chosen, {})
        found: Executor = self._engine.registry.create("executor", chosen, **options)
        return found

    def _timeout(self) -> float | None:
        given = check_timeout("a run", self._options.timeout, FlowDefinitionError)
        return self._flow.timeout if given is None else given

    def _executor_context(self, recording: Recording | None) -> ExecutorContext:
        stored = [record for record in self._engine.registry.loaded if record.kind in {"store", "serializer"}]
        return ExecutorContext(
            flow_name=self._flow.name,
            flow_run_id=self._id,
            task_count=len(self._plan.nodes),
            plugins={each.distribution: each.version for each in stored if each.distribution != "headrace"},
            depth_of=self._plan.depth_of,
            take_output=None if recording is None else recording.logs.print,
        )

    def _storage(self) -> RunStorage | None:
        """Return what knows where results go, or None if they stay in memory."""
        results = self._options.results
        configured = results or self._flow.results or self._engine.config["results"]["store"]
        if not configured and not self._plan.nodes_with_storage:
            return None
        from headrace.engine.storage import RunStorage  # noqa: PLC0415 - most runs store no results

        return RunStorage(self._flow, self._engine, results)

    def _recording(self, executor: str | Executor | None, around: RunFrame | None) -> Recording | None:
        """Return what takes the run down, or None if nobody wants that or it cannot be done."""
        wanted = self._options.record
        if wanted is None:
            wanted = self._engine.config["history"]["record"]
        if wanted is False:
            return None
        from headrace.engine.kept_settings import results_of, settings_of  # noqa: PLC0415 - most runs are not recorded
        from headrace.engine.recorded_runs import begin_recording  # noqa: PLC0415 - as above
        from headrace.history.records import RunRecord  # noqa: PLC0415 - as above

        resumption = self._options.resumption
        record = RunRecord(
            id=self._id,
            name=self._name,
            flow_name=self._flow.name,
            created=self._began,
            parent=around.values["flow_run_id"] if around is not None and around.recorded else None,
            resumed_from=None if resumption is None else resumption.run.id,
            results=results_of(self._options.results),
            details={
                "origin": dict(self._options.origin),
                "settings": settings_of(self._options, executor, self._engine),
                **({} if resumption is None else resumption.details()),
            },
        )
        return begin_recording(record, self._values, self._plan, self._engine, wanted, resumption)

    def _watchers(self, stack: ExitStack) -> Iterator[Watcher]:
        yield self._engine.observers
        urls = [*self._engine.config["notify"]["urls"], *self._options.notify]
        if urls:
            from headrace.engine.notifications import NotificationThread  # noqa: PLC0415 - most runs notify nobody

            notifiers = [self._engine.registry.create_from_url("notifier", url) for url in urls]
            yield stack.enter_context(NotificationThread(notifiers))

    def _info(self) -> FlowRunInfo:
        from headrace.plugins import FlowRunInfo  # noqa: PLC0415 - brings pluggy, which whoever watches has loaded

        return FlowRunInfo(
            id=self._id,
            name=self._name,
            flow_name=self._flow.name,
            parameters={**self._values, **dict.fromkeys(self._secrets, MASK)} if self._secrets else self._values,
            task_count=len(self._plan.nodes),
        )

    def _frame(self) -> RunFrame:
        values = {
            "flow_id": self._flow.name,
            "flow_name": self._flow.name,
            "flow_run_id": self._id,
            "flow_run_name": self._name,
            "parameters": self._values,
            **self._options.context,
        }
        if self._options.scheduled_start_time is not None:
            values["scheduled_start_time"] = self._options.scheduled_start_time
        parent, engine = current_frame.get(), self._engine
        around = run_around(parent)
        # A run inside a task has the secrets of the run around it, unless it was given plugins or settings of its own.
        if around is not None and around.engine is not None and engine.is_plain:
            engine = around.engine
        return RunFrame(values, parent, self._began, engine, self._secrets)

    # -- the end -------------------------------------------------------------------------------------------------

    def _task_states(self) -> dict[Task, State]:
        runs, plan = self._scheduler.runs, self._plan
        return {task: runs[plan.index[task]].snapshot() for task in plan.tasks}

    def _cached_states(self) -> Iterator[State]:
        for node in self._plan.nodes_with_storage:
            if node.task.storage is not None and node.task.storage.is_cached:
                yield from _with_children(self._scheduler.runs[node.index].state)

    def _end(self, transitions: Transitions, running: State, driver: Driver) -> State:
        """Return the final state, after all handlers."""
        runs, plan = self._scheduler.runs, self._plan
        reference = {plan.nodes[i].task: runs[i].state for i in plan.reference}
        final = self._judge(list(reference.values()), driver)
        final.started = running.timestamp
        final.result = self._task_states()
        final = transitions.end_flow(running, final, reference)
        final.result = self._task_states()
        return final

    def _judge(self, reference: list[State], driver: Driver) -> State:
        if driver.order is not None:
            # The order is as old as the request, and what ran since then belongs to the run.
            asked = driver.order.ends_in
            return type(asked)(asked.message)
        if driver.interrupted or driver.error is not None:
            return Cancelled("The run was cancelled.")
        if self._scheduler.unfinished:
            return Paused("Some tasks wait to be resumed.")
        ends = [child for state in reference for child in _with_children(state)]
        if any(state._failed for state in ends):
            return Failed("Some reference tasks failed.")
        if all(state._successful for state in ends):
            return Success("All reference tasks succeeded.")
        return Success("No reference task failed.")


def _with_children(state: State) -> Sequence[State]:
    return state.map_states if state.is_mapped() and state.map_states else (state,)  # type: ignore[attr-defined]
