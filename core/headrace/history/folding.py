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
    NO_VALUE,
    NOTED,
    WAITING,
    Began,
    Entered,
    Expanded,
    TaskRunState,
    entries,
)

__all__ = ["CHILD_COUNT", "FINISHED_COLUMN", "INPUTS", "STARTED", "STATE", "Batch", "Row", "fold"]

Row: TypeAlias = "tuple[Any, ...]"
"""A task run, for a statement that writes it.

Node, map index, attempt, state, message, started, entered, until, child count, inputs, details; the fields of a
`ValueRecord`; and whether it has finished.
"""

STATE: Final = 3
STARTED: Final = 5
CHILD_COUNT: Final = 8
INPUTS: Final = 9
FINISHED_COLUMN: Final = -1


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
            fields of a `ValueRecord`.
        notes: node, map index, kind, text.
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
    entered: Entered | None = None
    ended: Entered | None = None
    damaged: bool = False


def fold(run_id: str, start: int, data: bytes) -> Batch:
    """Return what ``data``, which is what the journal of a run has from ``start`` on, comes to.

    The batch ends with the last entry that is there as a whole.
    """
    batch = Batch(run_id, start, start)
    rows, attempts, notes = batch.rows, batch.attempts, batch.notes
    end = 0
    for kind, position, said in entries(data):
        if kind == BEGAN:
            _begin(rows, said)
        elif kind in _ENTER:
            _enter(rows, said, finished=kind == FINISHED)
        elif kind == EXPANDED:
            _expand(rows, said)
        elif kind == ATTEMPTED:
            attempts.append(_attempt(said))
        elif kind == NOTED:
            notes.append(said)
        elif kind == ENTERED:
            batch.entered = said
        elif kind == ENDED:
            batch.ended = said
        else:
            batch.damaged = said[1]
        end = position
    batch.end = start + end
    return batch


_ENTER: Final = frozenset({WAITING, FINISHED})


def _begin(rows: dict[tuple[int, int], Row], said: Began) -> None:
    node, map_index, attempt, at, inputs = said
    key = node, map_index
    known = rows.get(key)
    if known is None:
        rows[key] = (node, map_index, attempt, "Running", None, at, at, None, None, inputs, None, *NO_VALUE, False)
    elif not known[FINISHED_COLUMN]:
        inputs = known[INPUTS] if inputs is None else inputs
        head = node, map_index, attempt, "Running", None, at, at, None
        rows[key] = (*head, known[CHILD_COUNT], inputs, None, *NO_VALUE, False)


def _enter(rows: dict[tuple[int, int], Row], said: TaskRunState, *, finished: bool) -> None:
    node, map_index, attempt, state, message, started, at, until, details, value = said
    key = node, map_index
    known = rows.get(key)
    count = inputs = None
    if known is not None:
        if known[FINISHED_COLUMN]:
            return
        count, inputs = known[CHILD_COUNT], known[INPUTS]
    head = node, map_index, attempt, state, message, started, at, until
    rows[key] = (*head, count, inputs, details, *value, finished)


def _expand(rows: dict[tuple[int, int], Row], said: Expanded) -> None:
    node, count, at = said
    known = rows.get((node, -1))
    if known is None:
        head = node, -1, 1, "Running", None, at, at, None
        rows[node, -1] = (*head, count, None, None, *NO_VALUE, False)
    elif not known[FINISHED_COLUMN]:
        rows[node, -1] = (*known[:CHILD_COUNT], count, *known[CHILD_COUNT + 1 :])


def _attempt(said: TaskRunState) -> Row:
    node, map_index, attempt, state, message, started, at, _, _, value = said
    return node, map_index, attempt, state, message, started, at, *value
