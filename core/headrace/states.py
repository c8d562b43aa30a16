"""The states a run goes through.

State
├── Pending                 waits for its upstream tasks
│   └── Scheduled           waits for a moment: ``start_time``
│       ├── Paused          waits for a person; ``start_time`` None means for ever
│       ├── Resume          was paused and may run now
│       └── Retrying        failed and will be tried again; ``run_count`` attempts were made
├── Running
│   └── Cancelling
├── Submitted               was handed to an executor that has not begun it
├── Queued                  waits for a free slot, from ``start_time`` on
└── Finished
    ├── Looped              asked for one more iteration
    ├── Cancelled
    ├── Success
    │   ├── Cached          its result was computed before
    │   ├── Mapped          every mapped child has finished
    │   └── Skipped
    └── Failed
        ├── TimedOut
        ├── TriggerFailed
        ├── Crashed         the process that ran it died
        └── ValidationFailed

A state is cheap: one slotted object. ``result`` is the value a task returned or the exception it raised.
States are compared by type, result, inputs and the fields of their class, never by message; they hash by identity.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.references import ReleasedValue, StandIn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Self

__all__ = [
    "Cached",
    "Cancelled",
    "Cancelling",
    "Crashed",
    "Failed",
    "Finished",
    "Looped",
    "Mapped",
    "Paused",
    "Pending",
    "Queued",
    "Resume",
    "Retrying",
    "Running",
    "Scheduled",
    "Skipped",
    "State",
    "Submitted",
    "Success",
    "TimedOut",
    "TriggerFailed",
    "ValidationFailed",
]

_now = time.time


class State:
    """One moment in the life of a task run or a flow run.

    ``timestamp`` is when the state was entered, in seconds since the epoch; ``started`` is when the attempt that led
    to it began, or None; ``location`` is where the result store keeps the result, or None. ``attempts`` are the states
    in which earlier attempts ended, the first one first.
    """

    __slots__ = ("_context", "_result", "attempts", "cached_inputs", "location", "message", "started", "timestamp")

    color: ClassVar[str] = "#696969"
    _fields: ClassVar[tuple[str, ...]] = ()
    # Class constants the engine reads instead of calling the predicates below.
    _finished: ClassVar[bool] = False
    _successful: ClassVar[bool] = False
    _skipped: ClassVar[bool] = False
    _failed: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
    ) -> None:
        self.message = message
        self._result = result
        self._context = context
        self.cached_inputs = cached_inputs
        self.timestamp = _now()
        self.started: float | None = None
        self.location: str | None = None
        self.attempts: tuple[State, ...] = ()

    @property
    def result(self) -> Any:
        """The value a task returned, the exception it raised, or a flow run's ``{task: State}``."""
        value = self._result
        return value.load() if isinstance(value, StandIn) else value

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    @property
    def _handed_on(self) -> Any:
        """The result as other tasks get it: what stands for a value that is kept elsewhere is handed on as it is."""
        value = self._result
        return value.load() if value.__class__ is ReleasedValue else value

    @property
    def context(self) -> dict[str, object]:
        """Notes that travel with the state; JSON must be able to hold them if the state is to be serialized."""
        if self._context is None:
            self._context = {}
        return self._context

    @property
    def duration(self) -> float | None:
        """Seconds from the beginning of the attempt to this state, or None if nothing ran."""
        return None if self.started is None else self.timestamp - self.started

    def __repr__(self) -> str:
        name = type(self).__name__
        return f'<{name}: "{self.message}">' if self.message else f"<{name}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        if type(self) is not type(other):
            return False
        names = ("_result", "cached_inputs", *self._fields)
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = object.__hash__

    def __getstate__(self) -> dict[str, object]:
        values = self._values()
        if isinstance(self._result, StandIn):
            values["_result"] = None
        elif isinstance(self._result, BaseException):
            values["_result"] = _picklable(self._result)
        return values

    def _values(self) -> dict[str, object]:
        names = [slot for cls in type(self).__mro__ for slot in cls.__dict__.get("__slots__", ())]
        # A subclass that a user wrote may have attributes beside the slots.
        return {name: getattr(self, name) for name in names} | getattr(self, "__dict__", {})

    def __copy__(self) -> Self:
        # Unlike a pickle, a copy keeps what cannot leave the process.
        new = object.__new__(type(self))
        new.__setstate__(self._values())
        return new

    def __setstate__(self, values: dict[str, object]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    @classmethod
    def children(cls, include_self: bool = False, names_only: bool = False) -> list[Any]:
        """Return the classes below this one, in definition order."""
        found: list[type[State]] = [cls] if include_self else []
        for child in cls.__subclasses__():
            found.extend(child.children(include_self=True))
        return [c.__name__ for c in found] if names_only else found

    @classmethod
    def parents(cls, include_self: bool = False, names_only: bool = False) -> list[Any]:
        """Return the classes above this one, the nearest first."""
        found = [c for c in cls.__mro__ if issubclass(c, State) and (include_self or c is not cls)]
        return [c.__name__ for c in found] if names_only else found

    def serialize(self) -> dict[str, Any]:
        """Return what JSON can hold of the state: never the result itself, but its type and its location.

        Of a Mapped state it is the number of children. Raises SerializationError for notes in ``context`` that JSON
        cannot hold.
        """
        from headrace.state_records import state_record  # noqa: PLC0415 - few states are serialized

        return state_record(self)

    @staticmethod
    def deserialize(record: Mapping[str, Any]) -> State:
        """Make a state from what `serialize` returned; reading a result that it had raises ResultReleasedError.

        Raises SerializationError for a record that is damaged, of a later format, or of an unknown class.
        """
        from headrace.state_records import state_from  # noqa: PLC0415 - few states are serialized

        return state_from(record)

    def is_pending(self) -> bool:
        """Tell whether this is a Pending state, Scheduled ones included."""
        return isinstance(self, Pending)

    def is_scheduled(self) -> bool:
        """Tell whether this state waits for a moment."""
        return isinstance(self, Scheduled | Queued)

    def is_queued(self) -> bool:
        """Tell whether this state waits for a free slot."""
        return isinstance(self, Queued)

    def is_submitted(self) -> bool:
        """Tell whether the work was handed over and has not begun."""
        return isinstance(self, Submitted)

    def is_retrying(self) -> bool:
        """Tell whether the task failed and will be tried again."""
        return isinstance(self, Retrying)

    def is_paused(self) -> bool:
        """Tell whether the task waits for a person."""
        return isinstance(self, Paused)

    def is_running(self) -> bool:
        """Tell whether the work has begun and not ended."""
        return isinstance(self, Running)

    def is_finished(self) -> bool:
        """Tell whether nothing more will happen."""
        return self._finished

    def is_looped(self) -> bool:
        """Tell whether the task asked for one more iteration."""
        return isinstance(self, Looped)

    def is_successful(self) -> bool:
        """Tell whether this is a Success; Skipped, Cached and Mapped count."""
        return self._successful

    def is_cached(self) -> bool:
        """Tell whether the result was computed before."""
        return isinstance(self, Cached)

    def is_mapped(self) -> bool:
        """Tell whether this is the state of a mapped parent."""
        return isinstance(self, Mapped)

    def is_skipped(self) -> bool:
        """Tell whether the task was skipped."""
        return self._skipped

    def is_failed(self) -> bool:
        """Tell whether this is a Failed state of any kind."""
        return self._failed

    def is_cancelled(self) -> bool:
        """Tell whether the run was cancelled."""
        return isinstance(self, Cancelled)

    def is_crashed(self) -> bool:
        """Tell whether the process that ran the task died."""
        return isinstance(self, Crashed)


class Pending(State):
    """Waits for its upstream tasks."""

    __slots__ = ()
    color = "#7ebdff"


class Scheduled(Pending):
    """Waits for a moment; ``start_time`` defaults to now and is aware of its time zone."""

    __slots__ = ("start_time",)
    color = "#ffab00"
    _fields: ClassVar[tuple[str, ...]] = ("start_time",)

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.start_time: datetime | None = _moment(start_time) or _utc(self.timestamp)


class Paused(Scheduled):
    """Waits for a person; with a ``start_time`` it goes on by itself then, with None it waits for ever."""

    __slots__ = ()
    color = "#99a8e8"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, result, start_time, context, cached_inputs)
        self.start_time = start_time  # None stays None


