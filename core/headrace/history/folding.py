"""What a store is to write down of a piece of a journal: what its entries come to, each task run once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from headrace.history.encoding import (
    ATTEMPTED,
    BEGAN,
    ENDED,
    ENTERED,
    EXPANDED,
    FINISHED,
    LOGGED,
    NO_VALUE,
    NOTED,
    TAKEN_OVER,
    WAITING,
    Began,
    Entered,
    Expanded,
    TakenOver,
    TaskRunState,
    entries,
)
from headrace.history.records import TaskRunRecord, ValueRecord

__all__ = ["FINISHED_COLUMN", "RARE", "STARTED", "STATE", "Batch", "Row", "fold"]

Row: TypeAlias = "tuple[Any, ...]"
"""A task run, for a statement that writes it.

Node, map index, attempt, state, message, started, entered; 1 if it has finished, or 0; the fields of a `Value`; and
until, child count, details. Few task runs have any of those from the serializer on.
"""

STATE: Final = 3
STARTED: Final = 5
FINISHED_COLUMN: Final = 7
RARE: Final = 11
"""Where the serializer is, which with what follows is None in most rows."""

_UNTIL: Final = 15
_COUNT: Final = 16


@dataclass(slots=True)
class Batch:
    """What a piece of one run's journal comes to, to be written in one transaction.

    Attributes:
        run_id: the run.
        start: where in the journal the piece begins.
        end: where it ends.
        rows: the task runs that it says something of, by node and map index. A child count of None means that nothing
            was said of it, and that one already known stays.
        taken_over: task runs that stay as an earlier run has finished them. They are not among ``rows``.
        attempts: attempts that another one followed: node, map index, attempt, state, message, started, ended, and the
            fields of a `Value`.
        notes: node, map index, kind, text.
        logs: position, node, map index, attempt, moment, level, logger, text. The position of what was logged is where
            in the journal it ends.
        entered: the state that the run is in, if that was said.
        ended: the state that it has ended in, if that was said.
        damaged: whether what follows cannot be understood, although it is not just an entry that was cut short.
    """

    run_id: str
    start: int
    end: int
    rows: dict[tuple[int, int], Row] = field(default_factory=dict)
    taken_over: list[TaskRunRecord] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    notes: list[Row] = field(default_factory=list)
    logs: list[Row] = field(default_factory=list)
    entered: Entered | None = None
    ended: Entered | None = None
    damaged: bool = False


def fold(run_id: str, start: int, data: bytes) -> Batch:
    """Return what ``data``, which is what the journal of a run has from ``start`` on, comes to.

    The batch ends with the last entry that is there as a whole.
    """
    batch = Batch(run_id, start, start)
    rows = batch.rows
    end = 0
    for kind, position, said in entries(data):
        if kind == BEGAN:
            _begin(rows, said)
        elif kind in _STATES:
            _enter(rows, said)
        elif kind == LOGGED:
            batch.logs.append((start + position, *said))
        else:
            _add(batch, kind, said)
        end = position
    batch.end = start + end
    return batch


_STATES: Final = frozenset({WAITING, FINISHED})


def _begin(rows: dict[tuple[int, int], Row], said: Began) -> None:
    node, map_index, attempt, at = said
    key = node, map_index
    count = None
    if key in rows:
        known = rows[key]
        if known[FINISHED_COLUMN]:
            return
        count = known[_COUNT]
    rows[key] = node, map_index, attempt, "Running", None, at, at, 0, *NO_VALUE, None, count, None


def _enter(rows: dict[tuple[int, int], Row], said: TaskRunState) -> None:
    key = said[:2]
    known = rows.get(key)
    if known is None:
        rows[key] = said
    elif not known[FINISHED_COLUMN]:
        rows[key] = said if known[_COUNT] is None else _with_count(said, known[_COUNT])


def _add(batch: Batch, kind: int, said: Any) -> None:
    if kind == EXPANDED:
        _expand(batch.rows, said)
    elif kind == ATTEMPTED:
        batch.attempts.append((*said[:FINISHED_COLUMN], *said[FINISHED_COLUMN + 1 : _UNTIL]))
    elif kind == TAKEN_OVER:
        batch.taken_over.append(_taken_over(said))
    elif kind == NOTED:
        batch.notes.append(said)
    elif kind == ENTERED:
        batch.entered = said
    elif kind == ENDED:
        batch.ended = said
    else:
        batch.damaged = said[1]


def _taken_over(said: TakenOver) -> TaskRunRecord:
    (node, map_index, attempt, state, message, started, entered, _, *value, until, count, details), origin = said
    data, size, is_exception, serializer, type_name, location, digest = value
    known = None
    if is_exception is not None:
        known = ValueRecord(data, location, digest, serializer, type_name, size, is_exception == 1)
    return TaskRunRecord(
        node, map_index, attempt, state, message, started, entered, until, count, known, details, origin
    )


def _expand(rows: dict[tuple[int, int], Row], said: Expanded) -> None:
    node, count, at = said
    known = rows.get((node, -1))
    if known is None:
        rows[node, -1] = node, -1, 1, "Running", None, at, at, 0, *NO_VALUE, None, count, None
    elif not known[FINISHED_COLUMN]:
        rows[node, -1] = _with_count(known, count)


def _with_count(row: Row, count: int) -> Row:
    return *row[:_COUNT], count, *row[_COUNT + 1 :]
