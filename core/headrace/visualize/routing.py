"""How far apart layers stand, and the lines that edges follow between them.

Everything here is in layout coordinates: *across* runs along a layer and *along* runs from layer to layer; `layout`
turns them into x and y for the direction that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.visualize.spacing import fit_ascending

if TYPE_CHECKING:
    from headrace.visualize.layers import LayeredGraph, Path

__all__ = ["Grid", "Line", "draw_lines", "stack_layers"]

_GAP = 44.0
_MARGIN_TO_LANES = 20.0
_LANE_GAP = 9.0
_LANES = 12
_PORT_GAP = 15.0
_SAME = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The bends of one edge as (across, along), and the last stretch of it, where a label can stand."""

    points: list[tuple[float, float]]
    stretch: tuple[float, float, float, float]
    starts_at_joint: bool
    ends_at_joint: bool


@dataclass(kw_only=True, slots=True)
class Grid:
    """A placed layered graph: the centre of every vertex, the bounds of every layer, the size of every node."""

    graph: LayeredGraph
    across: list[float]
    widths: list[float]
    depths: list[float]
    tops: list[float] = field(default_factory=list)
    bottoms: list[float] = field(default_factory=list)

    def span(self, node: int) -> tuple[float, float]:
        """Return where a node begins and ends along the layers; nodes are centred in their layer."""
        rank = self.graph.rank[node]
        middle = (self.tops[rank] + self.bottoms[rank]) / 2
        return middle - self.depths[node] / 2, middle + self.depths[node] / 2


def stack_layers(grid: Grid, label_room: list[float]) -> None:
    """Give each layer its bounds; ``label_room[n]`` is the room that labels want between layers n and n+1.

    The gap grows where lines run far sideways, since flat lines are hard to follow.
    """
    graph = grid.graph
    at = 0.0
    for rank, layer in enumerate(graph.layers):
        depth = max((grid.depths[vertex] for vertex in layer if vertex < graph.real), default=0.0)
        grid.tops.append(at)
        grid.bottoms.append(at + depth)
        drift = max((abs(grid.across[v] - grid.across[w]) for v in layer for w in graph.down[v]), default=0.0)
        at += depth + max(_GAP, label_room[rank]) + min(70.0, 0.045 * drift)


def draw_lines(grid: Grid) -> tuple[list[Line], float]:
    """Return the line of every edge, in order, and the extent across of the whole graph with its lanes."""
    ports = _ports(grid)
    extent = max(*grid.across, *(grid.across[node] + width / 2 for node, width in enumerate(grid.widths)))
    lanes = 0
    lines: list[Line] = []
    for edge, path in enumerate(grid.graph.paths):
        if path.in_lane:
            lane = extent + _MARGIN_TO_LANES + _LANE_GAP * (lanes % _LANES)
            lanes += 1
            lines.append(_line(grid, path, ports.get(edge), lane))
        else:
            lines.append(_line(grid, path, ports.get(edge), None))
    if lanes:
        extent += _MARGIN_TO_LANES + _LANE_GAP * min(lanes, _LANES)
    return lines, extent


def _line(grid: Grid, path: Path, port: float | None, lane: float | None) -> Line:
    first, *between, last = path.vertices
    rank = grid.graph.rank
    points: list[tuple[float, float]] = []
    if not path.starts_at_joint:
        points.append((grid.across[first], grid.span(first)[1]))
    points.append((grid.across[first], grid.bottoms[rank[first]]))
    if lane is not None:
        points += [(lane, grid.tops[rank[first] + 1]), (lane, grid.bottoms[rank[last] - 1])]
    for vertex in between:
        points.append((grid.across[vertex], grid.tops[rank[vertex]]))
        points.append((grid.across[vertex], grid.bottoms[rank[vertex]]))
    arrival = grid.across[last] if port is None else port
    before = points[-1]
    points.append((arrival, grid.tops[rank[last]]))
    stretch = (*before, *points[-1])
    if not path.ends_at_joint:
        points.append((arrival, grid.span(last)[0]))
    return Line(
        points=_simplified(points),
        stretch=stretch,
        starts_at_joint=path.starts_at_joint,
        ends_at_joint=path.ends_at_joint,
    )


def _simplified(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop points in the middle of a straight stretch, and of two that are one to the eye the one that is no end."""
    kept = [points[0]]
    for x, y in points[1:]:
        if abs(x - kept[-1][0]) < _SAME and y - kept[-1][1] < _SAME:
            if len(kept) > 1:
                kept[-1] = x, y
            continue
        if len(kept) > 1 and abs(x - kept[-1][0]) < _SAME and abs(kept[-1][0] - kept[-2][0]) < _SAME:
            kept.pop()
        kept.append((x, y))
    return kept


def _ports(grid: Grid) -> dict[int, float]:
    """Return for each edge that ends in a node where it arrives: apart from the others, on the side it comes from."""
    farthest = max(grid.across)
    arrivals: dict[int, list[tuple[float, int]]] = {}
    for edge, path in enumerate(grid.graph.paths):
        if not path.ends_at_joint:
            before = farthest if path.in_lane else grid.across[path.vertices[-2]]
            arrivals.setdefault(path.vertices[-1], []).append((before, edge))
    ports: dict[int, float] = {}
    for node, coming in arrivals.items():
        if len(coming) == 1:
            ports[coming[0][1]] = grid.across[node]
            continue
        coming.sort()
        places = _spread([before - grid.across[node] for before, _ in coming], 0.36 * grid.widths[node])
        for (_, edge), place in zip(coming, places, strict=True):
            ports[edge] = grid.across[node] + place
    return ports


def _spread(offsets: list[float], reach: float) -> list[float]:
    """Return places within ``reach`` of 0, in order and evenly apart, close to a fraction of the offsets.

    A line that comes straight from above keeps its place where it can. The offsets are ascending.
    """
    gap = min(_PORT_GAP, 2 * reach / (len(offsets) - 1))
    wanted = [max(-reach, min(reach, 0.25 * offset)) for offset in offsets]
    fitted = fit_ascending([place - number * gap for number, place in enumerate(wanted)], [1.0] * len(wanted))
    places = [place + number * gap for number, place in enumerate(fitted)]
    shift = max(0.0, -reach - places[0]) - max(0.0, places[-1] - reach)
    return [max(-reach, min(reach, place + shift)) for place in places]