class Resume(Scheduled):
    """Was paused and may run now."""

    __slots__ = ()
    color = "#f58c0c"


class Retrying(Scheduled):
    """Failed and will be tried again at ``start_time``; ``run_count`` attempts were made."""

    __slots__ = ("run_count",)
    color = "#f66a0a"
    _fields = ("start_time", "run_count")

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
        run_count: int | None = None,
    ) -> None:
        super().__init__(message, result, start_time, context, cached_inputs)
        self.run_count = 1 if run_count is None else run_count


class Submitted(State):
    """Was handed to an executor that has not begun it."""

    __slots__ = ()
    color = "#ffdf5d"


class Queued(State):
    """Waits for a free slot from ``start_time`` on, which defaults to now and is aware of its time zone."""

    __slots__ = ("start_time",)
    color = "#ffea7f"
    _fields: ClassVar[tuple[str, ...]] = ("start_time",)

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.start_time: datetime = _moment(start_time) or _utc(self.timestamp)


class Running(State):
    """The work has begun and not ended."""

    __slots__ = ()
    color = "#3d67ff"


class Cancelling(Running):
    """The work was asked to stop and has not stopped yet."""

    __slots__ = ()
    color = "#e8e8e8"


class Finished(State):
    """Nothing more will happen."""

    __slots__ = ()
    color = "#003ccb"
    _finished = True


