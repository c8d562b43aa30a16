"""Edges between tasks, and the annotations that say how an argument crosses one."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.exceptions import DefinitionTypeError, FlowDefinitionError

if TYPE_CHECKING:
    from headrace.tasks import Task

__all__ = ["Edge", "EdgeAnnotation", "flatten", "mapped", "unmapped"]


def check_key(task: str, key: str) -> None:
    """Refuse what cannot be the name of an argument."""
    if not isinstance(key, str):
        raise DefinitionTypeError(f"Arguments of task {task!r} are named by texts, and got {key!r}.")
    if not key.isidentifier() or iskeyword(key):
        reason = "a word of the language" if iskeyword(key) else "not a Python identifier"
        raise FlowDefinitionError(
            f"{key!r} cannot be an argument of task {task!r}: it is {reason}.",
            hint="Give a dictionary as one argument.",
        )


class Edge:
    """``downstream_task`` runs after ``upstream_task`` and, with a ``key``, gets its result as that argument.

    ``mapped``: each child of the downstream task gets one element. ``flattened``: one level of nesting is removed
    first. Edges are equal if all five fields are.
    """

    __slots__ = ("_hash", "downstream_task", "flattened", "key", "mapped", "upstream_task")

    def __init__(
        self,
        upstream_task: Task,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
    ) -> None:
        if upstream_task is downstream_task:
            raise FlowDefinitionError(f"Task {upstream_task.name!r} cannot depend on itself.")
        if key is not None:
            check_key(downstream_task.name, key)
        self.upstream_task = upstream_task
        self.downstream_task = downstream_task
        self.key = key
        self.mapped = mapped
        self.flattened = flattened
        self._hash = hash((id(upstream_task), id(downstream_task), key, mapped, flattened))

    @property
    def tasks(self) -> set[Task]:
        """Both ends."""
        return {self.upstream_task, self.downstream_task}

    def _identity(self) -> tuple[object, ...]:
        return id(self.upstream_task), id(self.downstream_task), self.key, self.mapped, self.flattened

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Edge) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        argument = f" as {self.key!r}" if self.key else ""
        marks = "".join(f", {name}" for name in ("mapped", "flattened") if getattr(self, name))
        return f"<Edge: {self.upstream_task.name} to {self.downstream_task.name}{argument}{marks}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The hash is made of identities, which do not survive pickling.
        return Edge, (self.upstream_task, self.downstream_task, self.key, self.mapped, self.flattened)


class EdgeAnnotation:
    """Wraps an argument to say how it crosses the edge. Annotations nest; where two disagree, the inner one wins."""

    annotations: ClassVar[dict[str, bool]] = {}

    def __init__(self, value: Any) -> None:
        self.value: Any = value
        self.merged: dict[str, bool] = dict(self.annotations)
        if isinstance(value, EdgeAnnotation):
            self.merged |= value.merged
            self.value = value.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class mapped(EdgeAnnotation):  # noqa: N801 - reads as a word at the call site
    """Give each mapped child one element of this argument."""

    annotations = {"mapped": True}  # noqa: RUF012 - declared ClassVar above


class unmapped(EdgeAnnotation):  # noqa: N801
    """Give every mapped child this argument whole."""

    annotations = {"mapped": False}  # noqa: RUF012


class flatten(EdgeAnnotation):  # noqa: N801
    """Remove one level of nesting from this argument first."""

    annotations = {"flattened": True}  # noqa: RUF012
