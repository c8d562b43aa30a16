"""Draw flows, without any program beside Python.

`from_flow` turns a flow, and the state of a run if there is one, into a `Drawing`: boxes and arrows with no task
behind them. `render` writes a drawing as SVG, as Mermaid or DOT text, or as a tree for the terminal.
Everything is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.visualize.dot import GraphvizError as GraphvizError
    from headrace.visualize.dot import render_with_graphviz as render_with_graphviz
    from headrace.visualize.drawing import Direction, Drawing
    from headrace.visualize.drawing import DrawingError as DrawingError
    from headrace.visualize.drawing import Edge as Edge
    from headrace.visualize.drawing import Node as Node
    from headrace.visualize.flow_drawing import draw_flow as draw_flow
    from headrace.visualize.flow_drawing import from_flow as from_flow

__all__ = [
    "FORMATS",
    "Drawing",
    "DrawingError",
    "Edge",
    "GraphvizError",
    "Node",
    "draw_flow",
    "from_flow",
    "render",
    "render_with_graphviz",
]

FORMATS = ("svg", "mermaid", "text", "dot")
"""What `render` can write."""

_HOMES = {
    "Drawing": "drawing",
    "DrawingError": "drawing",
    "Edge": "drawing",
    "GraphvizError": "dot",
    "Node": "drawing",
    "draw_flow": "flow_drawing",
    "from_flow": "flow_drawing",
    "render_with_graphviz": "dot",
}


def render(drawing: Drawing, format: str, *, direction: Direction = "TB") -> str:  # noqa: A002 - the natural word
    """Write a drawing as ``"svg"``, ``"mermaid"``, ``"text"`` or ``"dot"``; a text tree has no direction.

    Raises `DrawingError` for another format or direction, and `headrace.exceptions.CycleError` where the format follows
    the arrows (SVG and text) and they run in a circle.
    """
    from headrace.visualize.drawing import DrawingError  # noqa: PLC0415 - importing this package imports nothing

    if direction not in {"TB", "LR"}:
        raise DrawingError(f"A drawing cannot run in the direction {direction!r}.", hint='Known: "TB" and "LR".')
    if format == "svg":
        from headrace.visualize.svg import to_svg  # noqa: PLC0415

        return to_svg(drawing, direction=direction)
    if format == "mermaid":
        from headrace.visualize.mermaid import to_mermaid  # noqa: PLC0415

        return to_mermaid(drawing, direction=direction)
    if format == "text":
        from headrace.visualize.text import to_text  # noqa: PLC0415

        return to_text(drawing)
    if format == "dot":
        from headrace.visualize.dot import to_dot  # noqa: PLC0415

        return to_dot(drawing, direction=direction)
    raise _unknown_format(format)


def _unknown_format(format: str) -> DrawingError:  # noqa: A002
    from headrace.exceptions import nearest  # noqa: PLC0415
    from headrace.visualize.drawing import DrawingError  # noqa: PLC0415

    return DrawingError(f"A drawing cannot be written as {format!r}.", hint=nearest(format, FORMATS))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
