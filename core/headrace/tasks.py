"""Tasks: the units of work that flows are made of."""

from __future__ import annotations

import functools
from inspect import Parameter, Signature, signature
from operator import is_
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from headrace.edges import EdgeAnnotation
from headrace.exceptions import DefinitionTypeError, NoActiveFlowError, TaskDefinitionError
from headrace.operators import OperatorsMixin
from headrace.run_context import building, context, current_frame, run_around
from headrace.signals import PAUSE
from headrace.signatures import RunSignature
from headrace.task_options import TaskOptions
from headrace.task_storage import StorageOption, task_storage
from headrace.task_warnings import OPTIONS, preset_options, warn_of_copy, warn_of_preset_options, warns_of_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Self

    from headrace.abc import ResultStore, Serializer
    from headrace.flows import Flow
    from headrace.log import Logger
    from headrace.results import Result
    from headrace.retries import RetryDelay
    from headrace.states import State
    from headrace.task_options import Resume
    from headrace.task_storage import TaskStorage
    from headrace.triggers import Trigger

__all__ = ["FunctionTask", "Task", "defaults_from_attrs", "pause_task", "task"]

P = ParamSpec("P")
R = TypeVar("R")


class _CallSignature:
    """What ``inspect.signature(task)`` shows: the arguments of ``run``, and those that a call adds to them."""

    def __get__(self, task: Task | None, owner: type[Task]) -> Signature:
        if task is None:
            # The signature of the class is that of its constructor.
            raise AttributeError("__signature__")
        own = task.signature_of_run.signature
        added = [Parameter(name, Parameter.KEYWORD_ONLY, default=default) for name, default in _ADDED.items()]
        parameters = sorted([*own.parameters.values(), *added], key=lambda parameter: parameter.kind)
        return own.replace(parameters=parameters, return_annotation=Task)


_ADDED: Final = {"mapped": False, "task_args": None, "upstream_tasks": None, "flow": None}


