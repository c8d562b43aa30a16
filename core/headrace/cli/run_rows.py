"""Tasks of recorded runs as rows of a table: a mark, the name, the state, how long it took, the attempt, and the rest.

Mapped children hang below their task like branches.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from headrace.cli.histories import Styled, can_show, look_of_state, state_cell
from headrace.cli.looks import duration
from headrace.history.overview import GOOD_STATES
from headrace.history.records import TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.abc import RunStore
    from headrace.cli.histories import Row
    from headrace.history.overview import TaskOverview
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord

__all__ = ["HEAD", "child_rows", "children_text", "few_child_rows", "remark", "task_row", "took"]

HEAD: Final[Row] = [Styled(word, "dim") for word in ("", "TASK", "STATE", "TOOK", "TRY", "")]

# What states say that have nothing to say.
_NOTHING: Final = frozenset(
    {"Task run succeeded.", "Running.", "Known without running.", "All mapped children have finished."}
)
_NAMED: Final = 3


def task_row(each: TaskOverview, run: RunRecord) -> Row:
    """Return the row of a task."""
    state, whole = each.state, each.whole
    if whole is None or state is None:
        word = "waiting" if run.ended is None else "not begun"
        return [Styled(_mark("Pending"), "dim"), each.task.slug, Styled(word, "dim"), "", "", ""]
    if each.task.mapped and whole.child_count is not None:
        if each.began is not None and not whole.is_finished and run.ended is None:
            span = duration(time.time() - each.began, live=True)
        else:
            span = "" if each.took is None else duration(each.took)
        text = children_text(each.counts, whole.child_count)
        return [*_first(state), each.task.slug, state_cell(state), span, "", text]
    return [*_first(state), each.task.slug, *_cells(whole)]


def children_text(counts: Mapping[str, int], total: int) -> str:
    """Return how the children of a map did."""
    done = sum(count for state, count in counts.items() if state in GOOD_STATES)
    parts = [f"{done:,} of {total:,} succeeded"]
    for state, count in counts.items():
        if state not in GOOD_STATES:
            parts.append(f"{count:,} {look_of_state(state).word}")
        elif state in {"Cached", "Skipped"}:
            parts.append(f"{count:,} of them {look_of_state(state).word}")
    return ", ".join(parts)


def few_child_rows(each: TaskOverview) -> list[Row]:
    """Return rows for the children that are worth a look."""
    rows = [_child_row(each.task, child) for child in each.trouble]
    rest = sum(each.counts.values()) - len(each.trouble)
    if rest and (rows or each.slowest):
        rows.append(["", Styled(f"{rest:,} more", "dim"), "", "", "", Styled(_slowest(each), "dim")])
    return _as_branches(rows)


def _slowest(each: TaskOverview) -> str:
    named = ", ".join(f"[{child.map_index}] {took(child)}" for child in each.slowest[:_NAMED])
    return f"slowest: {named}" if named else ""


def child_rows(store: RunStore, run: RunRecord, task: TaskRecord, limit: int | None = None) -> list[Row]:
    """Return a row for each child of ``task``, or for the first ``limit``."""
    query = TaskRunQuery(node=task.node, children=True, limit=limit)
    return _as_branches([_child_row(task, child) for child in store.task_runs(run.id, query)]) if task.mapped else []


def _as_branches(rows: list[Row]) -> list[Row]:
    """Put before the names what makes a tree of the rows."""
    branch, end = ("├ ", "└ ") if can_show("├└") else ("| ", "` ")
    for row in rows:
        text, style = row[1] if isinstance(row[1], Styled) else (row[1], "")
        row[1] = Styled((end if row is rows[-1] else branch) + text, style)
    return rows


def _child_row(task: TaskRecord, record: TaskRunRecord) -> Row:
    return [*_first(record.state), f"{task.slug}[{record.map_index}]", *_cells(record)]


def _first(state: str) -> Row:
    return [Styled(_mark(state), look_of_state(state).style)]


def _mark(state: str) -> str:
    return look_of_state(state).mark(unicode=can_show("✓⊘"))


def _cells(record: TaskRunRecord) -> Row:
    return [state_cell(record.state), took(record), str(record.attempt) if record.attempt > 1 else "", remark(record)]


def remark(record: TaskRunRecord) -> str:
    """Return what there is to say of a task run beside its state."""
    if record.taken_from:
        return f"taken over from {record.taken_from[:8]}"
    return "" if record.message is None or record.message in _NOTHING else record.message


def took(record: TaskRunRecord) -> str:
    """Return how long the last attempt of a task run took, or has taken so far."""
    if record.started is None:
        return ""
    if record.is_finished:
        return duration(record.entered - record.started)
    return duration(time.time() - record.started, live=True) if record.state == "Running" else ""
