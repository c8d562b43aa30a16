"""A drawing as plain text for a terminal: a tree that follows the arrows, or a list where a tree would be too deep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.visualize.marks import mark_for
from headrace.visualize.structure import analyse, longest_path_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.visualize.drawing import Drawing, Edge, Node
    from headrace.visualize.structure import Structure

__all__ = ["to_text"]

_DEEPEST = 24
_MOST_UPSTREAM = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    """The characters a tree is made of."""

    branch: str
    corner: str
    bar: str
    arrow: str
    mapped_arrow: str
    back_arrow: str
    dot: str
    ellipsis: str
    ascii: bool


_UNICODE = _Style(
    branch="├── ",
    corner="└── ",
    bar="│   ",
    arrow="→",
    mapped_arrow="⇉",
    back_arrow="←",
    dot="·",
    ellipsis="…",
    ascii=False,
)
_ASCII = _Style(
    branch="|-- ",
    corner="`-- ",
    bar="|   ",
    arrow="->",
    mapped_arrow="=>",
    back_arrow="<-",
    dot="-",
    ellipsis="...",
    ascii=True,
)


def to_text(drawing: Drawing, *, ascii_only: bool = False) -> str:
    """Write as lines of text, one for each node and one more for each further arrow into it.

    A line reads ``key → task``: the task gets the value above it as that argument; ``⇉`` is a mapped edge. What was
    shown before is marked ``(see above)``. When tasks stand more than 24 deep, there is a line for each task with
    what it waits for. Raises `headrace.exceptions.CycleError` if the edges run in a circle.
    """
    structure = analyse(drawing)
    style = _ASCII if ascii_only else _UNICODE
    names = _names(structure.nodes)
    lines = [_printable(drawing.title) or "(untitled)"]
    if max(longest_path_ranks(structure), default=0) > _DEEPEST:
        lines += _list_lines(structure, names, style)
    else:
        lines += _tree_lines(structure, names, style)
    text = "\n".join(lines) + "\n"
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def _names(nodes: tuple[Node, ...]) -> list[str]:
    """Return what to call each node: its label, and its id too where labels are equal."""
    labels = [_printable(node.label) or "(unnamed)" for node in nodes]
    counts = Counter(labels)
    return [
        label if counts[label] == 1 else f"{label} [{_printable(node.id)}]"
        for label, node in zip(labels, nodes, strict=True)
    ]


def _tree_lines(structure: Structure, names: list[str], style: _Style) -> Iterator[str]:
    leaving: list[list[int]] = [[] for _ in structure.nodes]
    for number, (source, _) in enumerate(structure.ends):
        leaving[source].append(number)
    shown = [False] * len(names)
    roots = [node for node in range(len(names)) if not structure.up[node]]
    stack = [(node, "", "", "") for node in reversed(roots)]  # node, prefix, its continuation, how it is reached
    while stack:
        node, prefix, below, reached = stack.pop()
        yield prefix + reached + _node_text(structure.nodes[node], names[node], style, again=shown[node])
        if shown[node]:
            continue
        shown[node] = True
        for number in reversed(leaving[node]):
            last = number == leaving[node][-1]
            child = structure.ends[number][1]
            prefix = below + (style.corner if last else style.branch)
            stack.append(
                (child, prefix, below + ("    " if last else style.bar), _arrow(structure.edges[number], style))
            )


def _list_lines(structure: Structure, names: list[str], style: _Style) -> Iterator[str]:
    arriving: list[list[int]] = [[] for _ in structure.nodes]
    for number, (_, target) in enumerate(structure.ends):
        arriving[target].append(number)
    for node in structure.order:
        line = _node_text(structure.nodes[node], names[node], style, again=False)
        sources = [_source(structure, number, names) for number in arriving[node][:_MOST_UPSTREAM]]
        more = len(arriving[node]) - len(sources)
        if more:
            sources.append(f"{style.ellipsis} {more:,} more")
        yield f"{line}  {style.back_arrow} {', '.join(sources)}" if sources else line


def _source(structure: Structure, number: int, names: list[str]) -> str:
    label = structure.edges[number].label
    name = names[structure.ends[number][0]]
    return f"{_printable(label)}={name}" if label else name


def _arrow(edge: Edge, style: _Style) -> str:
    arrow = style.mapped_arrow if edge.mapped else style.arrow
    if edge.label:
        return f"{_printable(edge.label)} {arrow} "
    return f"{arrow} " if edge.mapped else ""


def _node_text(node: Node, name: str, style: _Style, *, again: bool) -> str:
    mark = ""
    if node.state:
        look = mark_for(node.state)
        mark = f"{look.ascii if style.ascii else look.symbol} "
    if again:
        return f"{mark}{name} (see above)"
    notes: list[str] = [] if node.kind == "task" else [node.kind]
    if node.mapped:
        notes.append("mapped")
    notes += [_printable(text) for text in (node.state, node.detail) if text]
    return f"{mark}{name}  {f' {style.dot} '.join(notes)}" if notes else f"{mark}{name}"


def _printable(text: str) -> str:
    """Return the text on one line, without anything that would steer a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