class Task(OperatorsMixin):
    """One unit of work. Subclass it and write ``run``, or decorate a function with `task`.

    Called inside a flow, a task adds a copy of itself to the flow and returns the copy, which stands for the result.

    Args:
        name: what reports call it; by default the class's name.
        slug: an identifier of its own within a flow; by default made from the name.
        tags: words to select and limit tasks by.
        max_retries: how many times a failed run is tried again.
        retry_delay: how long to wait before the next attempt: a timedelta or seconds, a list of those for the first,
            second... retry (the last repeats), or a callable that gets the retry's number, from 1, and returns one.
        retry_on: the exception class or classes that are worth another attempt; by default all.
        timeout: seconds, whole or not, or a timedelta, after which a run counts as TimedOut.
        trigger: decides from the upstream states whether the task runs; by default all must be successful.
        skip_on_upstream_skip: skip this task if an upstream task was skipped, whatever the trigger says.
        cache_for: how long a result is used again instead of running: a timedelta or seconds. See `headrace.caching`.
        cache_validator: what is compared before a cached result is used, such as `headrace.caching.duration_only`; by
            default all arguments.
        cache_key: the bucket of the cache to share with the tasks that name the same one; by default the task's name.
        checkpoint: whether results go to the run's result store, if it has one; False opts out.
        state_handlers: functions ``(task, old_state, new_state) -> State | None`` called in the driving thread at each
            change of state; a returned state takes the new one's place.
        on_failure: a function ``(task, state) -> None`` called when a run fails.
        log_stdout: send what ``run`` prints to the task's logger.
        result: where results are kept, instead of the run's result store: the URL of a store such as
            ``"file:results"``, a store, or a `headrace.results.Result`.
        target: where in that store the result goes: a text with ``{placeholders}``, or a callable that takes them as
            keyword arguments. If there is something already, it is the result, and the task does not run.
        task_run_name: a text with ``{placeholders}`` for parameters, context and arguments, or a callable that takes
            them as keyword arguments; becomes ``context.task_run_name``.
        nout: how many values ``run`` returns, so that the task can be unpacked inside a flow.
        serializer: the form that results are kept in: the name of a serializer plugin such as ``"json"``, or a
            serializer.
        resources: what a run occupies of what the executor shares out among runs, such as ``{"gpu": 1}``. Executors
            that share out nothing, ``local`` and ``threads`` among them, run the task all the same.
        resume: what becomes of a task run that had failed, or was under way when its run ended, once that run is
            resumed: ``"rerun"`` runs it again, ``"skip"`` skips it, and ``"ask"`` leaves that to whoever resumes.

    Raises:
        TaskDefinitionError: a ValueError; arguments contradict each other or ``run`` has an impossible signature.
        DefinitionTypeError: a TypeError; an argument has the wrong type.
    """

    __signature__ = _CallSignature()
    _signature_of_run: RunSignature | None = None
    # Options that this class, or one between it and Task, has as attributes.
    _preset: frozenset[str] = frozenset()
    # Why this task, which was read from a document, has no code to run.
    _missing: str | None = None
    name: str
    slug: str | None
    tags: set[str]
    max_retries: int
    timeout: float | None
    nout: int | None
    # What was said about cache, target, result and serializer; None for the many tasks that say nothing.
    storage: TaskStorage | None = None
    cache_for = StorageOption["timedelta"]()
    cache_validator = StorageOption["Callable[[State, Any, Any], bool]"]()
    cache_key = StorageOption[str]()
    result = StorageOption["str | ResultStore | Result"]()
    target = StorageOption["str | Callable[..., str]"]()
    serializer = StorageOption["str | Serializer"]()
    # None for the many tasks that say nothing.
    resources: Mapping[str, float] | None = None
    resume: Resume = "rerun"
    # Whether ``run`` is a coroutine function; such tasks run on the event loop of the run, whatever the executor.
    is_async: bool
    # How this task maps, if it does: see `map`.
    map_strict: bool = True
    max_in_flight: int | None = None
    auto_generated: bool = False
    # Sets up or cleans up for other tasks, so it has no say in whether a run was successful.
    housekeeping: bool = False
    # What it returned in an earlier run is of no use to another, which makes it anew.
    ephemeral: bool = False
    # Runs although the run was cancelled, so that nothing that was set up stays behind.
    cleans_up: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__ and not cls.__module__.startswith("headrace."):
            cls.__init__ = warns_of_tasks(cls.__init__)  # type: ignore[method-assign]
        cls._preset |= OPTIONS & cls.__dict__.keys()
        owner = next(base for base in cls.__mro__ if "run" in base.__dict__)
        # A mixin that brings `run` along is no task, so nobody has read its signature yet.
        if owner is cls or not issubclass(owner, Task):
            cls._signature_of_run = _signature_without_self(f"{cls.__name__}.run", owner.__dict__["run"])

    def __init__(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int | None = None,
        retry_delay: RetryDelay | None = None,
        retry_on: type[Exception] | Iterable[type[Exception]] | None = None,
        timeout: float | timedelta | None = None,
        trigger: Trigger | None = None,
        skip_on_upstream_skip: bool = True,
        cache_for: float | timedelta | None = None,
        cache_validator: Callable[[State, Any, Any], bool] | None = None,
        cache_key: str | None = None,
        checkpoint: bool | None = None,
        state_handlers: Sequence[Callable[..., State | None]] | None = None,
        on_failure: Callable[[Task, State], object] | None = None,
        log_stdout: bool = False,
        result: str | ResultStore | Result | None = None,
        target: str | Callable[..., str] | None = None,
        task_run_name: str | Callable[..., str] | None = None,
        nout: int | None = None,
        serializer: str | Serializer | None = None,
        resources: Mapping[str, float] | None = None,
        resume: Resume | None = None,
    ) -> None:
        preset = None
        if self._preset or not OPTIONS.isdisjoint(vars(self)):
            preset = preset_options(self, self._preset)
        self.name = name or type(self).__name__
        options = TaskOptions(self.name)
        self.slug = options.slug(slug)
        self.tags = options.tags(tags) | building.get().tags
        self.max_retries, self.retry_delay, self.retry_on = options.retries(max_retries, retry_delay, retry_on)
        self.timeout = options.timeout(timeout)
        self.trigger = options.trigger(trigger)
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self.checkpoint = checkpoint
        self.state_handlers = options.state_handlers(state_handlers, on_failure)
        self.log_stdout = log_stdout
        self.task_run_name = options.run_name(task_run_name)
        self.nout = options.nout(nout, self.signature_of_run.signature)
        self.is_async = self.signature_of_run.is_async
        storage = task_storage(
            self,
            cache_for=cache_for,
            cache_validator=cache_validator,
            cache_key=cache_key,
            result=result,
            target=target,
            serializer=serializer,
        )
        if storage is not None:
            self.storage = storage
        if resources is not None:
            self.resources = options.resources(resources)
        if resume is not None:
            self.resume = options.resume(resume)
        if preset is not None:
            warn_of_preset_options(self, preset)

    if TYPE_CHECKING:
        # Subclasses take the arguments they need, which a method here would forbid them.
        run: Callable[..., Any]
    else:

        def run(self) -> None:
            """Do the work; calling it directly bypasses the engine. Subclasses take the arguments they need."""
            return

    @property
    def signature_of_run(self) -> RunSignature:
        """The checked signature of ``run``."""
        if self._signature_of_run is None:
            self._signature_of_run = RunSignature(f"Task {self.name!r}", self.run)
        return self._signature_of_run

    @property
    def logger(self) -> Logger:
        """The logger named after this task."""
        from headrace.log import get_logger  # noqa: PLC0415 - a run that logs nothing does not pay for logging

        return get_logger(self.name)

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"

    # -- composing flows -----------------------------------------------------------------------------------------

    def copy(self, **task_args: Any) -> Self:
        """Return a shallow copy with some attributes replaced, which are checked as in the constructor; tags add up.

        Warns if the task has dependencies in the flow being built, which the copy has not.
        Raises AttributeError for a name that is not an attribute of the task.
        """
        flow = building.get().flow
        if flow is not None and self in flow.graph:
            warn_of_copy(self, flow)
        return self._copy(task_args)

    def _copy(self, task_args: Mapping[str, Any]) -> Self:
        if not hasattr(task_args, "items"):
            raise DefinitionTypeError(f"`task_args` of {self!r} must be a dictionary, and is {task_args!r}.")
        new = self._clone()
        for key, value in task_args.items():
            if not hasattr(new, key):
                raise AttributeError(f"Task {self.name!r} has no attribute {key!r}, so a copy cannot set it.")
            setattr(new, key, value)
        if task_args:
            options = TaskOptions(new.name)
            options.replaced(new, task_args)
            new.tags = self.tags | options.tags(task_args.get("tags"))
        new.tags = new.tags | building.get().tags
        if self.slug and "slug" not in task_args:
            new.slug = f"{self.slug}-copy"
        return new

    def _clone(self) -> Self:
        # copy.copy() does the same through __reduce_ex__ at ten times the price.
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def _is_copy_of(self, other: Task) -> bool:
        """Tell whether both hold the very same things, as calling a task twice makes them."""
        mine, others = self.__dict__, other.__dict__
        return type(self) is type(other) and len(mine) == len(others) and all(map(is_, mine.values(), others.values()))

    def __call__(
        self,
        *args: Any,
        mapped: bool = False,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[object] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a copy of this task to the flow, connected to its arguments, and return the copy.

        Args:
            args, kwargs: arguments of ``run``: tasks, plain values, or collections that hold tasks.
            mapped: run once for each element of the arguments (as `map` does).
            task_args: attributes of the copy to replace, such as ``{"name": "load"}``.
            upstream_tasks: tasks to run before this one without taking their results.
            flow: the flow to add to; by default the one whose ``with`` block is open.
        """
        flow = self._find_flow(flow)
        if self in flow.graph:
            warn_of_copy(self, flow)
        new = self._copy(task_args or {}) if task_args or self.slug or building.get().tags else self._clone()
        return new._bind(args, kwargs, flow, mapped, upstream_tasks)

    def bind(
        self,
        *args: Any,
        mapped: bool = False,
        upstream_tasks: Iterable[object] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add this very task, not a copy, to the flow and connect it to its arguments; return it."""
        self.tags = self.tags | building.get().tags
        return self._bind(args, kwargs, self._find_flow(flow), mapped, upstream_tasks)

    def map(
        self,
        *args: Any,
        upstream_tasks: Iterable[object] | None = None,
        flow: Flow | None = None,
        task_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a copy that runs once for each element of its arguments; wrap an argument in `unmapped` to pass it whole.

        Two more keywords, unless ``run`` has arguments of these names: ``max_in_flight=`` bounds how many children are
        on their way at once, and ``strict=False`` maps arguments of different lengths, up to the shortest.

        Raises DefinitionTypeError for a positional argument that can never be iterated over.
        """
        known = self.signature_of_run.known
        options: dict[str, Any] = {"nout": None, **(task_args or {})}
        if "strict" in kwargs and "strict" not in known:
            options["map_strict"] = bool(kwargs.pop("strict"))
        if "max_in_flight" in kwargs and "max_in_flight" not in known:
            options["max_in_flight"] = TaskOptions(self.name).max_in_flight(kwargs.pop("max_in_flight"))
        for value in args:
            if not (isinstance(value, Task | EdgeAnnotation) or hasattr(value, "__iter__")):
                raise DefinitionTypeError(
                    f"Task {self.name!r} cannot be mapped over {value!r}, which is not iterable.",
                    hint="Wrap it in `unmapped(...)` to give it whole to every child.",
                )
        flow = self._find_flow(flow)
        if self in flow.graph:
            warn_of_copy(self, flow)
        new = self._copy(options)
        return new._bind(args, kwargs, flow, True, upstream_tasks)

    def _find_flow(self, flow: Flow | None) -> Flow:
        if flow is None:
            flow = building.get().flow
            if flow is None:
                raise NoActiveFlowError(self.name)
        elif not hasattr(flow, "graph"):
            raise DefinitionTypeError(f"`flow` must be a Flow, and is {flow!r}.")
        return flow

    def _bind(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        flow: Flow,
        mapped: bool,
        upstream_tasks: Iterable[object] | None,
    ) -> Self:
        arguments = self.signature_of_run.bind(self.name, args, kwargs)
        flow._bind(self, arguments, upstream_tasks, mapped)
        return self

    def set_dependencies(
        self,
        flow: Flow | None = None,
        upstream_tasks: Iterable[object] | None = None,
        downstream_tasks: Iterable[object] | None = None,
        keyword_tasks: Mapping[str, object] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> Self:
        """Connect this task in a flow without copying it; see `Flow.set_dependencies`."""
        self._find_flow(flow).set_dependencies(
            self, upstream_tasks, downstream_tasks, keyword_tasks, mapped=mapped, validate=validate
        )
        return self

    def set_upstream(
        self, task: object, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> Self:
        """Run after ``task``, taking its result as argument ``key`` if one is named."""
        if key is None:
            return self.set_dependencies(flow, upstream_tasks=[task], mapped=mapped)
        return self.set_dependencies(flow, keyword_tasks={key: task}, mapped=mapped)

    def set_downstream(
        self, task: Task, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> Self:
        """Run before ``task``, giving it the result as argument ``key`` if one is named."""
        task.set_upstream(self, self._find_flow(flow), key, mapped)
        return self

    def pipe(self, target: Any, /, **kwargs: Any) -> Any:
        """Call ``target`` with this task as its first argument, so that calls read in order."""
        if "self" in kwargs:
            raise TaskDefinitionError("`pipe` cannot pass on an argument named 'self'.", hint="Rename it.")
        return target(self, **kwargs)

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Return the arguments of ``run``: ``{name: {"type", "default", "required"}}``."""
        empty = self.signature_of_run.signature.empty
        return {
            name: {
                "type": Any if parameter.annotation is empty else parameter.annotation,
                "default": None if parameter.default is empty else parameter.default,
                "required": parameter.default is empty and parameter.kind is not parameter.VAR_KEYWORD,
            }
            for name, parameter in self.signature_of_run.signature.parameters.items()
        }

    def outputs(self) -> Any:
        """Return the annotation of what ``run`` returns; ``Any`` if it has none."""
        signature = self.signature_of_run.signature
        return Any if signature.return_annotation is signature.empty else signature.return_annotation

    def serialize(self) -> dict[str, Any]:
        """Return what JSON can hold of this task: its class or function by name, its options and inputs.

        Raises SerializationError for a parameter whose default JSON cannot hold.
        """
        from headrace.serialization import task_record  # noqa: PLC0415 - few flows are serialized

        return task_record(self)

    def __iter__(self) -> Iterator[Task]:
        if self.nout is None:
            raise DefinitionTypeError(
                f"Task {self.name!r} cannot be unpacked: how many values it returns is not known.",
                hint="Set `nout=`, or annotate the return as `tuple[int, str]`.",
            )
        return (self[i] for i in range(self.nout))


class FunctionTask(Task, Generic[P, R]):
    """A task made from a function; ``run`` is that very function."""

    run: Callable[P, R]

    if TYPE_CHECKING:
        # A call takes tasks where ``run`` takes values, and stands for the result.
        def __call__(  # type: ignore[override]
            self,
            *args: Any,
            mapped: bool = False,
            task_args: Mapping[str, Any] | None = None,
            upstream_tasks: Iterable[object] | None = None,
            flow: Flow | None = None,
            **kwargs: Any,
        ) -> FunctionTask[..., R]: ...

        def map(  # type: ignore[override]
            self,
            *args: Any,
            upstream_tasks: Iterable[object] | None = None,
            flow: Flow | None = None,
            task_args: Mapping[str, Any] | None = None,
            **kwargs: Any,
        ) -> FunctionTask[..., list[R]]: ...

    def __init__(self, fn: Callable[P, R], name: str | None = None, **task_args: Any) -> None:
        if isinstance(fn, Task):
            raise DefinitionTypeError(
                f"{fn!r} is a task already.", hint="Call it inside a flow; `task_args={...}` changes its options."
            )
        if not callable(fn):
            raise DefinitionTypeError(f"A task is made from a function, and got {fn!r}.")
        name = name or getattr(fn, "__name__", type(self).__name__)
        self._signature_of_run = RunSignature(f"Task {name!r}", fn)
        self.run = fn
        super().__init__(name, **task_args)
        functools.update_wrapper(self, fn, updated=())


@overload
def task(fn: Callable[P, R], /, **task_args: Any) -> FunctionTask[P, R]: ...
@overload
def task(**task_args: Any) -> Callable[[Callable[P, R]], FunctionTask[P, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **task_args: Any) -> Any:
    """Make a task from a function: ``@task``, or ``@task(max_retries=3, retry_delay=10)`` with `Task`'s arguments."""
    if fn is None:
        return functools.partial(_make_task, task_args)
    return FunctionTask(fn, **task_args)


def _make_task(task_args: Mapping[str, Any], fn: Callable[P, R]) -> FunctionTask[P, R]:
    return FunctionTask(fn, **task_args)


def defaults_from_attrs(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Let ``run`` take arguments that were not given from the attributes of the same names.

    An argument given as None stays None.
    """

    def decorate(run: Callable[..., R]) -> Callable[..., R]:
        order = list(signature(run).parameters)[1:]

        @functools.wraps(run)
        def filled(self: object, *args: Any, **kwargs: Any) -> R:
            given = {*order[: len(args)], *kwargs}
            missing = {name: getattr(self, name) for name in names if name not in given}
            return run(self, *args, **kwargs, **missing)

        return filled

    return decorate


def pause_task(message: str | None = None, duration: float | timedelta | None = None) -> None:
    """Pause the task whose ``run`` calls this until somebody resumes it, or until ``duration`` has passed.

    The whole task runs again then, and this returns at once. ``duration`` is a timedelta or seconds. Raises
    `headrace.signals.PAUSE`.
    """
    if not context.get("resume"):
        raise PAUSE(message or "Paused by the task itself.", start_time=None if duration is None else _moment(duration))


def _moment(duration: float | timedelta) -> datetime:
    """Return when ``duration`` will have passed, by the clock of the run that this is part of."""
    import time  # noqa: PLC0415 - few tasks pause
    from datetime import UTC, datetime  # noqa: PLC0415

    from headrace.retries import delay_seconds  # noqa: PLC0415

    run = run_around(current_frame.get())
    now = time.time() if run is None or run.engine is None else run.engine.clock.now()
    return datetime.fromtimestamp(now + delay_seconds(duration, 1), UTC)


def _signature_without_self(name: str, run: Any) -> RunSignature:
    # Looked up without an instance, so `self` is its first parameter, unless it is static.
    if isinstance(run, staticmethod):
        return RunSignature(name, run.__func__)
    function = getattr(run, "__func__", run)
    if not callable(function):
        raise DefinitionTypeError(f"{name} must be a function, and is {run!r}.")
    return RunSignature(name, functools.partial(function, None))
