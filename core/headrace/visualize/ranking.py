"""Which layer each node of a connected graph stands in."""

from __future__ import annotations

from collections import deque
from math import ceil, sqrt

__all__ = ["assign_ranks"]

_COMFORTABLE = 16
"""Layers up to this many nodes are never broken up."""

_TRIES = 32


def assign_ranks(up: list[list[int]], down: list[list[int]], order: list[int]) -> list[int]:
    """Return a layer for each node, such that every edge points to a later layer.

    Layers follow the longest path, unless that makes one too wide to read: then no layer gets more nodes than a
    picture of pleasant proportions has room for, and what fits together stays together.
    """
    limit = max(_COMFORTABLE, ceil(1.2 * sqrt(len(order))))
    ranks = _longest_path(down, order)
    widest = max(_sizes(ranks))
    if widest > limit:
        limit = ceil(widest / ceil(widest / limit))  # even rows
        ranks = _bounded(up, down, limit)
    _tighten(ranks, up, down, order, limit)
    return ranks


def _longest_path(down: list[list[int]], order: list[int]) -> list[int]:
    ranks = [0] * len(order)
    for number in order:
        below = ranks[number] + 1
        for target in down[number]:
            ranks[target] = max(ranks[target], below)
    return ranks


def _bounded(up: list[list[int]], down: list[list[int]], limit: int) -> list[int]:
    """Fill layers of at most ``limit`` nodes, those first whose upstream came last, so parallel chains form bands."""
    missing = [len(sources) for sources in up]
    ready = deque(number for number, count in enumerate(missing) if not count)
    ranks = [0] * len(up)
    level = 0
    while ready:
        chosen = [ready.popleft() for _ in range(min(limit, len(ready)))]
        released: list[int] = []
        for number in chosen:
            ranks[number] = level
            for target in down[number]:
                missing[target] -= 1
                if not missing[target]:
                    released.append(target)
        ready.extendleft(reversed(released))
        level += 1
    return ranks


def _tighten(ranks: list[int], up: list[list[int]], down: list[list[int]], order: list[int], limit: int) -> None:
    """Move a node down to what it feeds where that shortens its edges: a parameter stands right above its task."""
    sizes = _sizes(ranks)
    for number in reversed(order):
        if len(down[number]) <= len(up[number]):
            continue
        lowest = min(ranks[target] for target in down[number]) - 1
        for rank in range(lowest, max(ranks[number], lowest - _TRIES), -1):
            if sizes[rank] < limit:
                sizes[ranks[number]] -= 1
                sizes[rank] += 1
                ranks[number] = rank
                break
    _close_gaps(ranks, sizes)


def _close_gaps(ranks: list[int], sizes: list[int]) -> None:
    if all(sizes):
        return
    renumbered: list[int] = []
    used = 0
    for size in sizes:
        renumbered.append(used)
        used += bool(size)
    ranks[:] = [renumbered[rank] for rank in ranks]


def _sizes(ranks: list[int]) -> list[int]:
    sizes = [0] * (max(ranks) + 1)
    for rank in ranks:
        sizes[rank] += 1
    return sizes
