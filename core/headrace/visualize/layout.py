"""Where everything in a drawing stands: one layered layout for pictures, documents and the browser.

The method is Sugiyama's: layers by longest path, stand-ins for long edges, barycentre sweeps against crossings, and
straight placement after Brandes and Köpf. Time and memory grow about linearly, nothing recurses, and equal drawings
get equal layouts. Lengths are in SVG user units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.visualize.labels import place_labels
from headrace.visualize.layers import build_layers
from headrace.visualize.ordering import order_layers
from headrace.visualize.packing import arrange_grid, pack_shelves
from headrace.visualize.placement import place_across
from headrace.visualize.ranking import assign_ranks
from headrace.visualize.routing import Grid, draw_lines, stack_layers
from headrace.visualize.sizes import EDGE_LABEL_SIZE, edge_text, face_of, text_width
from headrace.visualize.structure import analyse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.visualize.drawing import Direction, Drawing, Edge
    from headrace.visualize.sizes import Face
    from headrace.visualize.structure import Structure

__all__ = ["Box", "Layout", "Point", "Route", "layout"]

Point = tuple[float, float]
"""x to the right and y down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """The rectangle of a node; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The line of one edge (parallel edges are merged into one).

    Between two points the line leaves and arrives in the direction of the drawing. Long edges of one node share a
    trunk, which one of them draws in full; the others start or end at a joint on it.
    """

    edge: Edge
    points: tuple[Point, ...]
    label_at: Point | None = None
    starts_at_joint: bool = False
    ends_at_joint: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The place of every node by id, the line of every edge, and the size of the whole from (0, 0)."""

    direction: Direction
    positions: Mapping[str, Box]
    routes: tuple[Route, ...]
    width: float
    height: float


@dataclass(kw_only=True, slots=True)
class _Part:
    """A connected part of the graph, or all the lone nodes together; places are relative to its own corner."""

    nodes: list[int]
    corners: list[Point]
    width: float
    height: float
    routes: list[Route]


@dataclass(kw_only=True, slots=True)
class _Piece:
    """The nodes and edges of a connected part, by their numbers in the whole and by numbers of its own."""

    nodes: list[int]
    edges: list[int]
    ends: list[tuple[int, int]]
    order: list[int]


def layout(drawing: Drawing, direction: Direction = "TB") -> Layout:
    """Lay a drawing out; raise `headrace.exceptions.CycleError` if its edges run in a circle."""
    structure = analyse(drawing)
    faces = [face_of(node) for node in drawing.nodes]
    pieces = _connected_pieces(structure)
    lone = [piece.nodes[0] for piece in pieces if len(piece.nodes) == 1]
    parts = [_lay_out(piece, structure, faces, direction) for piece in pieces if len(piece.nodes) > 1]
    if lone:
        corners, width, height = arrange_grid([(faces[node].width, faces[node].height) for node in lone])
        parts.append(_Part(nodes=lone, corners=corners, width=width, height=height, routes=[]))
    return _assemble(structure, faces, parts, direction)


def _assemble(structure: Structure, faces: list[Face], parts: list[_Part], direction: Direction) -> Layout:
    corners, width, height = pack_shelves([(part.width, part.height) for part in parts])
    boxes: list[Box | None] = [None] * len(faces)
    routes: list[Route] = []
    for part, (left, top) in zip(parts, corners, strict=True):
        for node, (x, y) in zip(part.nodes, part.corners, strict=True):
            boxes[node] = Box(x=left + x, y=top + y, width=faces[node].width, height=faces[node].height)
        routes += part.routes if not (left or top) else [_moved(route, left, top) for route in part.routes]
    positions = {node.id: box for node, box in zip(structure.nodes, boxes, strict=True) if box}
    return Layout(direction=direction, positions=positions, routes=tuple(routes), width=width, height=height)


def _moved(route: Route, left: float, top: float) -> Route:
    return Route(
        edge=route.edge,
        points=tuple((x + left, y + top) for x, y in route.points),
        label_at=route.label_at and (route.label_at[0] + left, route.label_at[1] + top),
        starts_at_joint=route.starts_at_joint,
        ends_at_joint=route.ends_at_joint,
    )


def _lay_out(piece: _Piece, structure: Structure, faces: list[Face], direction: Direction) -> _Part:
    grid, labels = _place(piece, structure, faces, direction)
    lines, extent = draw_lines(grid)
    places = place_labels(labels, lines, horizontal=direction == "LR")
    flip = direction == "LR"
    routes = [
        Route(
            edge=structure.edges[edge],
            points=tuple((y, x) for x, y in line.points) if flip else tuple(line.points),
            label_at=place,
            starts_at_joint=line.starts_at_joint,
            ends_at_joint=line.ends_at_joint,
        )
        for edge, line, place in zip(piece.edges, lines, places, strict=True)
    ]
    depth = grid.bottoms[-1]
    return _Part(
        nodes=piece.nodes,
        corners=_corners(grid, flip=flip),
        width=depth if flip else extent,
        height=extent if flip else depth,
        routes=routes,
    )


def _place(piece: _Piece, structure: Structure, faces: list[Face], direction: Direction) -> tuple[Grid, list[str]]:
    up: list[list[int]] = [[] for _ in piece.nodes]
    down: list[list[int]] = [[] for _ in piece.nodes]
    for source, target in piece.ends:
        down[source].append(target)
        up[target].append(source)
    ranks = assign_ranks(up, down, piece.order)
    graph = build_layers(ranks, piece.ends, [structure.edges[edge].mapped for edge in piece.edges])
    crossings = order_layers(graph)
    widths = [faces[node].width for node in piece.nodes]
    heights = [faces[node].height for node in piece.nodes]
    if direction == "LR":
        widths, heights = heights, widths
    labels = [edge_text(structure.edges[edge].label) for edge in piece.edges]
    grid = Grid(graph=graph, across=place_across(graph, widths, crossings), widths=widths, depths=heights)
    stack_layers(grid, _label_room(grid, labels, direction))
    return grid, labels


def _label_room(grid: Grid, labels: list[str], direction: Direction) -> list[float]:
    """Return how deep the gap below each layer must be for the labels in it."""
    room = [0.0] * len(grid.graph.layers)
    for label, path in zip(labels, grid.graph.paths, strict=True):
        if label:
            rank = grid.graph.rank[path.vertices[-1]] - 1
            wanted = text_width(label, EDGE_LABEL_SIZE) + 44.0 if direction == "LR" else 58.0
            room[rank] = max(room[rank], wanted)
    return room


def _corners(grid: Grid, *, flip: bool) -> list[Point]:
    corners: list[Point] = []
    for node in range(grid.graph.real):
        across, along = grid.across[node] - grid.widths[node] / 2, grid.span(node)[0]
        corners.append((along, across) if flip else (across, along))
    return corners


def _connected_pieces(structure: Structure) -> list[_Piece]:
    """Split the graph into its connected pieces, in the order of their first nodes."""
    piece_of = [-1] * len(structure.nodes)
    pieces: list[_Piece] = []
    own = [0] * len(structure.nodes)
    for start in range(len(structure.nodes)):
        if piece_of[start] < 0:
            members = _reach(start, structure, piece_of, len(pieces))
            pieces.append(_Piece(nodes=members, edges=[], ends=[], order=[]))
            for number, node in enumerate(members):
                own[node] = number
    for edge, (source, target) in enumerate(structure.ends):
        piece = pieces[piece_of[source]]
        piece.edges.append(edge)
        piece.ends.append((own[source], own[target]))
    for node in structure.order:
        pieces[piece_of[node]].order.append(own[node])
    return pieces


def _reach(start: int, structure: Structure, piece_of: list[int], piece: int) -> list[int]:
    piece_of[start] = piece
    found = [start]
    for node in found:  # grows while it is read
        for other in structure.up[node] + structure.down[node]:
            if piece_of[other] < 0:
                piece_of[other] = piece
                found.append(other)
    found.sort()
    return found
