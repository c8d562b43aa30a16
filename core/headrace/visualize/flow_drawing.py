"""The drawing of a flow, and of how a run of it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.marks import safe_color

if TYPE_CHECKING:
    from os import PathLike

    from headrace.flows import Flow
    from headrace.states import State
    from headrace.tasks import Task
    from headrace.visualize.drawing import Direction, Kind

__all__ = ["draw_flow", "from_flow"]


def draw_flow(
    flow: Flow,
    state: State | None = None,
    *,
    filename: str | PathLike[str] | None = None,
    format: str = "svg",  # noqa: A002 - what flow.visualize calls it
    direction: Direction = "TB",
) -> str:
    """Return a drawing of a flow as text in one of the formats of `headrace.visualize.render`; also write it to a file.

    With the state of a run, tasks show how they ended. Raises `headrace.visualize.DrawingError` for an unknown format.
    """
    from headrace.visualize import render  # noqa: PLC0415 - the package's front door imports this module in turn

    text = render(from_flow(flow, state), format, direction=direction)
    if filename is not None:
        from pathlib import Path  # noqa: PLC0415 - only to write a file

        Path(filename).write_text(text, encoding="utf-8")
    return text


def from_flow(flow: Flow, state: State | None = None) -> Drawing:
    """Describe a flow as a drawing; with the state of a run, its nodes carry the states that ``state.result`` holds.

    Nodes come in the order of ``flow.sorted_tasks()`` and are identified by slug. Mapped children are counted, not
    drawn; a mapped task with failed children shows the state of the first of them.
    """
    tasks = flow.sorted_tasks()
    place = {task: number for number, task in enumerate(tasks)}
    edges = sorted(flow.edges, key=lambda edge: (place[edge.downstream_task], place[edge.upstream_task]))
    mapped: dict[Task, bool] = {}
    for edge in edges:  # by downstream task, so what is upstream of an edge has been settled
        if edge.mapped and (edge.key or mapped.get(edge.upstream_task)):
            mapped[edge.downstream_task] = True
    states = state.result if state is not None and isinstance(state.result, Mapping) else {}
    return Drawing(
        title=flow.name,
        nodes=tuple(_node(task, flow.slugs[task], states.get(task), mapped=task in mapped) for task in tasks),
        edges=tuple(
            Edge(
                source=flow.slugs[edge.upstream_task],
                target=flow.slugs[edge.downstream_task],
                label=edge.key,
                mapped=edge.mapped,
            )
            for edge in edges
        ),
    )


def _node(task: Task, slug: str, state: State | None, *, mapped: bool) -> Node:
    if state is None:
        return Node(id=slug, label=task.name, kind=_kind(task), mapped=mapped)
    shown, detail = state, None
    if state.is_mapped():
        mapped = True
        children: list[State | None] = getattr(state, "map_states", [])
        detail = _count(children)
        shown = next((child for child in children if child is not None and child.is_failed()), state)
    name = type(shown).__name__
    return Node(
        id=slug,
        label=task.name,
        kind=_kind(task),
        mapped=mapped,
        state=name,
        color=safe_color(shown.color, name),
        detail=detail,
    )


def _kind(task: Task) -> Kind:
    from headrace.parameters import Parameter  # noqa: PLC0415 - drawing must not load what people write flows with
    from headrace.values import Constant  # noqa: PLC0415

    if isinstance(task, Parameter):
        return "parameter"
    return "constant" if isinstance(task, Constant) else "task"


def _count(children: list[State | None]) -> str:
    words = Counter(map(_word, children))
    total = f"{len(children):,} {'child' if len(children) == 1 else 'children'}"
    return f"{total}: {', '.join(f'{count:,} {word}' for word, count in words.items())}" if words else total


def _word(state: State | None) -> str:
    if state is None:
        return "not started"
    name = type(state).__name__
    if name == "Success":
        return "ok"
    return "failed" if state.is_failed() else name.lower()
