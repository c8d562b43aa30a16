"""Where the vertices of a layered graph stand across its layers: straight where that is readable, compact otherwise."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from headrace.visualize.relaxation import place_compactly
from headrace.visualize.spacing import separation
from headrace.visualize.straightening import place_straight

if TYPE_CHECKING:
    from headrace.visualize.layers import LayeredGraph

__all__ = ["place_across"]

_TANGLED = 0.3
"""Crossings per link from which straight lines make a picture far too wide."""

_WASTEFUL = 2.2


def place_across(graph: LayeredGraph, sizes: list[float], crossings: int) -> list[float]:
    """Return the centre of each vertex; ``sizes`` are the extents of the real ones, and the least coordinate is 0.

    Neighbours in a layer keep a gap between them, always.
    """
    extents = sizes + [0.0] * (len(graph.rank) - graph.real)
    if crossings > max(100.0, _TANGLED * sum(map(len, graph.down))):
        return _from_zero(place_compactly(graph, extents), extents)
    centres = _from_zero(place_straight(graph, extents), extents)
    if max(centres) > _WASTEFUL * _widest_layer(graph, extents):
        return _from_zero(place_compactly(graph, extents), extents)
    return centres


def _from_zero(centres: list[float], extents: list[float]) -> list[float]:
    least = min([centre - extent / 2 for centre, extent in zip(centres, extents, strict=True)])
    return [centre - least for centre in centres]


def _widest_layer(graph: LayeredGraph, extents: list[float]) -> float:
    widths = (sum(separation(extents, left, right) for left, right in pairwise(layer)) for layer in graph.layers)
    return max(*extents, *widths)
