"""Plain values as tasks: constants, and collections that hold tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.edges import EdgeAnnotation
from headrace.exceptions import FlowDefinitionError, NoActiveFlowError, TaskDefinitionError
from headrace.run_context import building
from headrace.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.flows import Flow

__all__ = ["Constant", "Dict", "List", "Set", "Tuple", "as_task", "holds_task"]

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
    """Gathers results into a tuple."""

    def run(self, **items: Any) -> tuple[Any, ...]:
        return tuple(self._ordered(items))


class Set(_Gather):
    """Gathers results into a set."""

    def run(self, **items: Any) -> set[Any]:
        return set(self._ordered(items))


class Dict(Task):
    """Gathers keys and values into a dictionary."""

    auto_generated = True

    def run(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        if len(keys) != len(values):
            raise TaskDefinitionError(f"A dictionary of {len(keys)} keys got {len(values)} values.")
        return dict(zip(keys, values, strict=True))


_CONTAINERS = (list, tuple, set, frozenset, dict, EdgeAnnotation)


def holds_task(value: object) -> bool:
    """Tell whether ``value`` is a task or a list, tuple, set, dict or annotation that holds one at any depth."""
    if not isinstance(value, _CONTAINERS):
        return isinstance(value, Task)
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
        if any(issubclass(kind, _CONTAINERS) for kind in types):
            stack.extend(item for item in items if isinstance(item, _CONTAINERS))
    return False


def _items(container: Any) -> Collection[object]:
    if isinstance(container, EdgeAnnotation):
        return (container.value,)
    found: Collection[object] = container.values() if isinstance(container, dict) else container
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
    try:
        return _gather(value, flow)
    except RecursionError:
        raise FlowDefinitionError(
            f"A {type(value).__name__} that holds tasks is nested too deeply, or holds itself.",
            hint="Pass the tasks in a flat list.",
        ) from None


def _gather(value: Any, flow: Flow) -> Task:
    if isinstance(value, dict):
        gathered = Dict().bind(keys=[], values=list(value.values()), flow=flow)
        # Keys stay plain, whatever they are: a task as a key would have no value to hash yet.
        flow.constants[gathered]["keys"] = list(value)
        return gathered
    kind = List if isinstance(value, list) else Tuple if isinstance(value, tuple) else Set
    return kind().bind(**{f"arg_{i}": item for i, item in enumerate(value, start=1)}, flow=flow)