class Looped(Finished):
    """Asked for one more iteration; ``loop_count`` counts the finished ones from 1."""

    __slots__ = ("loop_count",)
    _fields = ("loop_count",)

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        loop_count: int | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.loop_count = 1 if loop_count is None else loop_count


class Cancelled(Finished):
    """Was stopped, or never begun, because the run was cancelled. Neither success nor failure."""

    __slots__ = ()
    color = "#bdbdbd"


class Success(Finished):
    """The task returned."""

    __slots__ = ()
    color = "#28a745"
    _successful = True


class Cached(Success):
    """The result was computed before and is still valid until ``cached_result_expiration``."""

    __slots__ = ("cached_parameters", "cached_result_expiration", "hashed_inputs")
    color = "#34d058"
    _fields = ("hashed_inputs", "cached_parameters", "cached_result_expiration")

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
        hashed_inputs: dict[str, str] | None = None,
        cached_parameters: dict[str, object] | None = None,
        cached_result_expiration: datetime | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.hashed_inputs = hashed_inputs
        self.cached_parameters = cached_parameters
        self.cached_result_expiration = cached_result_expiration


class Mapped(Success):
    """Every mapped child has finished; ``map_states`` are their states, ``result`` the list of their results."""

    __slots__ = ("map_states", "n_map_states")
    color = "#003ccb"
    _fields = ("map_states", "n_map_states")

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        map_states: list[State | None] | None = None,
        context: dict[str, object] | None = None,
        cached_inputs: dict[str, object] | None = None,
        n_map_states: int | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.map_states: list[Any] = [] if map_states is None else map_states
        self.n_map_states = len(self.map_states) if n_map_states is None else n_map_states

    @property
    def result(self) -> Any:
        """The children's results, gathered anew from their states each time."""
        if self._result is not None:
            return self._result
        return [None if state is None else state.result for state in self.map_states]

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    @property
    def _handed_on(self) -> Any:
        if self._result is not None:
            return self._result
        return [None if state is None else state._handed_on for state in self.map_states]  # noqa: SLF001 - a state's too


class Skipped(Success):
    """The task did not run and nothing is wrong."""

    __slots__ = ()
    color = "#62757f"
    _skipped = True


class Failed(Finished):
    """The task raised; ``result`` is the exception."""

    __slots__ = ()
    color = "#eb0000"
    _failed = True


class TimedOut(Failed):
    """The task took longer than its timeout."""

    __slots__ = ()
    color = "#ff4e33"


class TriggerFailed(Failed):
    """The task did not run: its trigger did not accept the states of its upstream tasks."""

    __slots__ = ()
    color = "#ff5131"


class Crashed(Failed):
    """The process that ran the task died."""

    __slots__ = ()
    color = "#c42800"


class ValidationFailed(Failed):
    """The task says that its data are not valid."""

    __slots__ = ()
    color = "#ff5131"


def _same(one: object, other: object) -> bool:
    """Compare values of which ``==`` may raise, or may answer for each element as arrays do."""
    if one is other:
        return True
    try:
        same: Any = one == other
        if hasattr(same, "all"):
            return getattr(one, "shape", None) == getattr(other, "shape", None) and bool(same.all())
        return bool(same)
    except Exception:  # noqa: BLE001 - a foreign __eq__ may raise anything; what cannot be compared is not the same
        return False


def _moment(start_time: datetime | None) -> datetime | None:
    if start_time is not None and not hasattr(start_time, "timestamp"):
        from headrace.exceptions import DefinitionTypeError  # noqa: PLC0415 - only for a mistake

        raise DefinitionTypeError(f"`start_time` of a state must be a datetime, and is {start_time!r}.")
    return start_time


def _utc(timestamp: float) -> datetime:
    # datetime is imported late: most runs never make a Scheduled state.
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(timestamp, UTC)


def _picklable(error: BaseException) -> BaseException | str:
    """Return ``error``, or a text that describes it if it cannot be pickled."""
    import cloudpickle  # noqa: PLC0415 - only states that hold an exception and leave the process need it

    try:
        # Both ways: an exception whose constructor takes other arguments than it passes on cannot be read back.
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return f"The result was an unpicklable exception of type {type(error).__name__}: {_shown(error)}"
    return error


def _shown(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        return "(it cannot be shown)"
