"""What is written, each function within a transaction that its caller has opened."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import HistoryError, RunNotFoundError, RunOwnedError
from headrace.history.folding import STARTED
from headrace_postgres import slots, statements
from headrace_postgres.arrays import arrays, clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.history.folding import Batch, Row
    from headrace.history.records import Cause, Owner, RunRecord, TaskRecord, TaskRunRecord
    from headrace_postgres.schema import Connection

__all__ = [
    "claim_origin",
    "crash_run",
    "forget_run",
    "insert_run",
    "run_row",
    "taken_over_row",
    "task_row",
    "write_batch",
]

# Where a row for the table of runs has these.
_OWNER: Final = 10
_JOURNAL: Final = 11
# How many rows one statement takes.
_MOST: Final = 5000


# A new run


def run_row(run: RunRecord, owner: Owner, journal: Path, position: int) -> Row:
    """Return a run as a row of its table."""
    return (
        run.id,
        clean(run.name),
        clean(run.flow_name),
        run.created,
        run.parameters,
        run.parent,
        run.resumed_from,
        run.results,
        run.task_count,
        _json(run.details),
        owner_text(owner),
        str(journal),
        run.state,
        None if run.message is None else clean(run.message),
        position,
    )


def owner_text(owner: Owner) -> str:
    """Return what the tables say of an owner."""
    return json.dumps(asdict(owner), sort_keys=True)


def task_row(task: TaskRecord) -> Row:
    """Return a task as a row of its table, without the run."""
    return (
        task.node,
        task.slug,
        task.name,
        task.kind,
        task.mapped,
        task.source_digest,
        task.trigger,
        task.resume,
        json.dumps(task.tags) if task.tags else None,
        json.dumps(task.upstream) if task.upstream else None,
        _json(task.details),
    )


def taken_over_row(record: TaskRunRecord, origin: str | None) -> Row:
    """Return a task run that a run has from ``origin`` as a row of its table, without the run."""
    value = record.value or (None,) * 7
    return (*record[:9], *value, record.details, record.taken_from or origin)


def _json(values: Mapping[str, object]) -> str | None:
    return json.dumps(values) if values else None


def insert_run(connection: Connection, run: Row, tasks: Sequence[Row], taken_over: Sequence[Row], where: str) -> None:
    """Write a new run; raise HistoryError if there is one with its id. ``where`` is what messages call the history.

    Nothing is written if it was written before, and the answer was lost.
    """
    row = connection.execute(statements.INSERT_RUN.encode(), run).fetchone()
    if row is None:
        ours = connection.execute(statements.RUN_IS_OURS, (run[_OWNER], run[_JOURNAL], run[0])).fetchone()
        if ours is not None and ours[0]:
            return
        raise HistoryError(f"There is a run {run[0]} in {where} already.", hint="Give each run an id of its own.")
    _insert(connection, statements.INSERT_TASKS, row[0], tasks, statements.TASK_KINDS)
    _insert(connection, statements.TAKE_OVER, row[0], taken_over, statements.TAKEN_OVER_KINDS)


def _insert(connection: Connection, statement: str, key: int, rows: Sequence[Row], kinds: str) -> None:
    for start in range(0, len(rows), _MOST):
        connection.execute(statement.encode(), (key, *arrays(rows[start : start + _MOST], kinds)))


def claim_origin(connection: Connection, origin: str, by: str, where: str, *, again: bool) -> None:
    """Make sure that run ``by`` may go on from ``origin``; raise RunOwnedError if it may not.

    Others who try wait until the transaction has ended.
    """
    row = connection.execute(statements.LOCKED_RUN, (origin,)).fetchone()
    if row is None:
        raise RunNotFoundError(origin, where, ())
    if not row[1]:
        raise RunOwnedError(
            origin,
            origin,
            f"Run {origin} has not ended: its process lives, or died and nobody has noticed yet.",
            hint="Cancel it first, or sweep the history.",
        )
    for later, ended in connection.execute(statements.RESUMED_BY, (origin,)).fetchall():
        if later != by and (not again or ended is None):
            raise RunOwnedError(
                origin,
                later,
                f"Run {origin} was resumed already, as run {later}.",
                hint=f"Resume that one, once it has ended: `headrace resume {later}`.",
            )


# A run that goes on


def write_batch(connection: Connection, batch: Batch, *, late: bool = False) -> bool:
    """Write what a piece of a journal comes to; return False if the tables do not end where it begins.

    They do not either if the run is gone, or if somebody has ended it, unless ``late`` says that that is no hindrance.
    """
    rows = list(batch.rows.values())
    started = min((row[STARTED] for row in rows if row[STARTED] is not None), default=None)
    columns = arrays(rows, statements.WRITTEN_KINDS) if rows else [None] * len(statements.WRITTEN_KINDS)
    said = (batch.end, started, batch.run_id, batch.start, late, *columns)
    found = connection.execute(statements.WRITE_BATCH.encode(), said).fetchone()
    if found is None:
        return False
    key, has_slots = found
    if has_slots:
        slots.give_up(connection, key, batch.rows)
    _write_rest(connection, key, batch)
    return True


def _write_rest(connection: Connection, key: int, batch: Batch) -> None:
    taken_over = [taken_over_row(each, None) for each in batch.taken_over]
    _insert(connection, statements.TAKE_OVER, key, taken_over, statements.TAKEN_OVER_KINDS)
    _insert(connection, statements.INSERT_ATTEMPTS, key, batch.attempts, statements.ATTEMPT_KINDS)
    _insert(connection, statements.INSERT_NOTES, key, batch.notes, statements.NOTE_KINDS)
    _insert(connection, statements.INSERT_LOGS, key, batch.logs, statements.LOG_KINDS)
    if batch.entered is not None:
        state, message, _ = batch.entered
        connection.execute(statements.ENTER_RUN, (state, _cleaned(message), key))
    if batch.ended is not None:
        state, message, at = batch.ended
        _end_run(connection, key, state, message, at)


def _end_run(
    connection: Connection, key: int, state: str, message: str | None, at: float, cause: Cause | None = None
) -> bool:
    """Write that a run has ended, unless it had; tell which."""
    said = (state, _cleaned(message), at, cause, key)
    if connection.execute(statements.END_RUN, said).rowcount == 0:
        return False
    connection.execute(statements.GIVE_UP_SLOTS_OF_RUN, (key,))
    return True


def crash_run(connection: Connection, key: int, messages: tuple[str, str], at: float, cause: Cause) -> None:
    """Write that a run and its task runs that were running ended because its owner died; unless it had ended."""
    about_run, about_task_runs = messages
    state = "Cancelled" if cause == "interrupted" else "Crashed"
    if _end_run(connection, key, state, about_run, at, cause):
        connection.execute(statements.CRASH_TASK_RUNS, (about_task_runs, at, key))


def forget_run(connection: Connection, key: int) -> list[str]:
    """Delete a run, and return the locations that no other run refers to."""
    said: dict[str, Any] = {"run": key}
    locations = [location for (location,) in connection.execute(statements.OWN_LOCATIONS, said)]
    for statement in statements.FORGET:
        connection.execute(statement.encode(), said)
    return locations


def _cleaned(text: str | None) -> str | None:
    return None if text is None else clean(text)
