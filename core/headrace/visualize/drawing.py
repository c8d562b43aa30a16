"""What a picture of a flow is made of: boxes, arrows and a title, with no task or flow behind them.

Every format draws a `Drawing`; `headrace.visualize.flow_drawing` makes one from a flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.exceptions import DrawingError

__all__ = ["Direction", "Drawing", "DrawingError", "Edge", "Kind", "Node"]

Direction = Literal["TB", "LR"]
"""Which way the arrows point: from top to bottom, or from left to right."""

Kind = Literal["task", "parameter", "constant", "flow"]
"""What a node stands for; ``"flow"`` is a flow used inside another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One box.

    ``id`` is unique in its drawing and is never shown unless two labels are equal. ``state`` is the name of a state
    type such as ``"Success"``, ``color`` a hex colour such as ``"#28a745"`` (by default the state's usual one), and
    ``detail`` one more line, such as ``"1,461 children: 1,460 ok, 1 failed"``.
    """

    id: str
    label: str
    kind: Kind = "task"
    mapped: bool = False
    state: str | None = None
    color: str | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """One arrow between the nodes with these ids; ``label`` is the argument that the value is passed as."""

    source: str
    target: str
    label: str | None = None
    mapped: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A titled picture; the order of ``nodes`` breaks every tie, so equal drawings are drawn equally.

    Raises `DrawingError` when two nodes share an id or an edge names a node that is not there.
    """

    title: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        known: set[str] = set()
        for node in self.nodes:
            if node.id in known:
                raise DrawingError(f"Drawing {self.title!r} has two nodes with the id {node.id!r}.")
            known.add(node.id)
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in known:
                    raise DrawingError(f"Drawing {self.title!r} has an edge at {end!r}, which is not one of its nodes.")
