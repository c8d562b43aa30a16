"""How close things may stand, and the placement that comes nearest to what each of them wants."""

from __future__ import annotations

__all__ = ["fit_ascending", "separation"]

_NODE_GAP = 28.0
_LINE_GAP = 14.0


def separation(extents: list[float], left: int, right: int) -> float:
    """Return the least distance between the centres of neighbours; what has no extent is a line."""
    gap = _NODE_GAP if extents[left] and extents[right] else _LINE_GAP
    return (extents[left] + extents[right]) / 2 + gap


def fit_ascending(wanted: list[float], weights: list[float]) -> list[float]:
    """Return the values that never descend and have the least weighted squares of distances from those wanted.

    This is isotonic regression by pooling adjacent violators, in linear time.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for value, weight in zip(wanted, weights, strict=True):
        mean, mass, count = value, weight, 1
        while pools and pools[-1][0] > mean:
            other, heft, members = pools.pop()
            mean = (mean * mass + other * heft) / (mass + heft)
            mass += heft
            count += members
        pools.append((mean, mass, count))
    return [value for value, _, count in pools for _ in range(count)]
