"""The layered graph that ordering and placement work on: nodes in layers, and stand-ins where an edge passes through.

Edges that pass layers share *trunks*: all long edges out of one node follow one line and branch off it, or all long
edges into one node join one line. That keeps pictures calm, and keeps the number of stand-ins far below one per edge
and layer. What would still not fit the budget runs in a lane beside the graph instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["LayeredGraph", "Path", "build_layers"]


@dataclass(kw_only=True, slots=True)
class Path:
    """How one edge runs: the vertices it visits, and whether its ends are its own or a joint with another edge."""

    vertices: list[int]
    starts_at_joint: bool = False
    ends_at_joint: bool = False
    in_lane: bool = False


@dataclass(kw_only=True, slots=True)
class LayeredGraph:
    """Vertices in layers with links between neighbouring layers only; those from ``real`` on are stand-ins."""

    real: int
    layers: list[list[int]]
    rank: list[int]
    up: list[list[int]]
    down: list[list[int]]
    trunk_up: list[int]
    """For a stand-in, the stand-in above it on the same trunk, else -1."""
    trunk_down: list[int]
    side: list[int]
    """For a stand-in, -1 on a trunk that edges branch off and 1 on one that edges join; 0 for a node."""
    paths: list[Path]


@dataclass(kw_only=True, slots=True)
class _Trunk:
    hub: int
    outgoing: bool
    edges: list[int] = field(default_factory=list)
    first: int = 0
    last: int = -1

    def measure(self, ends: list[tuple[int, int]], ranks: list[int]) -> int:
        """Find the layers that the trunk passes; return how many stand-ins it needs."""
        if self.outgoing:
            self.first = ranks[self.hub] + 1
            self.last = max(ranks[ends[edge][1]] for edge in self.edges) - 1
        else:
            self.first = min(ranks[ends[edge][0]] for edge in self.edges) + 1
            self.last = ranks[self.hub] - 1
        return self.last - self.first + 1


def build_layers(ranks: list[int], ends: list[tuple[int, int]], mapped: list[bool]) -> LayeredGraph:
    """Put nodes and the stand-ins of long edges into layers, in order of their numbers."""
    graph = _empty_graph(ranks, len(ends))
    for edge, (source, target) in enumerate(ends):
        if ranks[target] - ranks[source] == 1:
            graph.paths[edge].vertices = [source, target]
            _link(graph, source, target)
    budget = 4_000 + 2 * (len(ranks) + len(ends))
    trunks = _trunks(ranks, ends, mapped)
    for length, trunk in sorted(((trunk.measure(ends, ranks), trunk) for trunk in trunks), key=lambda pair: pair[0]):
        budget -= length
        if budget >= 0:
            _grow(graph, trunk, ends)
        else:
            for edge in trunk.edges:
                graph.paths[edge] = Path(vertices=list(ends[edge]), in_lane=True)
    return graph


def _empty_graph(ranks: list[int], edges: int) -> LayeredGraph:
    layers: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for number, rank in enumerate(ranks):
        layers[rank].append(number)
    return LayeredGraph(
        real=len(ranks),
        layers=layers,
        rank=list(ranks),
        up=[[] for _ in ranks],
        down=[[] for _ in ranks],
        trunk_up=[-1] * len(ranks),
        trunk_down=[-1] * len(ranks),
        side=[0] * len(ranks),
        paths=[Path(vertices=[]) for _ in range(edges)],
    )


def _trunks(ranks: list[int], ends: list[tuple[int, int]], mapped: list[bool]) -> list[_Trunk]:
    """Group the long edges by the end that has more of them; plain and mapped ones look different and do not mix."""
    leaving: dict[tuple[int, bool], int] = {}
    arriving: dict[tuple[int, bool], int] = {}
    long = [edge for edge, (source, target) in enumerate(ends) if ranks[target] - ranks[source] > 1]
    for edge in long:
        source, target = ends[edge]
        leaving[source, mapped[edge]] = leaving.get((source, mapped[edge]), 0) + 1
        arriving[target, mapped[edge]] = arriving.get((target, mapped[edge]), 0) + 1
    trunks: dict[tuple[int, bool, bool], _Trunk] = {}
    for edge in long:
        source, target = ends[edge]
        outgoing = leaving[source, mapped[edge]] >= arriving[target, mapped[edge]]
        hub = source if outgoing else target
        trunk = trunks.setdefault((hub, outgoing, mapped[edge]), _Trunk(hub=hub, outgoing=outgoing))
        trunk.edges.append(edge)
    return list(trunks.values())


def _grow(graph: LayeredGraph, trunk: _Trunk, ends: list[tuple[int, int]]) -> None:
    line = [_add_stand_in(graph, rank, -1 if trunk.outgoing else 1) for rank in range(trunk.first, trunk.last + 1)]
    for above, below in pairwise(line):
        _link(graph, above, below)
        graph.trunk_down[above] = below
        graph.trunk_up[below] = above
    if trunk.outgoing:
        _link(graph, trunk.hub, line[0])
        _branch_off(graph, trunk, line, ends)
    else:
        _link(graph, line[-1], trunk.hub)
        _join(graph, trunk, line, ends)


def _branch_off(graph: LayeredGraph, trunk: _Trunk, line: list[int], ends: list[tuple[int, int]]) -> None:
    carried = False
    for edge in trunk.edges:
        target = ends[edge][1]
        joint = line[graph.rank[target] - 1 - trunk.first]
        _link(graph, joint, target)
        if joint == line[-1] and not carried:
            graph.paths[edge] = Path(vertices=[trunk.hub, *line, target])
            carried = True
        else:
            graph.paths[edge] = Path(vertices=[joint, target], starts_at_joint=True)


def _join(graph: LayeredGraph, trunk: _Trunk, line: list[int], ends: list[tuple[int, int]]) -> None:
    carried = False
    for edge in trunk.edges:
        source = ends[edge][0]
        joint = line[graph.rank[source] + 1 - trunk.first]
        _link(graph, source, joint)
        if joint == line[0] and not carried:
            graph.paths[edge] = Path(vertices=[source, *line, trunk.hub])
            carried = True
        else:
            graph.paths[edge] = Path(vertices=[source, joint], ends_at_joint=True)


def _add_stand_in(graph: LayeredGraph, rank: int, side: int) -> int:
    number = len(graph.rank)
    graph.rank.append(rank)
    graph.layers[rank].append(number)
    graph.up.append([])
    graph.down.append([])
    graph.trunk_up.append(-1)
    graph.trunk_down.append(-1)
    graph.side.append(side)
    return number


def _link(graph: LayeredGraph, above: int, below: int) -> None:
    graph.down[above].append(below)
    graph.up[below].append(above)
