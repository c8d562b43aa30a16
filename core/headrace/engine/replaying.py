"""One task of a recorded run, called again in this process with what it was called with then."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace import states
from headrace.engine.kept_settings import KeptSettings
from headrace.engine.recorded_parameters import recorded_parameters
from headrace.engine.recorded_runs import open_results, task_records
from headrace.engine.recorded_values import Shelves
from headrace.engine.task_runs import MappedRun, TaskRun
from headrace.engine.worker import Work, state_of
from headrace.exceptions import HistoryError, nearest
from headrace.history.choices import Found
from headrace.history.choosing import choose_task, name_of
from headrace.history.records import UNMAPPED, TaskRunQuery
from headrace.history.sealing import Sealer, project_key
from headrace.history.taken_values import TakenValues
from headrace.masking import masker
from headrace.project import project_folder
from headrace.results import ResultFiles
from headrace.run_context import RunFrame, current_frame
from headrace.serializers import PickleSerializer
from headrace.states import Looped, Mapped, Pending, State, Success

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pdb import Pdb
    from types import TracebackType

    from headrace.abc import RunStore
    from headrace.engine import Engine
    from headrace.engine.plan import Node, Plan
    from headrace.flows import Flow
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord

__all__ = ["Replay", "prepare_replay"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """A task run that can be called again: ``name`` is what people call it, ``recorded`` what became of it then.

    ``changed`` tells whether the code of the task is not what it was. Nothing is recorded, kept or cached, no state
    handler is called, and nothing is tried a second time.
    """

    name: str
    arguments: Mapping[str, Any]
    recorded: TaskRunRecord | None
    changed: bool
    _work: Work

    def call(self) -> State:
        """Run the task and return the state it ends in, with what it returned or raised."""
        return self._until_done(self._call)

    def debug(self, debugger: Pdb | None = None) -> State:
        """Run the task as `call` does but without its timeout; with a debugger, stop at its first line."""
        return self._until_done(lambda: self._debugged(debugger))

    def _until_done(self, call: Callable[[], State]) -> State:
        state = call()
        while isinstance(state, Looped):
            state.loop_count = 1 if self._work.loop is None else self._work.loop.loop_count + 1
            self._work.loop = state
            state = call()
        return state

    def _call(self) -> State:
        if not self._work.task.is_async:
            return self._work().state
        from queue import SimpleQueue  # noqa: PLC0415 - only for coroutines

        from headrace.engine.async_tasks import LoopThread  # noqa: PLC0415

        outcomes: SimpleQueue[Any] = SimpleQueue()
        loop = LoopThread()
        try:
            loop.submit(self._work, outcomes.put)
            state: State = outcomes.get().state
            return state
        finally:
            loop.close()

    def _debugged(self, debugger: Pdb | None) -> State:
        run, arguments = self._work.task.run, self._work.arguments
        token = current_frame.set(self._work)
        try:
            if self._work.task.is_async:
                return Success("Task run succeeded.", _awaited(run, arguments, debugger))
            return Success("Task run succeeded.", _stepped(run, arguments, debugger))
        except Exception as error:  # noqa: BLE001 - whatever a task raises becomes its state
            return state_of(error.with_traceback(_from_the_task_on(error, run)))
        finally:
            current_frame.reset(token)


def _stepped(run: Callable[..., Any], arguments: Mapping[str, Any], debugger: Pdb | None) -> Any:
    if debugger is None:
        return run(**arguments)
    # As `runcall` of the debugger, which would return None for a run that somebody quits.
    debugger.reset()
    sys.settrace(debugger.trace_dispatch)
    try:
        return run(**arguments)
    finally:
        sys.settrace(None)


def _awaited(run: Callable[..., Any], arguments: Mapping[str, Any], debugger: Pdb | None) -> Any:
    import asyncio  # noqa: PLC0415 - only for coroutines

    async def call() -> Any:
        if debugger is not None:
            # The first line of a coroutine is one step further.
            debugger.set_trace()
        return await run(**arguments)

    return asyncio.run(call())


def _from_the_task_on(error: Exception, run: Callable[..., Any]) -> TracebackType | None:
    """Return the traceback without what lies between this module and the task, such as the debugger."""
    code = getattr(run, "__code__", None)
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    return traceback or error.__traceback__


def prepare_replay(
    flow: Flow, store: RunStore, run: RunRecord, text: str, engine: Engine, given: Mapping[str, Any]
) -> Replay:
    """Gather what the task run that ``text`` names in ``run`` was called with, for ``flow`` as it is now.

    ``given`` are values of parameters that the history did not keep. Raises HistoryError if there is no such task, if
    it is not one that is called, or if something that it was called with was not kept, which the message names.
    """
    tasks = store.tasks(run.id)
    task, index = choose_task(store, run, tasks, text)
    plan = flow.plan()
    node = _node(plan, flow, task)
    _check(node, task, index, run)
    return _Inputs(flow, plan, store, run, tasks, engine, given).replay(node, task, index)


def _node(plan: Plan, flow: Flow, task: TaskRecord) -> Node:
    for node in plan.nodes:
        if node.slug == task.slug:
            return node
    raise HistoryError(
        f"Flow {flow.name!r} has no task {task.slug!r} any more.",
        hint=nearest(task.slug, [node.slug for node in plan.nodes if not node.task.auto_generated]),
    )


def _check(node: Node, task: TaskRecord, index: int, run: RunRecord) -> None:
    if node.resolve is not None:
        raise HistoryError(f"{task.slug!r} is a {task.kind}: it has its value without running.")
    if node.mapped and index == UNMAPPED:
        raise HistoryError(
            f"Task {task.slug!r} is mapped, and its children are what runs.",
            hint=f"Name one: `headrace replay {run.name} '{task.slug}[0]'`.",
        )
    if not node.mapped and index != UNMAPPED:
        raise HistoryError(f"Task {task.slug!r} is not mapped any more.", hint="Run the flow anew.")


class _Inputs:
    """What the tasks before a task run came to, in the form in which the engine hands that on."""

    def __init__(
        self,
        flow: Flow,
        plan: Plan,
        store: RunStore,
        run: RunRecord,
        tasks: Sequence[TaskRecord],
        engine: Engine,
        given: Mapping[str, Any],
    ) -> None:
        self._flow = flow
        self._plan = plan
        self._store = store
        self._run = run
        self._tasks = {task.slug: task for task in tasks}
        self._engine = engine
        folder = project_folder()
        sealer = Sealer(project_key(folder / "history", make=False))
        for value in given.values():
            # What was not kept is likely to be a secret.
            masker.add(value)
        self._parameters = recorded_parameters(run, sealer, {each.name for each in plan.parameters}, given)
        project = ResultFiles(open_results(engine, folder), PickleSerializer())
        self._values = TakenValues(sealer, run.id, Shelves(flow, plan, engine, store, run, project))

    def replay(self, node: Node, task: TaskRecord, index: int) -> Replay:
        record = self._store.task_run(self._run.id, task.node, index)
        found = self._arguments(node, index)
        # In the order in which the task takes them.
        arguments = {
            key: found[key] for key in sorted(found, key=[*inspect.signature(node.task.run).parameters, *found].index)
        }
        attempt = 1 if record is None else record.attempt
        return Replay(
            name=name_of(task, index),
            arguments=arguments,
            recorded=record,
            changed=task.source_digest != task_records(self._plan)[node.index].source_digest,
            _work=Work(0, node.task, node.slug, dict(arguments), index, attempt, None, False, self._frame(), None),
        )

    def _frame(self) -> RunFrame:
        kept = KeptSettings.of(self._run)
        values = {
            "flow_id": self._flow.name,
            "flow_name": self._flow.name,
            "flow_run_id": self._run.id,
            "flow_run_name": self._run.name,
            "parameters": self._parameters,
            **kept.context,
        }
        if kept.scheduled_start_time is not None:
            values["scheduled_start_time"] = kept.scheduled_start_time
        secrets = {each.name: self._parameters[each.name] for each in self._plan.parameters if each.secret}
        return RunFrame(values, None, self._run.created, self._engine, secrets)

    def _arguments(self, node: Node, index: int) -> dict[str, Any]:
        runs: list[Any] = [None] * len(self._plan.nodes)
        for source in dict.fromkeys(node.sources):
            edges = [k for k, other in enumerate(node.sources) if other == source]
            keys = [node.edges[k].key for k in edges if node.edges[k].key is not None]
            followed = any(k in node.pairwise for k in edges)
            if keys or followed:
                only = index if all(k in node.pairwise for k in edges if node.edges[k].key is not None) else UNMAPPED
                runs[source] = self._task_run(_Input(node, self._plan.nodes[source], tuple(keys), only))
        if index == UNMAPPED:
            return TaskRun(node, Pending()).arguments(runs)
        whole = MappedRun(node, Pending())
        count = whole.collect(runs)
        if index >= count:
            raise HistoryError(f"Task {node.slug!r} would have {count} children now, and none {index}.")
        return whole.child_arguments(index, runs)

    # -- one task before it --------------------------------------------------------------------------------------

    def _task_run(self, wanted: _Input) -> TaskRun:
        """Return a run of a task that the one to be called takes arguments from."""
        upstream = wanted.upstream
        if upstream.resolve is not None:
            return TaskRun(upstream, Success(result=upstream.resolve(self._parameters)))
        if upstream.task.ephemeral and not upstream.edges:
            return TaskRun(upstream, self._made_anew(wanted))
        task = self._tasks.get(upstream.slug)
        if task is None:
            raise HistoryError(
                f"Run {self._run.name!r} has no task {upstream.slug!r}, {wanted}.", hint="Run the flow anew."
            )
        whole = self._store.task_run(self._run.id, task.node)
        if whole is None:
            raise HistoryError(f"Task {upstream.slug!r}, {wanted}, never began in run {self._run.name!r}.")
        if whole.state != "Mapped":
            return TaskRun(upstream, self._state(task, whole, wanted))
        children = self._children(task, whole, wanted)
        run = MappedRun(upstream, Mapped(map_states=list(children)))
        run.length = len(children)
        run.expand()
        run.states = children
        return run

    def _made_anew(self, wanted: _Input) -> State:
        """Return what comes of a task such as a secret, whose results are kept nowhere."""
        node = wanted.upstream
        state = Work(
            0, node.task, node.slug, dict(node.constants or {}), -1, 1, None, False, self._frame(), None
        )().state
        if not state.is_successful():
            raise HistoryError(f"Task {node.slug!r}, {wanted}, cannot be had: {state.message}")
        return state

    def _children(self, task: TaskRecord, whole: TaskRunRecord, wanted: _Input) -> list[State | None]:
        """Return the states of the children of a map; if only one is wanted, that one and None for the others."""
        if wanted.only == UNMAPPED:
            query = TaskRunQuery(node=task.node, children=True, data=True)
            return [self._state(task, each, wanted) for each in self._store.task_runs(self._run.id, query)]
        child = self._store.task_run(self._run.id, task.node, wanted.only)
        if child is None:
            name = name_of(task, wanted.only)
            raise HistoryError(f"{name}, {wanted}, never began in run {self._run.name!r}.")
        found: list[State | None] = [None] * (whole.child_count or 0)
        found[wanted.only] = self._state(task, child, wanted)
        return found

    def _state(self, task: TaskRecord, record: TaskRunRecord, wanted: _Input) -> State:
        state: State = getattr(states, record.state)(record.message)
        if not wanted.keys:
            return state
        found = Found(now=task, before=task)
        problem = self._values.problem(found, record, is_read=True)
        if record.value is None and record.state != "Skipped":
            problem = f"it is {record.state}"
        elif record.value is not None and record.value.is_exception:
            problem = f"it is {record.state}, and what tasks raise is not kept"
        if problem:
            name = name_of(task, record.map_index)
            raise HistoryError(
                f"The result of {name}, {wanted}, cannot be had: {problem}.",
                hint=f"Run it again, and what depends on it: `headrace resume {self._run.name} --from {task.slug}`.",
            )
        state.result = self._values.stand_in(found, record)
        return state


@dataclass(frozen=True, slots=True)
class _Input:
    """What ``node`` takes arguments with these ``keys`` from: ``upstream``, or only one child of it."""

    node: Node
    upstream: Node
    keys: tuple[str | None, ...]
    only: int

    def __str__(self) -> str:
        names = " and ".join(repr(key) for key in self.keys)
        return f"which gives {self.node.slug!r} its argument {names}" if names else f"which {self.node.slug!r} follows"
