"""Flows: tasks and the dependencies between them."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from headrace.edges import Edge, EdgeAnnotation, check_key
from headrace.exceptions import (
    DefinitionTypeError,
    DuplicateKeyError,
    DuplicateParameterError,
    FlowDefinitionError,
)
from headrace.flow_queries import FlowQueries
from headrace.graph import TaskGraph
from headrace.parameters import Parameter
from headrace.run_context import Build, building, context
from headrace.task_options import check_several, check_state_handlers, check_timeout
from headrace.tasks import Task
from headrace.values import Constant, as_task, holds_task

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextvars import Token
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from headrace.abc import Executor, ResultStore, Serializer
    from headrace.engine import Engine
    from headrace.engine.plan import Plan
    from headrace.engine.runs import RunOptions
    from headrace.log import Logger
    from headrace.results import Result
    from headrace.schedules.schedule import Schedule
    from headrace.states import State
    from headrace.subflows import FlowTask
    from headrace.visualize.drawing import Direction

__all__ = ["Flow"]


class Flow(FlowQueries):
    """Tasks and their dependencies; ``flow.run()`` runs them.

    Args:
        name: what reports call it.
        schedule: when ``run`` runs it: a `headrace.schedules.Schedule`.
        executor: the name of an executor plugin, or an `headrace.abc.Executor`; by default the configured one.
        tasks, edges: to start with.
        reference_tasks: the tasks that decide whether a run was successful; by default those at the end.
        state_handlers: functions ``(flow, old_state, new_state) -> State | None`` called at each change of state of
            a run; a returned state takes the new one's place.
        on_failure: a function ``(flow, state) -> None`` called when a run fails.
        validate: look for cycles and misfit arguments at once.
        results: the store that keeps results, or its URL, such as ``"file:results"``; by default the configured one.
        result: another name for ``results``.
        serializer: the form that results are kept in: the name of a serializer plugin such as ``"json"``, or a
            serializer; by default the configured one.
        terminal_state_handler: a function ``(flow, state, reference_states) -> State | None`` that may replace the
            final state of a run.
        timeout: seconds, whole or not, or a timedelta, after which a run is ended and counts as TimedOut.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule | None = None,
        *,
        executor: str | Executor | None = None,
        tasks: Iterable[Task] | None = None,
        edges: Iterable[Edge] | None = None,
        reference_tasks: Iterable[Task] | None = None,
        state_handlers: Sequence[Callable[..., State | None]] | None = None,
        on_failure: Callable[[Flow, State], object] | None = None,
        validate: bool | None = None,
        results: str | ResultStore | Result | None = None,
        terminal_state_handler: Callable[..., State | None] | None = None,
        result: str | ResultStore | Result | None = None,
        serializer: str | Serializer | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise FlowDefinitionError(f"A flow needs a name, and got {name!r}.")
        self.name = name
        if schedule is not None and not callable(getattr(schedule, "events", None)):
            raise DefinitionTypeError(f"`schedule` of flow {name!r} must be a Schedule, and is {schedule!r}.")
        self.schedule = schedule
        self.executor = executor
        if results is not None and result is not None:
            raise FlowDefinitionError(f"Flow {name!r} was given both `results` and `result`, which mean the same.")
        self.results = result if results is None else results
        self.serializer = serializer
        self.timeout = check_timeout(f"flow {name!r}", timeout, FlowDefinitionError)
        self.state_handlers = check_state_handlers(f"flow {name!r}", state_handlers, on_failure)
        if terminal_state_handler is not None and not callable(terminal_state_handler):
            raise DefinitionTypeError(
                f"`terminal_state_handler` of flow {name!r} is {terminal_state_handler!r}, which cannot be called."
            )
        self.terminal_state_handler = terminal_state_handler
        self.graph = TaskGraph()
        self.slugs: dict[Task, str] = {}
        self.constants: defaultdict[Task, dict[str, Any]] = defaultdict(dict)
        self._slug_counts: dict[str, int] = {}
        self._taken_slugs: set[str] = set()
        self._reference_tasks: dict[Task, None] = {}
        self._tokens: list[Token[Build]] = []
        self._plan: tuple[int, Plan] | None = None
        for task in check_several(repr(self), "tasks", tasks):
            self.add_task(task)
        for edge in check_several(repr(self), "edges", edges):
            if not isinstance(edge, Edge):
                raise DefinitionTypeError(f"`edges` of {self!r} must be Edge objects, and one is {edge!r}.")
            self.add_edge(edge.upstream_task, edge.downstream_task, edge.key, edge.mapped, edge.flattened)
        if reference_tasks is not None:
            self.set_reference_tasks(reference_tasks)
        if validate:
            self.validate()

    def __repr__(self) -> str:
        return f'<Flow: name="{self.name}">'

    @property
    def result(self) -> str | ResultStore | Result | None:
        """Another name for ``results``."""
        return self.results

    @result.setter
    def result(self, value: str | ResultStore | Result | None) -> None:
        self.results = value

    @property
    def logger(self) -> Logger:
        """The logger named after this flow."""
        from headrace.log import get_logger  # noqa: PLC0415 - a run that logs nothing does not pay for logging

        return get_logger(self.name)

    # -- building ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        outer = building.get()
        self._tokens.append(building.set(Build(self, outer.tags)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        building.reset(self._tokens.pop())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tokens": [], "_plan": None}

    def add_task(self, task: Task) -> Task:
        """Add ``task`` if it is not there yet and return it.

        Raises DefinitionTypeError for what is not a task, DuplicateParameterError, and FlowDefinitionError for a slug
        that another task of the flow has.
        """
        if not isinstance(task, Task):
            raise DefinitionTypeError(
                f"Flow {self.name!r} takes tasks, and got {task!r}.", hint="Decorate it with @task."
            )
        if task in self.graph:
            return task
        self.slugs[task] = self._new_slug(task)
        self.graph.add(task)
        block = building.get().block
        if block is not None and not isinstance(task, Parameter | Constant):
            block.add_task(task, self)
        return task

    def _new_slug(self, task: Task) -> str:
        if task.slug:
            if task.slug in self._taken_slugs:
                if isinstance(task, Parameter):
                    raise DuplicateParameterError(self.name, task.name)
                raise FlowDefinitionError(f"Flow {self.name!r} already has a task with slug {task.slug!r}.")
            self._taken_slugs.add(task.slug)
            return task.slug
        prefix = "-".join([task.name, *sorted(task.tags)]) if task.tags else task.name
        while True:
            count = self._slug_counts[prefix] = self._slug_counts.get(prefix, 0) + 1
            slug = f"{prefix}-{count}"
            if slug not in self._taken_slugs:
                self._taken_slugs.add(slug)
                return slug

    def add_edge(
        self,
        upstream_task: object,
        downstream_task: object,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
        validate: bool | None = None,
    ) -> Edge:
        """Let ``downstream_task`` run after ``upstream_task``, and take its result as argument ``key`` if one is named.

        Args:
            upstream_task, downstream_task: tasks; anything else becomes a constant or a collection.
            key: an argument of the downstream task.
            mapped, flattened: how the result crosses the edge; an annotation on ``upstream_task`` wins.
            validate: raise CycleError at once; by default ``config.flows.eager_edge_validation``.

        Raises:
            FlowDefinitionError: the downstream task is a parameter, or ``key`` is not an identifier.
            DuplicateKeyError: ``key`` is bound already.
            DefinitionTypeError: the downstream task takes no argument ``key``.
        """
        if isinstance(upstream_task, EdgeAnnotation):
            mapped = upstream_task.merged.get("mapped", mapped)
            flattened = upstream_task.merged.get("flattened", flattened)
            upstream_task = upstream_task.value
        downstream = as_task(downstream_task, self)
        self._refuse_parameter(downstream)
        if key is not None:
            self._check_key(downstream, key)
            self.constants.get(downstream, {}).pop(key, None)
        upstream = self.add_task(as_task(upstream_task, self))
        self.add_task(downstream)
        edge = self.graph.connect(Edge(upstream, downstream, key, mapped, flattened), self.name)
        if self._validates_eagerly(validate):
            self.validate()
        return edge

    @staticmethod
    def _refuse_parameter(task: Task) -> None:
        if isinstance(task, Parameter):
            raise FlowDefinitionError(
                f"Parameter {task.name!r} cannot have upstream tasks: its value is known before the first task runs.",
                hint="Let the task that uses it wait instead.",
            )

    @staticmethod
    def _check_key(task: Task, key: str) -> None:
        if not task.signature_of_run.accepts(key):
            raise DefinitionTypeError(
                f"Task {task.name!r} takes no argument {key!r}.", hint=f"It takes {task.signature_of_run.signature}."
            )

    def _validates_eagerly(self, validate: bool | None) -> bool:
        if validate is None:
            from headrace import config  # noqa: PLC0415 - read when first needed

            return bool(config.current()["flows"]["eager_edge_validation"])
        return validate

    def _bind(
        self, task: Task, arguments: Mapping[str, Any], upstream_tasks: Iterable[object] | None, mapped: bool
    ) -> None:
        """Add ``task`` and connect arguments that are known to fit its signature."""
        others = () if upstream_tasks is None else check_several(repr(task), "upstream_tasks", upstream_tasks)
        edges: list[tuple[Task, str, bool, bool]] = []
        constants: dict[str, Any] = {}
        for key, value in arguments.items():
            if isinstance(value, Task):
                edges.append((self.add_task(value), key, mapped, False))
            else:
                self._sort_value(key, value, mapped, edges, constants)
        if task in self.graph:
            self._unbind(task, [key for _, key, _, _ in edges], constants)
        # Upstream tasks came first, so that insertion order is an order in which the flow can run.
        self.add_task(task)
        if constants:
            self.constants[task].update(constants)
        for upstream, key, is_mapped, is_flattened in edges:
            self.graph.connect(Edge(upstream, task, key, is_mapped, is_flattened), self.name)
        for other in others:
            self.add_edge(other, task, mapped=mapped)

    def _unbind(self, task: Task, edge_keys: Iterable[str], constant_keys: Iterable[str]) -> None:
        """Prepare a task of the flow for being bound again: no constant may hide an edge, nor an edge a constant."""
        for key in constant_keys:
            if key in self.graph.bound_keys(task):
                raise DuplicateKeyError(f"{self.name}/{task.name}", key)
        for key in edge_keys:
            self.constants.get(task, {}).pop(key, None)
        self.graph.version += 1

    def _sort_value(
        self, key: str, value: Any, mapped: bool, edges: list[tuple[Task, str, bool, bool]], constants: dict[str, Any]
    ) -> None:
        """Put an argument that is not a task among the edges or among the constants."""
        flattened = False
        if isinstance(value, EdgeAnnotation):
            mapped = value.merged.get("mapped", mapped)
            flattened = value.merged.get("flattened", False)
            value = value.value
        if mapped and hasattr(value, "__next__"):
            # An iterator could only be mapped over in the first run.
            value = list(value)
        if mapped or flattened or holds_task(value):
            edges.append((self.add_task(as_task(value, self)), key, mapped, flattened))
        else:
            constants[key] = value

    def set_dependencies(
        self,
        task: object,
        upstream_tasks: Iterable[object] | None = None,
        downstream_tasks: Iterable[object] | None = None,
        keyword_tasks: Mapping[str, object] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> None:
        """Connect ``task`` to others without copying it.

        Args:
            task: the task in the middle; anything else becomes a constant or a collection.
            upstream_tasks: run before it.
            downstream_tasks: run after it; ``mapped`` does not concern them.
            keyword_tasks: give their results as arguments.
            mapped: run ``task`` once for each element of its upstream results.
            validate: see `add_edge`.
        """
        task = self.add_task(as_task(task, self))
        for upstream in check_several(repr(task), "upstream_tasks", upstream_tasks):
            self.add_edge(upstream, task, mapped=mapped, validate=validate)
        for downstream in check_several(repr(task), "downstream_tasks", downstream_tasks):
            self.add_edge(task, downstream, validate=validate)
        for key, value in (keyword_tasks or {}).items():
            self._bind_keyword(task, key, value, mapped, validate)

    def _bind_keyword(self, task: Task, key: str, value: object, mapped: bool, validate: bool | None) -> None:
        plain = not mapped and not isinstance(value, EdgeAnnotation) and not holds_task(value)
        if plain and key not in self.graph.bound_keys(task):
            self._refuse_parameter(task)
            check_key(task.name, key)
            self._check_key(task, key)
            self.constants[task][key] = value
            self.graph.version += 1
        else:
            self.add_edge(value, task, key, mapped, validate=validate)

    def chain(self, *tasks: Task, validate: bool | None = None) -> list[Edge]:
        """Let each of ``tasks`` run after the one before it; return the edges."""
        return [self.add_edge(before, after, validate=validate) for before, after in pairwise(tasks)]

    def update(
        self,
        flow: Flow,
        merge_parameters: bool = False,
        validate: bool | None = None,
        merge_reference_tasks: bool = False,
    ) -> None:
        """Add the tasks and edges of ``flow``.

        ``merge_parameters`` uses one parameter where both flows have one of that name (this flow's own);
        ``merge_reference_tasks`` adds the other flow's reference tasks to this one's.
        """
        own = {p.name: p for p in self.parameters()} if merge_parameters else {}
        place = {task: own.get(task.name, task) if isinstance(task, Parameter) else task for task in flow.tasks}
        for task in place.values():
            self.add_task(task)
        for edge in flow.edges:
            up, down = place[edge.upstream_task], place[edge.downstream_task]
            self.graph.connect(Edge(up, down, edge.key, edge.mapped, edge.flattened), self.name)
        for task, values in flow.constants.items():
            self.constants[task].update(values)
        if merge_reference_tasks:
            self.set_reference_tasks([*self.reference_tasks(), *(place[t] for t in flow.reference_tasks())])
        if validate:
            self.validate()

    def replace(self, old: Task, new: object, validate: bool = True) -> None:
        """Put ``new`` where ``old`` is: its edges, its constant arguments and its place among the reference tasks."""
        self._require(old)
        task = as_task(new, self)
        self._check_replacement(old, task)
        constants = self.constants.pop(old, {})
        edges = self.graph.remove(old)
        self._taken_slugs.discard(self.slugs.pop(old))
        self.add_task(task)
        for edge in edges:
            upstream = task if edge.upstream_task is old else edge.upstream_task
            downstream = task if edge.downstream_task is old else edge.downstream_task
            self.graph.connect(Edge(upstream, downstream, edge.key, edge.mapped, edge.flattened), self.name)
        if constants:
            self.constants[task].update(constants)
        self._reference_tasks = {task if t is old else t: None for t in self._reference_tasks}
        if validate:
            self.validate()

    def _check_replacement(self, old: Task, new: Task) -> None:
        """Raise before anything is changed if ``new`` cannot take the edges and constants of ``old``."""
        if isinstance(new, Parameter) and self.graph.edges_to(old):
            raise FlowDefinitionError(f"Parameter {new.name!r} cannot replace a task that has upstream tasks.")
        for key in (*self.graph.bound_keys(old), *self.constants.get(old, ())):
            self._check_key(new, key)
        if new in self.upstream_tasks(old) | self.downstream_tasks(old):
            raise FlowDefinitionError(
                f"Task {new.name!r} depends on {old.name!r} or the reverse, so it cannot replace it."
            )

    def copy(self) -> Flow:
        """Return a flow of its own with the same task objects."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.state_handlers = list(self.state_handlers)
        new.graph = TaskGraph()
        new.slugs = dict(self.slugs)
        new.constants = defaultdict(dict, {task: dict(values) for task, values in self.constants.items()})
        new._slug_counts, new._taken_slugs = dict(self._slug_counts), set(self._taken_slugs)
        new._reference_tasks, new._tokens, new._plan = dict(self._reference_tasks), [], None
        for task in self.graph:
            new.graph.add(task)
        for edge in self.edges:
            new.graph.connect(edge, self.name)
        return new

    def __call__(
        self,
        *,
        flow: Flow | None = None,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[object] | None = None,
        **parameters: Any,
    ) -> FlowTask:
        """Add this flow as one task to another flow; ``parameters`` may be tasks of that flow. See `as_task`."""
        task = self.as_task(**(task_args or {}))
        return task(flow=flow, upstream_tasks=upstream_tasks, **parameters)

    def as_task(self, **options: Any) -> FlowTask:
        """Return a task that runs this flow, for use in another one; see `headrace.subflows.FlowTask`."""
        from headrace.subflows import FlowTask  # noqa: PLC0415 - most flows are no part of another

        return FlowTask(self, **options)

    # -- keeping -------------------------------------------------------------------------------------------------

    def serialize(self) -> dict[str, Any]:
        """Return the flow as a document that JSON can hold, to look at or to make the flow anew from.

        Tasks and edges come in the order in which they were added. Functions and classes are written as the names to
        import them by, and what cannot be written is marked as opaque. Values are written as they are: a password
        among the arguments would show.

        Raises SerializationError for a parameter whose default cannot be written, naming it.
        """
        from headrace.serialization import flow_document  # noqa: PLC0415 - few flows are serialized

        return flow_document(self)

    @classmethod
    def deserialize(cls, document: Mapping[str, Any]) -> Self:
        """Make a flow from what `serialize` returned.

        It imports the modules that the document names: read only what you trust. A task whose code cannot be imported,
        or that misses an argument or an option, becomes a placeholder: it can be looked at and drawn, and `run` raises
        MissingTaskError until it is replaced. Names of ``__main__`` are looked up in the script that runs now.

        Raises SerializationError for a document that is damaged, or of a later format.
        """
        from headrace.serialization import flow_from  # noqa: PLC0415 - few flows are serialized

        return flow_from(cls, document)

    def serialized_hash(self) -> str:
        """Return the SHA-256 of the serialized flow, which another version of headrace comes to as well.

        It does not see the code of functions, nor what is marked as opaque.
        """
        from headrace.serialization import flow_digest  # noqa: PLC0415 - few flows are serialized

        return flow_digest(self)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Pickle the flow into a file, whole or not at all, and return its path.

        By default that is ``flows/<name>.flow`` in the project's folder, ``.headrace``. What the flow's own file
        defines is pickled by value; what it imports must be importable where the flow is loaded.

        Raises FlowFileError for a flow that cannot be pickled, naming the task, and for a file that cannot be written.
        """
        from headrace.saved_flows import save_flow  # noqa: PLC0415 - few flows are saved

        return save_flow(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Flow:
        """Return the flow that `save` wrote to ``path``. Loading runs what the file says: load only what you trust.

        Warns if the file was written with another version of headrace, cloudpickle or Python.
        Raises FlowFileError for a file that is missing, damaged, of a later format, or no saved flow.
        """
        from headrace.saved_flows import load_flow_file  # noqa: PLC0415 - few flows are loaded

        return load_flow_file(path)

    def diagnostics(self, include_secret_names: bool = False) -> str:
        """Return JSON text about this installation, its configuration and the flow, to add to a report of a problem.

        It holds no value of the configuration, of the environment or of a parameter.
        """
        from headrace.diagnostics import diagnostics  # noqa: PLC0415 - only asked by people

        return diagnostics(self, include_secret_names=include_secret_names)

    # -- running -------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return the flow in the form the engine runs; made once and kept until the flow or a task of it changes."""
        if self._plan is None or self._plan[0] != self.graph.version or not self._plan[1].is_current():
            from headrace.engine.plan import make_plan  # noqa: PLC0415 - building a flow needs no engine

            self._plan = self.graph.version, make_plan(self)
        return self._plan[1]

    def run(
        self,
        /,
        parameters: Mapping[str, Any] | None = None,
        *,
        executor: str | Executor | None = None,
        engine: Engine | None = None,
        options: RunOptions | None = None,
        **kwargs: Any,
    ) -> State:
        """Run the flow here and now; return its final state.

        ``state.result`` is a dict from each task to its final state. A flow with a schedule waits for each of its
        events and runs then, until the schedule ends; the state of the last run is returned. While `headrace run`, or
        whatever else looks for flows, loads the file that says so, nothing runs: a Pending state is returned.

        Args:
            parameters: values by parameter name; they may be given as keyword arguments too.
            executor: overrides the flow's and the configured one.
            engine: the engine to run in, with its plugins; by default one of its own.
            options: everything else that a run can be told.
            kwargs: parameters by name, and what `headrace.engine.runs.RunOptions` has, where no parameter is called so.

        Raises:
            FlowDefinitionError: the flow cannot run, for example because of a cycle.
            ParameterError: a value is missing or unknown.
            PluginError: the executor, the result store or a notifier is not to be had.
            KeyboardInterrupt: after Ctrl-C, when running tasks have ended and the rest is recorded as Cancelled.
            SystemExit: likewise after SIGTERM or SIGHUP, for which the program has no handler of its own.
        """
        from headrace.engine.runs import run_flow  # noqa: PLC0415 - building a flow needs no engine

        if building.get().flow is self:
            raise FlowDefinitionError(
                f"Flow {self.name!r} cannot run inside its own `with` block.", hint="Run it after the block."
            )
        if context.get("loading_flow"):
            return _passed_over(self)
        if parameters is not None and not hasattr(parameters, "keys"):
            raise DefinitionTypeError(f"`parameters` of a run must be a dictionary, and is {parameters!r}.")
        return run_flow(self, dict(parameters or {}), executor=executor, engine=engine, options=options, **kwargs)

    def resume(
        self,
        /,
        run: str = "latest",
        parameters: Mapping[str, Any] | None = None,
        *,
        again: Collection[str | Task] = (),
        only: Collection[str | Task] = (),
        rerun_failed: bool = False,
        rerun: Collection[str | Task] = (),
        skip: Collection[str | Task] = (),
        accept_changes: bool = False,
        executor: str | Executor | None = None,
        engine: Engine | None = None,
        **options: Any,
    ) -> State:
        """Go on with a run of this flow that was recorded, as `headrace resume` does; return the final state.

        What has succeeded is taken over, down to the single child of a map, and everything else runs, with the
        parameters and the settings of that run. Tasks go by their names, their slugs, or as tasks of this flow.

        Args:
            run: the name of the run, the beginning of its id, or ``"latest"`` for the last run of this flow.
            parameters: values of those parameters that were not kept, such as secrets; no others.
            again: tasks that run again although they have finished, with all that depend on them.
            only: tasks to run, and nothing else; a name with a ``+`` after it stands for what depends on it too.
            rerun_failed: run only what failed, and what depends on it.
            rerun: tasks to run again although they say ``resume="ask"`` or ``"skip"``.
            skip: tasks to skip, which had failed or were under way.
            accept_changes: run tasks whose code has changed again, instead of refusing.
            executor: overrides that of the run.
            engine: the engine to run in; by default one of its own.
            options: what `headrace.engine.runs.RunOptions` has; ``record`` is the history to look in.

        Raises:
            HistoryError: there is no such run, or it cannot be gone on with like this; nothing has run then.
            RunOwnedError: the run goes on, or another one has gone on from it.
            OpenQuestionError: a task wants to be asked, and neither ``rerun`` nor ``skip`` names it.
            FlowDefinitionError, PluginError, KeyboardInterrupt, SystemExit: as for `run`.
        """
        from headrace.engine.resumed_runs import resume_flow  # noqa: PLC0415 - building a flow needs no engine
        from headrace.engine.wishes import Wishes  # noqa: PLC0415 - as above

        if context.get("loading_flow"):
            return _passed_over(self)
        wishes = Wishes(
            again=again,
            only=only,
            rerun_failed=rerun_failed,
            rerun=rerun,
            skip=skip,
            accept_changes=accept_changes,
        )
        return resume_flow(self, run, wishes, dict(parameters or {}), executor=executor, engine=engine, **options)

    def visualize(
        self,
        flow_state: State | None = None,
        filename: str | None = None,
        format: str = "svg",  # noqa: A002 - what users of the classic engine call it
        horizontal: bool = False,
    ) -> str:
        """Return a drawing of the flow as ``"svg"``, ``"mermaid"``, ``"text"`` or ``"dot"``; also write it to a file.

        With a ``flow_state``, tasks show how they ended. ``horizontal`` draws from left to right.
        """
        from headrace.visualize import draw_flow  # noqa: PLC0415 - running a flow needs no pictures

        direction: Direction = "LR" if horizontal else "TB"
        return draw_flow(self, flow_state, filename=filename, format=format, direction=direction)


def _passed_over(flow: Flow) -> State:
    import warnings  # noqa: PLC0415 - only for files that run what they define

    from headrace.states import Pending  # noqa: PLC0415

    message = f"Flow {flow.name!r} is not run while its file is loaded."
    warnings.warn(f'{message} Put `flow.run()` under `if __name__ == "__main__":`.', UserWarning, stacklevel=3)
    return Pending(message)
