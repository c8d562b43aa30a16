"""Compact placement across the layers, for graphs too tangled to be drawn with straight lines.

Layer by layer, down and up in turn, every vertex moves as near to the mean of its neighbours as the gaps allow.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from headrace.visualize.spacing import fit_ascending, separation

if TYPE_CHECKING:
    from headrace.visualize.layers import LayeredGraph

__all__ = ["place_compactly"]

_WORK = 400_000
_LOOSE = 0.1
_STIFF = 200.0


def place_compactly(graph: LayeredGraph, extents: list[float]) -> list[float]:
    """Return the centre of each vertex; neighbours in a layer keep their gap."""
    centres = [0.0] * len(extents)
    offsets: list[list[float]] = []
    for layer in graph.layers:
        gaps = [separation(extents, left, right) for left, right in pairwise(layer)]
        offsets.append(list(accumulate(gaps, initial=0.0)))
        for vertex, place in zip(layer, offsets[-1], strict=True):
            centres[vertex] = place - offsets[-1][-1] / 2
    for number in range(max(2, min(12, _WORK // len(extents)))):
        downward = number % 2 == 0
        near, trunk = (graph.up, graph.trunk_up) if downward else (graph.down, graph.trunk_down)
        pairs = list(zip(graph.layers, offsets, strict=True))
        for layer, offset in pairs if downward else reversed(pairs):
            _relax(layer, offset, near, trunk, centres)
    return centres


def _relax(
    layer: list[int], offsets: list[float], near: list[list[int]], trunk: list[int], centres: list[float]
) -> None:
    wanted: list[float] = []
    weights: list[float] = []
    for vertex, offset in zip(layer, offsets, strict=True):
        others = near[vertex]
        if trunk[vertex] >= 0:
            wanted.append(centres[trunk[vertex]] - offset)
            weights.append(_STIFF)
        elif not others:
            wanted.append(centres[vertex] - offset)
            weights.append(_LOOSE)
        elif len(others) == 1:
            wanted.append(centres[others[0]] - offset)
            weights.append(1.0)
        else:
            wanted.append(sum([centres[other] for other in others]) / len(others) - offset)
            weights.append(float(len(others)))
    for vertex, place, offset in zip(layer, fit_ascending(wanted, weights), offsets, strict=True):
        centres[vertex] = place + offset
