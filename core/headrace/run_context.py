"""What surrounds the code that runs now: the flow being built, or the task run in progress.

`context` is read like a dictionary or by attribute: ``context.logger``, ``context.get("map_index")``. What it shows is
local to the current thread and asyncio task, and is only worked out when it is read.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.engine import Engine
    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = [
    "Build",
    "Context",
    "Frame",
    "RunFrame",
    "ValuesFrame",
    "building",
    "context",
    "current_frame",
    "run_around",
    "tags",
]

MISSING: Final = object()
_NO_SECRETS: Final[Mapping[str, Any]] = {}
DATE_KEYS: Final = frozenset(
    {"date", "scheduled_start_time", "today", "yesterday", "tomorrow"}
    | {"today_nodash", "yesterday_nodash", "tomorrow_nodash"}
)


class Frame(Protocol):
    """One layer of the context; ``lookup`` returns `MISSING` for a key it does not have."""

    @property
    def parent(self) -> Frame | None: ...

    def lookup(self, key: str) -> Any: ...

    def keys(self) -> set[str]: ...


class ValuesFrame:
    """A layer of plain values."""

    __slots__ = ("parent", "values")

    def __init__(self, values: Mapping[str, Any], parent: Frame | None = None) -> None:
        self.values = values
        self.parent = parent

    def lookup(self, key: str) -> Any:
        return self.values.get(key, MISSING)

    def keys(self) -> set[str]:
        return set(self.values)


class RunFrame(ValuesFrame):
    """The layer of a flow run. ``cancel_requested`` turns True when running tasks are asked to stop.

    ``began`` is in seconds since the epoch; dates such as ``today`` follow from it, or from a ``date`` that was given
    to this run or to one around it.
    ``engine`` is what tasks get secrets from, in the process that drives the run. ``recorded`` turns True when a
    history has it. ``secrets`` are the values of parameters that are secret, by name, which every process masks that
    the run comes to.
    """

    __slots__ = ("began", "cancel_requested", "engine", "inner", "recorded", "secrets")

    def __init__(
        self,
        values: Mapping[str, Any],
        parent: Frame | None = None,
        began: float = 0.0,
        engine: Engine | None = None,
        secrets: Mapping[str, Any] = _NO_SECRETS,
    ) -> None:
        super().__init__(values, parent)
        self.secrets = secrets
        if secrets:
            _mask(secrets)
        self.began = began
        self.engine = engine
        self.cancel_requested = False
        self.recorded = False
        # How to ask the runs that tasks of this run have started to stop.
        self.inner: set[Callable[[], object]] = set()

    def request_cancel(self) -> None:
        """Ask the tasks of this run, and the runs inside them, to stop. Called in the driver's thread."""
        self.cancel_requested = True
        for ask in tuple(self.inner):
            ask()

    def enclosing(self) -> RunFrame | None:
        """Return the run whose task started this one, or None."""
        return run_around(self.parent)

    def __reduce__(self) -> tuple[type[RunFrame], tuple[object, ...], tuple[None, dict[str, object]]]:
        # Another process has plugins of its own, and nobody there to ask.
        made_of = self.values, self.parent, self.began, None, self.secrets
        return RunFrame, made_of, (None, {"recorded": self.recorded})

    def lookup(self, key: str) -> Any:
        if key == "cancel_requested":
            return self.cancel_requested
        if key not in DATE_KEYS:
            return self.values.get(key, MISSING)
        found = self._given(key)
        if found is not MISSING and key != "date":
            return found
        from headrace.run_dates import date_value  # noqa: PLC0415 - most runs ask for no date

        date = found if key == "date" else self._given("date")
        return date_value(key, None if date is MISSING else date, self.began)

    def _given(self, key: str) -> Any:
        """Return what somebody put under ``key``, for this run or around it; of a run around it only its ``date``."""
        found, frame = self.values.get(key, MISSING), self.parent
        while found is MISSING and frame is not None and (key == "date" or not isinstance(frame, RunFrame)):
            found = frame.values.get(key, MISSING) if isinstance(frame, ValuesFrame) else MISSING
            frame = frame.parent
        return found

    def keys(self) -> set[str]:
        return super().keys() | DATE_KEYS | {"cancel_requested"}


