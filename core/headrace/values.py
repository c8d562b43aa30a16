"""Plain values as tasks: constants, and collections that hold tasks."""

from __future__ import annotations

from copy import copy
from inspect import signature
from typing import TYPE_CHECKING, Any

from headrace.edges import EdgeAnnotation
from headrace.exceptions import FlowDefinitionError, NoActiveFlowError, TaskDefinitionError
from headrace.run_context import building
from headrace.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.flows import Flow

__all__ = ["Constant", "DataClass", "Dict", "List", "Set", "Tuple", "as_task", "holds_task"]

_SHORT = 8


class Constant(Task):
    """A fixed value as a node of the graph. It is never executed: its state is Success from the start."""

    auto_generated = True

    def __init__(self, value: Any, name: str | None = None, **task_args: Any) -> None:
        self.value = value
        super().__init__(name or _constant_name(value), **task_args)

    def run(self) -> Any:
        return self.value

    def resolve(self, parameters: Mapping[str, Any]) -> Any:
        """Return the value, without an executor."""
        del parameters
        return self.value


def _constant_name(value: object) -> str:
    long = f"Constant[{type(value).__name__}]"
    # A repr can be as large as the value; a container of more than a few elements cannot have a short one.
    if isinstance(value, str | list | tuple | dict | set | bytes) and len(value) > _SHORT:
        return long
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything; a deep list exceeds the recursion limit
        return long
    return text if len(text) <= _SHORT else long


class _Gather(Task):
    """Gathers ``arg_1 ... arg_n`` in numeric order."""

    auto_generated = True

    @staticmethod
    def _ordered(items: Mapping[str, Any]) -> list[Any]:
        return [items[key] for key in sorted(items, key=lambda key: int(key.removeprefix("arg_")))]


class List(_Gather):
    """Gathers results into a list."""

    def run(self, **items: Any) -> list[Any]:
        return self._ordered(items)


class Tuple(_Gather):
    """Gathers results into a tuple, or into a named tuple of class ``kind``."""

    def __init__(self, kind: type[Any] = tuple, **task_args: Any) -> None:
        self.kind = kind
        super().__init__(**task_args)

    def run(self, **items: Any) -> Any:
        return getattr(self.kind, "_make", self.kind)(self._ordered(items))


class Set(_Gather):
    """Gathers results into a set, or into a frozenset."""

    def __init__(self, kind: type[Any] = set, **task_args: Any) -> None:
        self.kind = kind
        super().__init__(**task_args)

    def run(self, **items: Any) -> Any:
        return self.kind(self._ordered(items))


