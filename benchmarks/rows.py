"""What the benchmark finds: one row a measurement, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A number with its unit; ``note`` says what is special about it."""

    value: float
    unit: str
    note: str = ""


TIMES: Final = "×"  # noqa: RUF001 - the sign is meant

# A text stands where there is no number: missing, failed, or left out on purpose.
Cell: TypeAlias = "Quantity | str"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What ``column`` of a row must reach: at most ``limit``, or at least."""

    column: str
    limit: float
    unit: str
    at_least: bool = False
    stretch: float | None = None

    def is_met_by(self, cell: Cell | None) -> bool:
        """Tell whether ``cell`` is a number on the right side of the limit."""
        if not isinstance(cell, Quantity):
            return False
        return cell.value >= self.limit if self.at_least else cell.value <= self.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a section of the table; ``cells`` are by column title, in order."""

    section: str
    workload: str
    size: int | None = None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return None if self.target is None else self.target.is_met_by(self.cells.get(self.target.column))


def growth_exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line fitted to ``(size, cost)`` on logarithmic scales: 0 is flat, 1 is proportional.

    Raises ValueError for fewer than two different sizes.
    """
    xs = [math.log(size) for size, _ in points]
    ys = [math.log(cost) for _, cost in points]
    if len(set(xs)) < 2:
        raise ValueError(f"A slope needs two sizes, and got {len(set(xs))}.")
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return covariance / sum((x - x_mean) ** 2 for x in xs)
