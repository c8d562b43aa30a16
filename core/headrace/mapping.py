"""Mapping a whole part of a flow: ``apply_map(function, items)``."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.edges import EdgeAnnotation
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError, NoActiveFlowError
from headrace.flows import Flow
from headrace.parameters import Parameter
from headrace.run_context import building
from headrace.task_options import check_several
from headrace.tasks import Task
from headrace.values import Constant, as_task, holds_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.edges import Edge

__all__ = ["apply_map"]

R = TypeVar("R")


def apply_map(func: Callable[..., R], *args: Any, flow: Flow | None = None, **kwargs: Any) -> R:
    """Run the tasks that ``func`` puts together once for each element of the arguments; return what ``func`` returns.

    ``func`` is called once, while the flow is built. Every task that it makes becomes a mapped task, whose children
    depend on the children of the others one by one. An argument in `unmapped` goes to every child whole, one in
    `flatten` is un-nested first. Tasks that are used without being arguments go to every child whole too.

    Args:
        func: calls tasks, and may use `case`, `switch`, `merge` and resources; it may not map or flatten itself.
        args, kwargs: what to map over: tasks, or anything that can be iterated over.
        flow: the flow to add to; by default the one whose ``with`` block is open.

    Raises:
        NoActiveFlowError: there is no flow to add to.
        DefinitionTypeError: an argument can never be iterated over.
        FlowDefinitionError: ``func`` maps or flattens.
    """
    name = getattr(func, "__name__", "apply_map")
    flow = flow or building.get().flow
    if flow is None:
        raise NoActiveFlowError(name)
    given = _arguments([*args, *kwargs.values()], flow)
    values = [argument.value for argument in given]
    with _Body(name) as body:
        result = func(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))
    mapped = _Copy(body, flow, given)
    mapped.run()
    return mapped.place.get(result, result) if isinstance(result, Task) else result  # type: ignore[return-value]


class _Argument:
    """One argument: ``value`` is what the function gets, and ``task`` what stands behind it if that is a task."""

    __slots__ = ("flattened", "mapped", "task", "value")

    def __init__(self, value: Any, flow: Flow) -> None:
        annotations = value.merged if isinstance(value, EdgeAnnotation) else {}
        value = value.value if isinstance(value, EdgeAnnotation) else value
        self.mapped = annotations.get("mapped", True)
        self.flattened = annotations.get("flattened", False)
        if self.mapped and not (isinstance(value, Task) or hasattr(value, "__iter__")):
            raise DefinitionTypeError(
                f"`apply_map` cannot map over {value!r}, which is not iterable.",
                hint="Wrap it in `unmapped(...)` to give it whole to every child.",
            )
        if self.mapped and hasattr(value, "__next__"):
            # An iterator could only be mapped over in the first run.
            value = list(value)
        plain = not (self.mapped or self.flattened or holds_task(value))
        self.task: Task | None = None if plain else as_task(value, flow)
        self.value: Any = value if plain else self.task


def _arguments(values: Iterable[Any], flow: Flow) -> list[_Argument]:
    found: list[_Argument] = []
    for value in values:
        argument = _Argument(value, flow)
        if any(other.value is argument.task is not None for other in found):
            # The same task in two ways, mapped and whole, say: what the function does with each must be told apart.
            argument.value = copy(argument.task)
        found.append(argument)
    return found


class _Body(Flow):
    """The tasks that one call of the function makes."""

    def _bind(
        self, task: Task, arguments: Mapping[str, Any], upstream_tasks: Iterable[object] | None, mapped: bool
    ) -> None:
        others = list(check_several(repr(task), "upstream_tasks", upstream_tasks))
        self._refuse_maps(task, mapped, [*arguments.values(), *others])
        super()._bind(task, arguments, others, mapped)

    def add_edge(
        self,
        upstream_task: object,
        downstream_task: object,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
        validate: bool | None = None,
    ) -> Edge:
        """Add an edge that is neither mapped nor flattened."""
        self._refuse_maps(downstream_task, mapped or flattened, [upstream_task])
        return super().add_edge(upstream_task, downstream_task, key, validate=validate)

    def _refuse_maps(self, task: object, maps: bool, values: Iterable[object]) -> None:
        if maps or any(isinstance(value, EdgeAnnotation) and any(value.merged.values()) for value in values):
            name = getattr(task, "name", repr(task))
            raise FlowDefinitionError(
                f"Task {name!r} maps or flattens inside {self.name!r}, which `apply_map` maps as a whole.",
                hint="Call it without `.map` and `flatten`, or do that outside of the function.",
            )


class _Each(Task):
    """Has one child for each element, which tasks that take no element wait for."""

    auto_generated = True

    def run(self, **elements: Any) -> None:
        """Return nothing: what counts is how many children there are."""


class _Copy:
    """Copies a body into a flow, where its tasks become mapped ones. ``place`` is what stands for what there."""

    def __init__(self, body: Flow, flow: Flow, arguments: list[_Argument]) -> None:
        self._body = body
        self._flow = flow
        self._arguments: dict[Task, _Argument] = {a.value: a for a in arguments if a.task is not None}
        self.place = {value: argument.task for value, argument in self._arguments.items() if argument.task is not None}
        known = self._arguments.keys() | flow.tasks
        self._own = [task for task in body.sorted_tasks() if task not in known]
        # Parameters and constants are the same for every element.
        self._inner = {task for task in self._own if not isinstance(task, Parameter | Constant)}
        self._maps = any(argument.mapped for argument in arguments)
        self._each: Task | None = None

    def run(self) -> None:
        """Copy everything."""
        for task in [*self.place.values(), *self._own]:
            self._flow.add_task(task)
        for task, values in self._body.constants.items():
            self._flow.constants.setdefault(task, {}).update(values)
        for edge in self._body.edges:
            self._connect(edge)
        for task in self._own:
            if task in self._inner and not self._body.upstream_tasks(task) & self._inner:
                self._begin(task)

    def _connect(self, edge: Edge) -> None:
        upstream, downstream = edge.upstream_task, edge.downstream_task
        argument = self._arguments.get(upstream)
        mapped = self._maps if argument is None else argument.mapped
        self._flow.add_edge(
            self.place.get(upstream, upstream),
            self.place.get(downstream, downstream),
            edge.key,
            mapped=mapped and downstream in self._inner and (argument is not None or upstream in self._inner),
            flattened=argument is not None and argument.flattened,
        )

    def _begin(self, task: Task) -> None:
        """Let a task without upstream tasks in the body have a child for each element, and wait for all arguments."""
        edges = self._body.edges_to(task)
        known = {edge.upstream_task for edge in edges}
        if self._maps and not any(edge.key and self._is_mapped(edge.upstream_task) for edge in edges):
            self._flow.add_edge(self._elements(), task, mapped=True)
            known |= {value for value in self._arguments if self._is_mapped(value)}
        for value, argument in self._arguments.items():
            if value not in known and not isinstance(argument.task, Parameter | Constant):
                # Children of what is flattened are not those of this task.
                self._flow.add_edge(argument.task, task, mapped=argument.mapped and not argument.flattened)

    def _is_mapped(self, task: Task) -> bool:
        argument = self._arguments.get(task)
        return argument is not None and argument.mapped

    def _elements(self) -> Task:
        if self._each is None:
            self._each = self._flow.add_task(_Each(name=f"{self._body.name}[...]"))
            mapped = [argument for argument in self._arguments.values() if argument.mapped]
            for i, argument in enumerate(mapped, start=1):
                self._flow.add_edge(argument.task, self._each, f"arg_{i}", mapped=True, flattened=argument.flattened)
        return self._each