class Dict(Task):
    """Gathers keys and values into a dictionary."""

    auto_generated = True

    def run(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        if len(keys) != len(values):
            raise TaskDefinitionError(f"A dictionary of {len(keys)} keys got {len(values)} values.")
        return dict(zip(keys, values, strict=True))


class DataClass(Task):
    """Gathers the fields of an instance of the dataclass ``kind``, and makes it anew from the results."""

    auto_generated = True

    def __init__(self, kind: type[Any], **task_args: Any) -> None:
        self.kind = kind
        super().__init__(**{"name": kind.__name__, **task_args})

    def run(self, **fields: Any) -> Any:
        return self.kind(**fields)


_CONTAINERS = (list, tuple, set, frozenset, dict, EdgeAnnotation)


def _contains(kind: type) -> bool:
    """Tell whether instances of ``kind`` are looked into for tasks."""
    return issubclass(kind, _CONTAINERS) or hasattr(kind, "__dataclass_fields__")


def holds_task(value: object) -> bool:
    """Tell whether ``value`` is a task, or holds one at any depth.

    Lists, tuples, sets, dicts, annotations and instances of dataclasses are looked into.
    """
    if isinstance(value, Task):
        return True
    if not _contains(type(value)):
        return False
    seen: set[int] = set()
    stack: list[object] = [value]
    while stack:
        container: Any = stack.pop()
        if id(container) in seen:
            continue
        seen.add(id(container))
        items = _items(container)
        # A large list holds few types, so these are looked at instead of each element.
        types = set(map(type, items))
        if any(issubclass(kind, Task) for kind in types):
            return True
        if any(map(_contains, types)):
            stack.extend(item for item in items if _contains(type(item)))
    return False


def _items(container: Any) -> Collection[object]:
    if isinstance(container, EdgeAnnotation):
        return (container.value,)
    if isinstance(container, dict):
        return container.values()
    if hasattr(container, "__dataclass_fields__"):
        from headrace.dataclass_fields import fields_of  # noqa: PLC0415 - only for instances of dataclasses

        return fields_of(container).values()
    found: Collection[object] = container
    return found


def as_task(value: Any, flow: Flow | None = None) -> Task:
    """Return ``value`` as a task of the flow being built: itself, a `Constant`, or a task that gathers a collection."""
    if isinstance(value, EdgeAnnotation):
        value = value.value
    if isinstance(value, Task):
        return value
    flow = flow or building.get().flow
    if flow is None:
        raise NoActiveFlowError(repr(value))
    if not holds_task(value):
        return Constant(value)
    gathered: Task = _Gathering(flow).gather(value)
    return gathered


class _Open:
    """A container whose items are being looked at; ``left`` are those that are containers too."""

    __slots__ = ("container", "items", "left")

    def __init__(self, container: Any) -> None:
        self.container = container
        self.items = list(_items(container))
        self.left = [item for item in reversed(self.items) if not isinstance(item, Task) and _contains(type(item))]


class _Gathering:
    """Makes the tasks that gather one argument, the inner ones first. Takes no more stack for deeper nesting."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        # By id of a container: what stands for it in the flow. All containers are kept, so that no id comes twice.
        self._done: dict[int, Any] = {}
        self._kept: list[_Open] = []
        self._open: set[int] = set()
        self._knots: set[int] = set()

    def gather(self, value: Any) -> Any:
        """Return a task for ``value`` if it holds one, else ``value`` itself."""
        stack = [self._opened(value)]
        while stack:
            current = stack[-1]
            if not current.left:
                self._close(stack.pop())
                continue
            inner = current.left.pop()
            if id(inner) in self._open:
                self._knots.add(id(inner))
            elif id(inner) not in self._done:
                stack.append(self._opened(inner))
        return self._done[id(value)]

    def _opened(self, container: Any) -> _Open:
        self._open.add(id(container))
        self._kept.append(_Open(container))
        return self._kept[-1]

    def _close(self, closed: _Open) -> None:
        container = closed.container
        key = id(container)
        items = [self._done.get(id(item), item) for item in closed.items]
        self._open.remove(key)
        if isinstance(container, EdgeAnnotation):
            self._done[key] = _annotated(container, items[0])
            return
        if not any(isinstance(item, Task | EdgeAnnotation) and holds_task(item) for item in items):
            self._done[key] = container
            return
        if key in self._knots:
            raise FlowDefinitionError(
                f"A {type(container).__name__} that holds tasks holds itself.", hint="Pass the tasks in a flat list."
            )
        self._done[key] = self._task_for(container, items)

    def _task_for(self, container: Any, items: list[Any]) -> Task:
        if isinstance(container, dict):
            return self._dictionary(list(container), items)
        if isinstance(container, tuple):
            return self._numbered(_tuple_task(type(container)), items)
        if isinstance(container, set | frozenset):
            return self._numbered(Set(frozenset if isinstance(container, frozenset) else set), items)
        if isinstance(container, list):
            return self._numbered(List(), items)
        return self._dataclass(container, items)

    def _numbered(self, gather: Task, items: list[Any]) -> Task:
        return gather.bind(**{f"arg_{i}": item for i, item in enumerate(items, start=1)}, flow=self._flow)

    def _dictionary(self, keys: list[Any], values: list[Any]) -> Task:
        gathered = Dict().bind(keys=[], values=self._numbered(List(), values), flow=self._flow)
        # Keys stay plain, whatever they are: a task as a key would have no value to hash yet.
        self._flow.constants[gathered]["keys"] = keys
        return gathered

    def _dataclass(self, instance: Any, values: list[Any]) -> Task:
        from headrace.dataclass_fields import fields_of  # noqa: PLC0415 - as above

        kind, names = type(instance), list(fields_of(instance))
        others = signature(kind).parameters.keys() ^ set(names)
        if others:
            raise FlowDefinitionError(
                f"A {kind.__name__} that holds tasks cannot be made anew from their results: "
                f"its constructor and its fields disagree about {', '.join(map(repr, sorted(others)))}.",
                hint=f"Make the {kind.__name__} in a task.",
            )
        gathered = DataClass(kind)
        # Not `bind`, to which a field named `flow` would mean something else.
        self._flow.set_dependencies(gathered, keyword_tasks=dict(zip(names, values, strict=True)))
        return gathered


def _tuple_task(kind: type[Any]) -> Tuple:
    # Any other subclass of tuple may be made in a way that nobody here knows.
    return Tuple(kind, name=kind.__name__) if hasattr(kind, "_make") else Tuple()


def _annotated(annotation: EdgeAnnotation, value: Any) -> EdgeAnnotation:
    """Return ``annotation`` around what stands for its value."""
    if value is annotation.value:
        return annotation
    new = copy(annotation)
    new.value = value
    return new
