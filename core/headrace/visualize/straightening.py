"""Straight placement across the layers, after Brandes and Köpf (2001), for graphs whose lines seldom cross.

Vertices are lined up with the middle one of their neighbours in four ways (from above or below, leaning left or
right), each line becomes one straight block, blocks are pushed together, and the four results are averaged. Stand-ins
of one trunk are always lined up, so long edges run straight. Every step is linear. Where many lines cross, blocks
push each other far apart; `relaxation` serves such graphs better.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from headrace.visualize.spacing import separation

if TYPE_CHECKING:
    from headrace.visualize.layers import LayeredGraph

__all__ = ["place_straight"]


@dataclass(kw_only=True, slots=True)
class _View:
    """The graph as one of the four passes sees it: always read from the top and from the left."""

    layers: list[list[int]]
    near: list[list[int]]
    trunk: list[int]
    position: list[int]
    forbidden: set[tuple[int, int]]
    extents: list[float]


def place_straight(graph: LayeredGraph, extents: list[float]) -> list[float]:
    """Return the centre of each vertex; neighbours in a layer keep their gap."""
    forbidden = _forbidden_links(graph)
    results: list[list[float]] = []
    for downward in (True, False):
        for leftward in (True, False):
            view = _view(graph, extents, forbidden, downward=downward, leftward=leftward)
            centres = _compact(view, _line_up(view))
            results.append(centres if leftward else [-centre for centre in centres])
    return _balance(results, extents)


def _view(
    graph: LayeredGraph, extents: list[float], forbidden: set[tuple[int, int]], *, downward: bool, leftward: bool
) -> _View:
    layers = graph.layers if downward else graph.layers[::-1]
    layers = layers if leftward else [layer[::-1] for layer in layers]
    position = [0] * len(graph.rank)
    for layer in layers:
        for place, vertex in enumerate(layer):
            position[vertex] = place
    return _View(
        layers=layers,
        near=graph.up if downward else graph.down,
        trunk=graph.trunk_up if downward else graph.trunk_down,
        position=position,
        forbidden=forbidden,
        extents=extents,
    )


def _forbidden_links(graph: LayeredGraph) -> set[tuple[int, int]]:
    """Return the links that cross a trunk, in both directions: lining them up would bend the trunk."""
    position = [0] * len(graph.rank)
    for layer in graph.layers:
        for place, vertex in enumerate(layer):
            position[vertex] = place
    forbidden: set[tuple[int, int]] = set()
    for layer in graph.layers[1:]:
        bounds = _trunk_bounds(layer, graph, position)
        for vertex, (low, high) in zip(layer, bounds, strict=True):
            for other in graph.up[vertex]:
                if not low <= position[other] <= high and graph.trunk_up[vertex] != other:
                    forbidden.add((other, vertex))
                    forbidden.add((vertex, other))
    return forbidden


def _trunk_bounds(layer: list[int], graph: LayeredGraph, position: list[int]) -> list[tuple[int, int]]:
    """Return for each vertex the places above it between the trunks to its left and to its right."""
    lows: list[int] = []
    low = -1
    for vertex in layer:
        above = graph.trunk_up[vertex]
        if above >= 0:
            low = max(low, position[above])
        lows.append(low)
    highs: list[int] = []
    high = len(graph.rank)
    for vertex in reversed(layer):
        above = graph.trunk_up[vertex]
        if above >= 0:
            high = min(high, position[above])
        highs.append(high)
    return list(zip(lows, reversed(highs), strict=True))


def _line_up(view: _View) -> list[int]:
    """Return the root of the block that each vertex belongs to: the first vertex of its line."""
    root = list(range(len(view.position)))
    taken = [False] * len(root)
    position = view.position
    for layer in view.layers:
        last = -1
        for vertex in layer:
            for other in _candidates(view, vertex):
                if last < position[other] and not taken[other] and (other, vertex) not in view.forbidden:
                    root[vertex] = root[other]
                    taken[other] = True
                    last = position[other]
                    break
    return root


def _candidates(view: _View, vertex: int) -> list[int]:
    if view.trunk[vertex] >= 0:
        return [view.trunk[vertex]]
    near = view.near[vertex]
    if len(near) < 2:
        return near
    ordered = sorted(near, key=view.position.__getitem__)
    middle = len(ordered) // 2
    return [ordered[middle]] if len(ordered) % 2 else ordered[middle - 1 : middle + 1]


def _compact(view: _View, root: list[int]) -> list[float]:
    """Push the blocks to the left as far as the gaps allow, then each back towards its right neighbour."""
    following: list[list[tuple[int, float]]] = [[] for _ in root]
    missing = [0] * len(root)
    for layer in view.layers:
        for left, right in pairwise(layer):
            following[root[left]].append((root[right], separation(view.extents, left, right)))
            missing[root[right]] += 1
    order = [vertex for vertex in range(len(root)) if root[vertex] == vertex and not missing[vertex]]
    at = [0.0] * len(root)
    for block in order:  # grows while it is read
        for other, gap in following[block]:
            at[other] = max(at[other], at[block] + gap)
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    for block in reversed(order):
        if following[block]:
            at[block] = max(at[block], min([at[other] - gap for other, gap in following[block]]))
    return [at[block] for block in root]


def _balance(results: list[list[float]], extents: list[float]) -> list[float]:
    """Line the four results up with the narrowest, and take for each vertex the mean of the middle two."""
    halves = [extent / 2 for extent in extents]
    starts = [min(map(float.__sub__, centres, halves)) for centres in results]
    stops = [max(map(float.__add__, centres, halves)) for centres in results]
    narrowest = min(range(4), key=lambda number: stops[number] - starts[number])
    shifts = [
        stops[narrowest] - stops[number] if number % 2 else starts[narrowest] - starts[number] for number in range(4)
    ]
    centres = [0.0] * len(extents)
    for vertex, values in enumerate(zip(*results, strict=True)):
        shifted = sorted(map(float.__add__, values, shifts))
        centres[vertex] = (shifted[1] + shifted[2]) / 2
    return centres