def _mask(secrets: Mapping[str, Any]) -> None:
    from headrace.masking import masker  # noqa: PLC0415 - few runs have secret parameters

    for value in secrets.values():
        masker.add(str(value) if isinstance(value, int | float) else value)


def run_around(frame: Frame | None) -> RunFrame | None:
    """Return the layer of the innermost run that ``frame`` lies in, or None."""
    while frame is not None and not isinstance(frame, RunFrame):
        frame = frame.parent
    return frame


current_frame: ContextVar[Frame | None] = ContextVar("headrace_frame", default=None)


class Block(Protocol):
    """A ``with`` block inside a flow that wants to know the tasks made in it."""

    def add_task(self, task: Task, flow: Flow) -> None: ...


class Build:
    """What a flow under construction gives to the tasks made in it."""

    __slots__ = ("block", "flow", "tags")

    def __init__(self, flow: Flow | None, tags: frozenset[str] = frozenset(), block: Block | None = None) -> None:
        self.flow = flow
        self.tags = tags
        self.block = block


_NO_BUILD: Final = Build(None)
building: ContextVar[Build] = ContextVar("headrace_building", default=_NO_BUILD)


@contextmanager
def tags(*names: str) -> Iterator[None]:
    """Give every task that is made, copied or bound inside the block these tags; nested uses add up."""
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        from headrace.exceptions import DefinitionTypeError  # noqa: PLC0415 - only where something is wrong

        raise DefinitionTypeError(f"`tags(...)` takes texts, and got {wrong[0]!r}.", hint="Write `tags('a', 'b')`.")
    outer = building.get()
    token = building.set(Build(outer.flow, outer.tags | set(names), outer.block))
    try:
        yield
    finally:
        building.reset(token)


class Context:
    """The mapping behind ``headrace.context``.

    A missing attribute raises AttributeError and a missing item KeyError; ``get`` returns the default.
    """

    __slots__ = ()

    def _lookup(self, key: str) -> Any:
        frame = current_frame.get()
        while frame is not None:
            value = frame.lookup(key)
            if value is not MISSING:
                return value
            frame = frame.parent
        derive = _DERIVED.get(key)
        return _configured(key) if derive is None else derive()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default`` if there is none."""
        value = self._lookup(key)
        return default if value is MISSING else value

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        value = self._lookup(key)
        if value is MISSING:
            raise AttributeError(f"headrace.context has no {key!r} here; it has {', '.join(sorted(self.keys()))}.")
        return value

    def __getitem__(self, key: str) -> Any:
        value = self._lookup(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: str) -> bool:
        return self._lookup(key) is not MISSING

    def keys(self) -> set[str]:
        """Return the names that have a value here."""
        names = {key for key, derive in _DERIVED.items() if derive() is not MISSING}
        frame = current_frame.get()
        while frame is not None:
            names |= {key for key in frame.keys() if frame.lookup(key) is not MISSING}  # noqa: SIM118 - not a mapping
            frame = frame.parent
        return names

    def to_dict(self) -> dict[str, Any]:
        """Return everything that has a value here, as a new dictionary."""
        return {key: self._lookup(key) for key in sorted(self.keys())}

    @contextmanager
    def __call__(self, **values: Any) -> Iterator[Context]:
        """Set ``values`` inside the block, for this thread and asyncio task."""
        token = current_frame.set(ValuesFrame(values, current_frame.get()))
        try:
            yield self
        finally:
            current_frame.reset(token)

    def __reduce__(self) -> str:
        # By name: a task of a script that reads the context is pickled with its globals, and finds this there.
        return "context"


def _build_flow() -> Any:
    return building.get().flow or MISSING


def _build_tags() -> Any:
    return set(building.get().tags) or MISSING


def _logger() -> Any:
    from headrace.log import get_logger  # noqa: PLC0415 - a run that logs nothing does not pay for logging

    return get_logger(context.get("task_full_name") or context.get("flow_name"))


def _config() -> Any:
    from headrace import config  # noqa: PLC0415 - read when first asked for

    return config.current()


def _configured(key: str) -> Any:
    return _config()["context"].get(key, MISSING)


_DERIVED: Final = {"config": _config, "flow": _build_flow, "logger": _logger, "tags": _build_tags}

context: Final = Context()
