"""A drawing as one SVG 1.1 document with nothing outside it: no script, no font, no reference.

States are told by an outline, a symbol and a word as well as by colour. The picture follows the reader's light or
dark colour scheme, and its style rules touch nothing else on a page that it is put into.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headrace.visualize.badges import badge
from headrace.visualize.layout import layout
from headrace.visualize.marks import mark_for, safe_color
from headrace.visualize.sizes import (
    BOLD,
    DETAIL_SIZE,
    EDGE_LABEL_SIZE,
    LABEL_SIZE,
    STACK_HEIGHT,
    clean_text,
    edge_text,
    face_of,
    shorten,
    text_width,
)

if TYPE_CHECKING:
    from headrace.visualize.drawing import Direction, Drawing, Node
    from headrace.visualize.layout import Box, Layout, Point, Route

__all__ = ["to_svg"]

_MARGIN = 24.0
_TITLE_HEIGHT = 34.0
_LEGEND_ROW = 24.0
_TITLE_SIZE = 15.0
_LEGEND_SIZE = 11.5
_LEAST_WIDTH = 320.0
_HEAD_LENGTH = 7.0

_STYLE = """
svg.headrace-drawing{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.headrace-drawing .page{fill:#fbfcfd}
.headrace-drawing .card{fill:#fff;stroke:#aab4c1;stroke-width:1.25}
.headrace-drawing .parameter .card{fill:#eef2f7}
.headrace-drawing .constant .card{fill:#f4f5f7;stroke-dasharray:3 2.5}
.headrace-drawing .inner{fill:none;stroke:#aab4c1}
.headrace-drawing .line{fill:none;stroke:#8893a2;stroke-width:1.5}
.headrace-drawing .mapped-line{stroke-dasharray:5 3.5}
.headrace-drawing .head{fill:#8893a2}
.headrace-drawing text{fill:#1c2430}
.headrace-drawing .label{font-size:13px;font-weight:600}
.headrace-drawing .title{font-size:15px;font-weight:700}
.headrace-drawing .detail{font-size:11px;fill:#556070}
.headrace-drawing .legend{font-size:11.5px;fill:#3c4654}
.headrace-drawing .edge-label{font-size:10.5px;fill:#556070;text-anchor:middle}
.headrace-drawing .icon{fill:none;stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}
.headrace-drawing .ring{fill:#fff}
.headrace-drawing .ink{stroke:#3c4654}
@media (prefers-color-scheme:dark){
.headrace-drawing .page{fill:#12161c}
.headrace-drawing .card{fill:#1c222b;stroke:#4c5866}
.headrace-drawing .parameter .card{fill:#252d38}
.headrace-drawing .constant .card{fill:#20262f}
.headrace-drawing .inner{stroke:#4c5866}
.headrace-drawing .line{stroke:#76818f}
.headrace-drawing .head{fill:#76818f}
.headrace-drawing text{fill:#e8edf3}
.headrace-drawing .detail,.headrace-drawing .edge-label{fill:#a3aebb}
.headrace-drawing .legend{fill:#c2cad4}
.headrace-drawing .ring{fill:#1c222b}
.headrace-drawing .ink{stroke:#c2cad4}
}
"""


def to_svg(drawing: Drawing, *, direction: Direction = "TB") -> str:
    """Draw as SVG text; raise `headrace.exceptions.CycleError` if the edges run in a circle."""
    placed = layout(drawing, direction)
    width = max(_LEAST_WIDTH, placed.width + 2 * _MARGIN)
    header, top = _header(drawing, width)
    height = top + placed.height + _MARGIN
    left = (width - placed.width) / 2
    size = f'width="{_n(width)}" height="{_n(height)}"'
    view = f'viewBox="0 0 {_n(width)} {_n(height)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="headrace-drawing" role="img" {size} {view}>',
        f"<title>{_escape(drawing.title)}</title>",
        f"<desc>{_escape(_description(drawing))}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" {size} rx="10"/>',
        *header,
        f'<g transform="translate({_n(left)} {_n(top)})">',
        *(_edge(route, direction) for route in placed.routes),
        *(_edge_label(route) for route in placed.routes if route.label_at),
        *_nodes(drawing, placed),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description(drawing: Drawing) -> str:
    kinds = Counter(node.kind for node in drawing.nodes)
    states = Counter(node.state for node in drawing.nodes if node.state)
    counted = [f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in kinds.items()]
    counted.append(f"{len(drawing.edges):,} edge{'' if len(drawing.edges) == 1 else 's'}")
    text = f"A flow chart of {', '.join(counted)}."
    if states:
        text += f" States: {', '.join(f'{count:,} {state}' for state, count in states.items())}."
    return text


def _header(drawing: Drawing, width: float) -> tuple[list[str], float]:
    """Return the title and the legend, and how far down the picture proper begins."""
    shown = shorten(drawing.title, width - 2 * _MARGIN, _TITLE_SIZE * BOLD)
    parts = [f'<text class="title" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 12)}">{_escape(shown)}</text>'] if shown else []
    top = _MARGIN + (_TITLE_HEIGHT if shown else 0.0)
    legend, depth = _legend(drawing, width, top)
    return parts + legend, top + depth


def _legend(drawing: Drawing, width: float, top: float) -> tuple[list[str], float]:
    states = Counter(node.state for node in drawing.nodes if node.state)
    if not states:
        return [], 0.0
    colors = {node.state: safe_color(node.color, node.state) for node in reversed(drawing.nodes) if node.state}
    parts: list[str] = []
    x, y = _MARGIN, top + 4.0
    for state, count in states.items():
        text = f"{shorten(state, 160.0, _LEGEND_SIZE)} {count:,}"
        needed = 24.0 + text_width(text, _LEGEND_SIZE)
        if x > _MARGIN and x + needed > width - _MARGIN:
            x, y = _MARGIN, y + _LEGEND_ROW
        parts.append(badge(mark_for(state), colors[state], x + 7.0, y, scale=0.82))
        parts.append(f'<text class="legend" x="{_n(x + 19)}" y="{_n(y + 4)}">{_escape(text)}</text>')
        x += needed + 16.0
    return parts, y - top + 26.0


def _edge(route: Route, direction: Direction) -> str:
    style = "line mapped-line" if route.edge.mapped else "line"
    points = list(route.points)
    head = ""
    if not route.ends_at_joint:
        x, y = points[-1]
        if direction == "TB":
            points[-1] = (x, y - _HEAD_LENGTH + 1)
            head = f'<path class="head" d="M{_n(x)} {_n(y)}l-4 -{_HEAD_LENGTH:g}h8z"/>'
        else:
            points[-1] = (x - _HEAD_LENGTH + 1, y)
            head = f'<path class="head" d="M{_n(x)} {_n(y)}l-{_HEAD_LENGTH:g} -4v8z"/>'
    return f'<path class="{style}" d="{_curve(points, direction)}"/>{head}'


def _curve(points: list[Point], direction: Direction) -> str:
    """Return path data that leaves and enters every point in the drawing's direction."""
    x, y = points[0]
    steps = [f"M{_n(x)} {_n(y)}"]
    for to_x, to_y in points[1:]:
        if direction == "TB":
            middle = _n((y + to_y) / 2)
            straight = abs(x - to_x) < 0.05
            steps.append(f"V{_n(to_y)}" if straight else f"C{_n(x)} {middle} {_n(to_x)} {middle} {_n(to_x)} {_n(to_y)}")
        else:
            middle = _n((x + to_x) / 2)
            straight = abs(y - to_y) < 0.05
            steps.append(f"H{_n(to_x)}" if straight else f"C{middle} {_n(y)} {middle} {_n(to_y)} {_n(to_x)} {_n(to_y)}")
        x, y = to_x, to_y
    return "".join(steps)


def _edge_label(route: Route) -> str:
    text = edge_text(route.edge.label)
    if not text or not route.label_at:
        return ""
    x, y = route.label_at
    width = text_width(text, EDGE_LABEL_SIZE) + 6.0
    return (
        f'<g>{_tooltip(route.edge.label or "", text)}<rect class="page" x="{_n(x - width / 2)}" y="{_n(y - 7)}" '
        f'width="{_n(width)}" height="14" rx="4"/>'
        f'<text class="edge-label" x="{_n(x)}" y="{_n(y + 3.6)}">{_escape(text)}</text></g>'
    )


def _nodes(drawing: Drawing, placed: Layout) -> list[str]:
    return [_node(node, placed.positions[node.id]) for node in drawing.nodes]


def _node(node: Node, box: Box) -> str:
    color = safe_color(node.color, node.state) if node.state else None
    depth = box.height - (STACK_HEIGHT if node.mapped else 0.0)
    state = f' data-state="{_attribute(node.state)}"' if node.state else ""
    full = "\n".join(text for text in (node.label, node.state, node.detail) if text)
    return (
        f'<g class="node {node.kind}" data-id="{_attribute(node.id)}"{state} '
        f'transform="translate({_n(box.x)} {_n(box.y)})">'
        f"<title>{_escape(full)}</title>"
        f"{_cards(node, box.width, depth, color)}{_writing(node, box.width, depth, color)}</g>"
    )


def _cards(node: Node, width: float, depth: float, color: str | None) -> str:
    """Return the outline of a node: a box, a pill or a double box, with more cards behind it when it is mapped."""
    radius = depth / 2 if node.kind == "parameter" else 3.0 if node.kind == "constant" else 9.0
    stroke = f' style="stroke:{color};stroke-width:{_weight(node)}"' if color else ""
    parts: list[str] = []
    if node.mapped:
        for inset, drop in ((10.0, STACK_HEIGHT), (5.0, STACK_HEIGHT / 2)):
            parts.append(_rectangle("card", inset, drop, width - 2 * inset, depth, radius, stroke))
    parts.append(_rectangle("card", 0.0, 0.0, width, depth, radius, stroke))
    if color:
        parts.append(_rectangle("tint", 0.0, 0.0, width, depth, radius, f' fill="{color}" fill-opacity=".09"'))
    if node.kind == "flow":
        parts.append(_rectangle("inner", 3.5, 3.5, width - 7, depth - 7, radius - 3, ""))
    return "".join(parts)


def _weight(node: Node) -> str:
    return "2.2" if node.state and mark_for(node.state).badge == "octagon" else "1.4"


def _rectangle(style: str, x: float, y: float, width: float, height: float, radius: float, more: str) -> str:
    return (
        f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
        f'rx="{_n(radius)}"{more}/>'
    )


def _writing(node: Node, width: float, depth: float, color: str | None) -> str:
    face = face_of(node)
    parts: list[str] = []
    x, anchor = width / 2, ' text-anchor="middle"'
    if node.state and color:
        inset = 22.0 if node.kind == "parameter" else 20.0
        parts.append(badge(mark_for(node.state), color, inset, depth / 2))
        x, anchor = inset + 17.0, ""
    baseline = depth / 2 - 7.5 * len(face.details) + LABEL_SIZE * 0.36
    parts.append(f'<text class="label" x="{_n(x)}" y="{_n(baseline)}"{anchor}>{_escape(face.label)}</text>')
    for number, text in enumerate(face.details, start=1):
        line = baseline + 15.5 * number - (LABEL_SIZE - DETAIL_SIZE) * 0.2
        parts.append(f'<text class="detail" x="{_n(x)}" y="{_n(line)}"{anchor}>{_escape(text)}</text>')
    return "".join(parts)


def _tooltip(full: str, shown: str) -> str:
    return "" if full == shown else f"<title>{_escape(full)}</title>"


def _escape(text: str) -> str:
    return clean_text(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    text = _escape(text).replace('"', "&quot;")
    return text.replace("\n", "&#10;").replace("\t", "&#9;").replace("\r", "&#13;")


def _n(value: float) -> str:
    """Return a length with one decimal at most."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")
