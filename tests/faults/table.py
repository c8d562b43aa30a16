"""The table of what experiments found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.campaign import HANGS, LEFT, Tally

_OWN_COLUMNS = (HANGS, LEFT)


def table(tallies: Sequence[Tally]) -> str:
    """Return a row for each experiment and executor, as a Markdown table."""
    head = ("experiment", "executor", "trials", "failed", *_OWN_COLUMNS, "counted", "worst")
    rows = [head, *map(_row, tallies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(tally: Tally) -> tuple[str, ...]:
    counts, worst = tally.findings.counts, tally.findings.worst
    counted = ", ".join(f"{name} {number:,}" for name, number in counts.items() if name not in _OWN_COLUMNS)
    slowest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in worst.items())
    own = (f"{counts[name]:,}" for name in _OWN_COLUMNS)
    return (tally.experiment, tally.executor, f"{tally.trials:,}", f"{tally.failed:,}", *own, counted, slowest)


def as_json(machine: Mapping[str, str], tallies: Sequence[Tally]) -> dict[str, Any]:
    """Return the same as plain data."""
    return {"machine": dict(machine), "experiments": [_plain(tally) for tally in tallies]}


def _plain(tally: Tally) -> dict[str, Any]:
    numbers = {"trials": tally.trials, "failed": tally.failed}
    return {"experiment": tally.experiment, "executor": tally.executor, **numbers, **tally.findings.to_json()}
