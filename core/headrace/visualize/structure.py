"""The graph of a drawing with integers for nodes, which every renderer that follows arrows works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.exceptions import CycleError
from headrace.visualize.drawing import Edge

if TYPE_CHECKING:
    from headrace.visualize.drawing import Drawing, Node

__all__ = ["Structure", "analyse", "longest_path_ranks", "merge_edges"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """Nodes by index, the edges between them, and an order in which every edge points forward."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    ends: tuple[tuple[int, int], ...]
    """The indices that each edge joins, upstream first."""
    up: list[list[int]]
    down: list[list[int]]
    order: list[int]


def analyse(drawing: Drawing) -> Structure:
    """Index the graph of a drawing, with parallel edges merged; raise `CycleError` if it has a cycle."""
    index = {node.id: number for number, node in enumerate(drawing.nodes)}
    edges = merge_edges(drawing.edges)
    ends = tuple((index[edge.source], index[edge.target]) for edge in edges)
    up: list[list[int]] = [[] for _ in drawing.nodes]
    down: list[list[int]] = [[] for _ in drawing.nodes]
    for source, target in ends:
        down[source].append(target)
        up[target].append(source)
    order = _topological_order(up, down)
    if len(order) < len(drawing.nodes):
        raise CycleError(drawing.title, [drawing.nodes[number].label for number in _find_cycle(up, order)])
    return Structure(nodes=drawing.nodes, edges=edges, ends=ends, up=up, down=down, order=order)


def merge_edges(edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """Join edges with the same ends into one, labelled with all their labels and mapped if any of them is."""
    parallel: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        parallel.setdefault((edge.source, edge.target), []).append(edge)
    return tuple(group[0] if len(group) == 1 else _merge(group) for group in parallel.values())


def _merge(group: list[Edge]) -> Edge:
    labels = dict.fromkeys(edge.label for edge in group if edge.label)
    return Edge(
        source=group[0].source,
        target=group[0].target,
        label=", ".join(labels) or None,
        mapped=any(edge.mapped for edge in group),
    )


def _topological_order(up: list[list[int]], down: list[list[int]]) -> list[int]:
    missing = [len(sources) for sources in up]
    order = [number for number, count in enumerate(missing) if not count]
    for number in order:  # grows while it is read
        for target in down[number]:
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return order


def _find_cycle(up: list[list[int]], order: list[int]) -> list[int]:
    ordered = set(order)
    number = next(number for number in range(len(up)) if number not in ordered)
    seen: dict[int, None] = {}
    while number not in seen:
        seen[number] = None
        number = next(source for source in up[number] if source not in ordered)
    backwards = list(seen)[list(seen).index(number) :]
    return [number, *reversed(backwards)]


def longest_path_ranks(structure: Structure) -> list[int]:
    """Return for each node the number of edges on the longest path that leads to it."""
    ranks = [0] * len(structure.nodes)
    for number in structure.order:
        below = ranks[number] + 1
        for target in structure.down[number]:
            ranks[target] = max(ranks[target], below)
    return ranks
