"""The order of the vertices within each layer, so that few lines cross."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.visualize.layers import LayeredGraph

__all__ = ["count_crossings", "order_layers"]

_WORK = 250_000
"""Links looked at in all sweeps together, about; small graphs get more sweeps than large ones."""

_PATIENCE = 4
_SMALL = 1_500


def order_layers(graph: LayeredGraph) -> int:
    """Reorder ``graph.layers`` in place by sweeps down and up; keep the best order and return its crossings."""
    depth_first = _depth_first(graph)
    framed = [sorted(layer, key=graph.side.__getitem__) for layer in depth_first]
    starts = [(_crossings_of(graph, layers), layers) for layers in (depth_first, framed)]
    starts.sort(key=lambda start: start[0])
    links = sum(map(len, graph.down))
    results = [_improve(graph, *start, links) for start in (starts if links <= _SMALL else starts[:1])]
    best, graph.layers = min(results, key=lambda result: result[0])
    return best


def _crossings_of(graph: LayeredGraph, layers: list[list[int]]) -> int:
    graph.layers = layers
    return count_crossings(graph, _positions(graph))


def _positions(graph: LayeredGraph) -> list[int]:
    position = [0] * len(graph.rank)
    for layer in graph.layers:
        _number(layer, position)
    return position


def _improve(graph: LayeredGraph, best: int, layers: list[list[int]], links: int) -> tuple[int, list[list[int]]]:
    """Sweep from a start with ``best`` crossings until that stops paying; return the best that was seen."""
    graph.layers = layers
    position = _positions(graph)
    kept = [layer.copy() for layer in layers]
    stale = 0
    for sweep in range(max(3, min(24, _WORK // (links + 1)))):
        if not best or stale == _PATIENCE:
            break
        _sweep(graph, position, downward=sweep % 2 == 0)
        if links <= _SMALL:
            _swap_neighbours(graph, position)
        crossings = count_crossings(graph, position)
        stale += 1
        if crossings < best:
            best, stale = crossings, 0
            kept = [layer.copy() for layer in graph.layers]
    return best, kept


def count_crossings(graph: LayeredGraph, position: list[int]) -> int:
    """Return how many pairs of links cross."""
    total = 0
    for layer in graph.layers:
        seen: list[int] = []
        for vertex in layer:
            below = graph.down[vertex]
            places = sorted([position[other] for other in below]) if len(below) > 1 else [position[v] for v in below]
            if seen and places and places[0] < seen[-1]:
                total += sum(len(seen) - bisect_right(seen, place) for place in places)
                seen.extend(places)
                seen.sort()  # nearly sorted already, so this is a merge
            else:
                seen.extend(places)
    return total


def _depth_first(graph: LayeredGraph) -> list[list[int]]:
    layers: list[list[int]] = [[] for _ in graph.layers]
    seen = [False] * len(graph.rank)
    stack = [vertex for vertex in range(len(graph.rank) - 1, -1, -1) if not graph.up[vertex]]
    while stack:
        vertex = stack.pop()
        if seen[vertex]:
            continue
        seen[vertex] = True
        layers[graph.rank[vertex]].append(vertex)
        stack.extend(other for other in reversed(graph.down[vertex]) if not seen[other])
    return layers


def _sweep(graph: LayeredGraph, position: list[int], *, downward: bool) -> None:
    near = graph.up if downward else graph.down
    for layer in graph.layers if downward else reversed(graph.layers):
        if len(layer) > 1:
            _sort_by_barycentre(layer, near, position)


def _sort_by_barycentre(layer: list[int], near: list[list[int]], position: list[int]) -> None:
    """Sort the vertices that have neighbours by where those are; the others keep their places."""
    keyed: list[tuple[float, int, int]] = []
    places: list[int] = []
    for place, vertex in enumerate(layer):
        others = near[vertex]
        if not others:
            continue
        if len(others) == 1:
            keyed.append((position[others[0]], place, vertex))
        else:
            keyed.append((sum([position[other] for other in others]) / len(others), place, vertex))
        places.append(place)
    keyed.sort()
    for place, (_, _, vertex) in zip(places, keyed, strict=True):
        layer[place] = vertex
    _number(layer, position)


def _number(layer: list[int], position: list[int]) -> None:
    for place, vertex in enumerate(layer):
        position[vertex] = place


def _swap_neighbours(graph: LayeredGraph, position: list[int]) -> None:
    """Swap adjacent vertices while that takes away crossings, a bounded number of times."""
    for _ in range(4):
        improved = [_swap_in(layer, graph, position) for layer in graph.layers]
        if not any(improved):
            return


def _swap_in(layer: list[int], graph: LayeredGraph, position: list[int]) -> bool:
    improved = False
    for place in range(len(layer) - 1):
        left, right = layer[place], layer[place + 1]
        if _gain(graph.up[left], graph.up[right], position) + _gain(graph.down[left], graph.down[right], position) > 0:
            layer[place], layer[place + 1] = right, left
            position[left], position[right] = place + 1, place
            improved = True
    return improved


def _gain(left: list[int], right: list[int], position: list[int]) -> int:
    """Return how many crossings go away when two adjacent vertices with these neighbours are swapped."""
    if not left or not right:
        return 0
    places = sorted([position[other] for other in right])
    own = [position[other] for other in left]
    before = sum(bisect_left(places, place) for place in own)
    after = sum(len(places) - bisect_right(places, place) for place in own)
    return before - after
