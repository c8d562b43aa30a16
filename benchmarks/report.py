"""The table, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.rows import TIMES, Cell, Row, Target

_DECIMALS = {"bytes": 0, "found": 0, "": 2, "of ideal": 3, TIMES: 2}


def render(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Return the whole report as text."""
    width = max(map(len, machine))
    head = [f"{name:<{width}}  {value}" for name, value in machine.items()]
    sections = dict.fromkeys(row.section for row in rows)
    tables = [_table(title, [row for row in rows if row.section == title]) for title in sections]
    return "\n".join([*head, "", *tables, _summary(rows)])


def as_json(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Return the whole report as JSON: numbers, not texts."""
    found: list[dict[str, Any]] = [{**asdict(row), "met": row.met} for row in rows]
    return json.dumps({"machine": dict(machine), "rows": found}, indent=2)


def _table(title: str, rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    lines = [["workload", "size", *columns, "target", "met?"]]
    for row in rows:
        size = "" if row.size is None else f"{row.size:,}"
        cells = [show(row.cells.get(name, "")) for name in columns]
        lines.append([row.workload, size, *cells, _show_target(row.target), _show_met(row.met)])
    return "\n".join([title, *_aligned(_without_empty_columns(lines)), ""])


def _without_empty_columns(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    return [list(line) for line in zip(*columns, strict=True)]


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, (first, *others) in enumerate(lines):
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([f"{first:<{widths[0]}}", *cells]).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def show(cell: Cell) -> str:
    """Return a cell as text, with as many digits as mean something."""
    if isinstance(cell, str):
        return cell
    return " ".join(filter(None, [_number(cell.value, cell.unit), cell.unit, cell.note]))


def _number(value: float, unit: str) -> str:
    if unit in _DECIMALS:
        return f"{value:,.{_DECIMALS[unit]}f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _show_target(target: Target | None) -> str:
    if target is None:
        return ""
    text = f"{target.column} {'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}".rstrip()
    return text if target.stretch is None else f"{text} (stretch {target.stretch:g})"


def _show_met(met: bool | None) -> str:
    return {None: "", True: "yes", False: "NO"}[met]


def _summary(rows: Sequence[Row]) -> str:
    judged = [row for row in rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} targets met."]
    for row in missed:
        size = "" if row.size is None else f" {row.size:,}"
        lines.append(f"  missed: {row.section.partition(':')[0]}, {row.workload}{size}")
    return "\n".join(lines)
