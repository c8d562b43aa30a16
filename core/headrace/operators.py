"""What ``a + b``, ``a[k]``, ``a | b`` and their like mean between tasks: each makes a task that does it at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.abc import ResultStore
    from headrace.results import Result
    from headrace.tasks import Task

__all__ = ["OperatorsMixin"]


def _binary(class_name: str) -> tuple[Callable[[Any, object], Task], Callable[[Any, object], Task]]:
    """Return the method for ``task OP other`` and its reflection for ``other OP task``."""

    def forward(self: Task, other: object) -> Task:
        return _make(class_name).bind(self, other)

    def reflected(self: Task, other: object) -> Task:
        return _make(class_name).bind(other, self)

    return forward, reflected


def _make(class_name: str) -> Task:
    from headrace import operator_tasks  # noqa: PLC0415 - its classes are tasks, which derive from this module's mixin

    made: Task = getattr(operator_tasks, class_name)()
    return made


def _store_of(result: str | ResultStore | Result) -> str | ResultStore | None:
    """Return where ``result`` is kept: an item has a location of its own, and may not have the form of the whole."""
    from headrace.results import Result  # noqa: PLC0415 - only for tasks that have a result

    return result.store if isinstance(result, Result) else result


class OperatorsMixin:
    """Operators of tasks. ``==`` and ``!=`` compare identity, as Python needs for sets; use `is_equal`."""

    __add__, __radd__ = _binary("Add")
    __sub__, __rsub__ = _binary("Sub")
    __mul__, __rmul__ = _binary("Mul")
    __truediv__, __rtruediv__ = _binary("Div")
    __floordiv__, __rfloordiv__ = _binary("FloorDiv")
    __mod__, __rmod__ = _binary("Mod")
    __pow__, __rpow__ = _binary("Pow")
    __and__, __rand__ = _binary("And")
    __gt__ = _binary("GreaterThan")[0]
    __ge__ = _binary("GreaterThanOrEqual")[0]
    __lt__ = _binary("LessThan")[0]
    __le__ = _binary("LessThanOrEqual")[0]

    def is_equal(self, other: object) -> Task:
        """Make a task that compares the results with ``==``."""
        return _make("Equal").bind(self, other)

    def is_not_equal(self, other: object) -> Task:
        """Make a task that compares the results with ``!=``."""
        return _make("NotEqual").bind(self, other)

    def not_(self) -> Task:
        """Make a task that negates the result."""
        return _make("Not").bind(self)

    def or_(self, other: object) -> Task:
        """Make a task that returns ``self or other``."""
        return _make("Or").bind(self, other)

    def __or__(self: Any, other: object) -> Any:
        """Let ``other`` run after this task; ``a | b`` stands for b."""
        from headrace.values import as_task  # noqa: PLC0415 - see _make

        downstream = as_task(other)
        downstream.set_upstream(self)
        return downstream

    def __ror__(self: Any, other: object) -> Any:
        self.set_upstream(other)
        return self

    def __getitem__(self: Any, key: object) -> Task:
        from headrace.operator_tasks import GetItem  # noqa: PLC0415 - see _make

        store = None if self.result is None else _store_of(self.result)
        return GetItem(name=f"{self.name}[{key!r}]", checkpoint=self.checkpoint, result=store).bind(self, key)

    # Python would drop the hash of a class that defines comparisons.
    __hash__ = object.__hash__
