"""A drawing as Mermaid text, which code hosts and documentation tools render inside Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from headrace.visualize.marks import mark_for, pale, safe_color
from headrace.visualize.structure import merge_edges

if TYPE_CHECKING:
    from headrace.visualize.drawing import Direction, Drawing, Edge, Node

__all__ = ["to_mermaid"]

_SHAPES = {"task": ("(", ")"), "parameter": ("([", "])"), "constant": ("[", "]"), "flow": ("{{", "}}")}
_MAPPED_SHAPE = ("[[", "]]")
_PLAIN = frozenset(" _-.,/+=()[]|?!'@*")
"""Signs that Mermaid takes as they are inside quotes; every other one that is not a letter or digit is encoded."""


def to_mermaid(drawing: Drawing, *, direction: Direction = "TB") -> str:
    """Write as a Mermaid flowchart; identifiers are numbers in order of the nodes, and labels cannot break out."""
    ids = {node.id: f"n{number}" for number, node in enumerate(drawing.nodes)}
    classes = _classes(drawing)
    lines = ["---", f"title: {json.dumps(_one_line(drawing.title))}", "---"] if drawing.title.strip() else []
    lines.append(f"flowchart {'TD' if direction == 'TB' else 'LR'}")
    lines += [f"    {ids[node.id]}{_box(node)}{_class_of(node, classes)}" for node in drawing.nodes]
    lines += [f"    {ids[edge.source]} {_arrow(edge)} {ids[edge.target]}" for edge in merge_edges(drawing.edges)]
    lines += [f"    classDef {name} {_style(color)}" for (_, color), name in classes.items()]
    return "\n".join(lines) + "\n"


def _box(node: Node) -> str:
    opening, closing = _MAPPED_SHAPE if node.mapped else _SHAPES[node.kind]
    label = _encode(node.label) or "(unnamed)"
    if node.state:
        label = f"{_encode(mark_for(node.state).symbol)} {label}<br/>{_encode(node.state)}"
    if node.detail:
        label += f"<br/>{_encode(node.detail)}"
    return f'{opening}"{label}"{closing}'


def _arrow(edge: Edge) -> str:
    arrow = "-.->" if edge.mapped else "-->"
    label = _encode(edge.label) if edge.label else ""
    return f'{arrow}|"{label}"|' if label else arrow


def _classes(drawing: Drawing) -> dict[tuple[str, str], str]:
    """Return a class name for each state in each colour that occurs."""
    classes: dict[tuple[str, str], str] = {}
    for node in drawing.nodes:
        if node.state:
            look = node.state, safe_color(node.color, node.state)
            classes.setdefault(look, f"state{len(classes)}")
    return classes


def _class_of(node: Node, classes: dict[tuple[str, str], str]) -> str:
    return f":::{classes[node.state, safe_color(node.color, node.state)]}" if node.state else ""


def _style(color: str) -> str:
    # No semicolon at the end: Mermaid would cut the last character of such a line.
    return f"fill:{pale(color)},stroke:{color},color:#12161c"


def _encode(text: str) -> str:
    """Return the text as Mermaid reads it inside double quotes; line ends become line breaks."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    return "<br/>".join("".join(map(_encode_character, line)) for line in lines)


def _encode_character(character: str) -> str:
    if character.isalnum() or character in _PLAIN:
        return character
    if character == "$":
        return "#36;#8203;"  # two of them in a row would begin a formula
    if not character.isprintable():
        return "\ufffd"
    return f"#{ord(character)};"


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
