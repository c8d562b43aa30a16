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
    WAITING,
    Began,
    Entered,
    Expanded,
    TaskRunState,
    entries,
)

__all__ = ["FINISHED_COLUMN", "RARE", "STARTED", "STATE", "Batch", "Row", "fold"]

Row: TypeAlias = "tuple[Any, ...]"
"""A task run, for a statement that writes it.

Node, map index, attempt, state, message, started, entered; 1 if it has finished, or 0; the fields of a `Value`; and
until, child count, inputs, details. Few task runs have any of those from the serializer on.
"""

STATE: Final = 3
STARTED: Final = 5
FINISHED_COLUMN: Final = 7
RARE: Final = 11
"""Where the serializer is, which with what follows is None in most rows."""

_COUNT: Final = 16
_INPUTS: Final = 17


@dataclass(slots=True)
class Batch:
    """What a piece of one run's journal comes to, to be written in one transaction.

    Attributes:
        run_id: the run.
        start: where in the journal the piece begins.
        end: where it ends.
        rows: the task runs that it says something of, by node and map index. A child count or inputs of None mean that
            nothing was said of them, and that those already known stay.
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
            _enter(rows, said, finished=kind == FINISHED)
        elif kind == LOGGED:
            batch.logs.append((start + position, *said))
        else:
            _add(batch, kind, said)
        end = position
    batch.end = start + end
    return batch


_STATES: Final = frozenset({WAITING, FINISHED})


def _begin(rows: dict[tuple[int, int], Row], said: Began) -> None:
    node, map_index, attempt, at, inputs = said
    key = node, map_index
    count = None
    if key in rows:
        known = rows[key]
        if known[FINISHED_COLUMN]:
            return
        count, inputs = known[_COUNT], known[_INPUTS] if inputs is None else inputs
    rows[key] = node, map_index, attempt, "Running", None, at, at, 0, *NO_VALUE, None, count, inputs, None


def _enter(rows: dict[tuple[int, int], Row], said: TaskRunState, *, finished: bool) -> None:
    node, map_index, attempt, state, message, started, at, value, until, details = said
    key = node, map_index
    count = inputs = None
    if key in rows:
        known = rows[key]
        if known[FINISHED_COLUMN]:
            return
        count, inputs = known[_COUNT], known[_INPUTS]
    # A database writes a number faster than a truth.
    number = 1 if finished else 0
    rows[key] = node, map_index, attempt, state, message, started, at, number, *value, until, count, inputs, details


def _add(batch: Batch, kind: int, said: Any) -> None:
    if kind == EXPANDED:
        _expand(batch.rows, said)
    elif kind == ATTEMPTED:
        batch.attempts.append((*said[:7], *said[7]))
    elif kind == NOTED:
        batch.notes.append(said)
    elif kind == ENTERED:
        batch.entered = said
    elif kind == ENDED:
        batch.ended = said
    else:
        batch.damaged = said[1]


def _expand(rows: dict[tuple[int, int], Row], said: Expanded) -> None:
    node, count, at = said
    known = rows.get((node, -1))
    if known is None:
        rows[node, -1] = node, -1, 1, "Running", None, at, at, 0, *NO_VALUE, None, count, None, None
    elif not known[FINISHED_COLUMN]:
        rows[node, -1] = *known[:_COUNT], count, *known[_COUNT + 1 :]
