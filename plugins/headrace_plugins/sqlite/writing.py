"""What is written, each function within a transaction that its caller has opened."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import HistoryError, RunOwnedError
from headrace.history.encoding import as_text
from headrace.history.folding import FINISHED_COLUMN, RARE, STARTED, STATE
from headrace_plugins.sqlite import slots, statements
from headrace_plugins.sqlite.reading import run_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.history.folding import Batch, Row
    from headrace.history.records import Cause, Owner, RunRecord, TaskRecord, TaskRunRecord

__all__ = ["crash_run", "end_run", "forget_run", "insert_run", "run_row", "taken_over_row", "write_batch"]

_NOTHING_RARE: Final = (None,) * 7


# A new run


def run_row(run: RunRecord, owner: Owner, position: int) -> Row:
    """Return a run as a row of its table."""
    return (
        run.id,
        as_text(run.name),
        as_text(run.flow_name),
        run.created,
        run.parameters,
        run.parent,
        run.resumed_from,
        run.results,
        run.task_count,
        _json(run.details),
        json.dumps(asdict(owner)),
        run.state,
        run.message,
        position,
    )


def _task_row(key: int, task: TaskRecord) -> Row:
    """Return a task as a row of its table."""
    return (
        key,
        task.node,
        as_text(task.slug),
        as_text(task.name),
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
    return (*record[:9], *value, record.details, 1, record.taken_from or origin)


def _json(values: Mapping[str, object]) -> str | None:
    return json.dumps(values) if values else None


def insert_run(
    connection: sqlite3.Connection, run: Row, tasks: Sequence[TaskRecord], taken_over: Sequence[Row], where: str
) -> None:
    """Write a new run; raise HistoryError if there is one with its id. ``where`` is what messages call the history."""
    if connection.execute(statements.RUN_EXISTS, run[:1]).fetchone():
        raise HistoryError(f"There is a run {run[0]} in {where} already.", hint="Give each run an id of its own.")
    key = connection.execute(statements.INSERT_RUN, run).lastrowid
    assert key is not None
    connection.executemany(statements.INSERT_TASK, (_task_row(key, task) for task in tasks))
    _take_over(connection, key, taken_over)


def claim_origin(connection: sqlite3.Connection, origin: str, where: str, *, again: bool) -> None:
    """Make sure that a run may go on from ``origin``; raise RunOwnedError if it may not."""
    key = run_key(connection, origin, where)
    if not connection.execute(statements.RUN_ENDED, (key,)).fetchone()[0]:
        raise RunOwnedError(
            origin,
            origin,
            f"Run {origin} has not ended: its process lives, or died and nobody has noticed yet.",
            hint="Cancel it first, or sweep the history.",
        )
    for later, ended in connection.execute(statements.RESUMED_BY, (origin,)):
        if not again or ended is None:
            raise RunOwnedError(
                origin,
                later,
                f"Run {origin} was resumed already, as run {later}.",
                hint=f"Resume that one, once it has ended: `headrace resume {later}`.",
            )


def _take_over(connection: sqlite3.Connection, key: int, rows: Sequence[Row]) -> None:
    connection.executemany(statements.TAKE_OVER, ((key, *row) for row in rows))
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row[STATE]] += 1
    connection.executemany(statements.COUNT, [(key, state, count) for state, count in counts.items()])


# A run that goes on


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write what a piece of a journal comes to; do nothing if it is there already, or if the run is gone."""
    started = min((row[STARTED] for row in batch.rows.values() if row[STARTED] is not None), default=None)
    said = {"id": batch.run_id, "start": batch.start, "end": batch.end, "started": started}
    if connection.execute(statements.ADVANCE, said).rowcount == 0:
        return
    (key,) = connection.execute(statements.RUN_KEY, (batch.run_id,)).fetchone()
    _write_task_runs(connection, key, batch.rows.values())
    slots.give_up(connection, key, batch.rows)
    if batch.taken_over:
        _take_over(connection, key, [taken_over_row(each, None) for each in batch.taken_over])
    if batch.attempts:
        connection.executemany(statements.INSERT_ATTEMPT, [(key, *row) for row in batch.attempts])
    if batch.notes:
        connection.executemany(statements.INSERT_NOTE, [(key, *row) for row in batch.notes])
    if batch.logs:
        connection.executemany(statements.INSERT_LOG, [(key, *row) for row in batch.logs])
    if batch.entered is not None:
        state, message, _ = batch.entered
        connection.execute(statements.ENTER_RUN, (state, message, key))
    if batch.ended is not None:
        state, message, at = batch.ended
        end_run(connection, key, state, message, at)


def _write_task_runs(connection: sqlite3.Connection, key: int, rows: Iterable[Row]) -> None:
    alike: dict[tuple[str | None, bool], list[Row]] = defaultdict(list)
    for row in rows:
        state = row[STATE] if row[FINISHED_COLUMN] else None
        if row[RARE:] == _NOTHING_RARE:
            alike[state, True].append((key, *row[:RARE]))
        else:
            alike[state, False].append((key, *row))
    for (state, plain), each in alike.items():
        statement = statements.WRITE_PLAIN_TASK_RUN if plain else statements.WRITE_TASK_RUN
        written = connection.executemany(statement, each).rowcount
        if state is not None and written:
            connection.execute(statements.COUNT, (key, state, written))


def end_run(
    connection: sqlite3.Connection, key: int, state: str, message: str | None, at: float, cause: Cause | None = None
) -> None:
    """Write that a run has ended, unless it had."""
    connection.execute(statements.END_RUN, (state, message, at, cause, key))
    connection.execute(statements.GIVE_UP_SLOTS_OF_RUN, (key,))


def crash_run(connection: sqlite3.Connection, key: int, messages: tuple[str, str], at: float, cause: Cause) -> None:
    """Write that a run and its task runs that were running ended because its owner died; unless it had ended."""
    about_run, about_task_runs = messages
    state = "Cancelled" if cause == "interrupted" else "Crashed"
    if connection.execute(statements.END_RUN, (state, about_run, at, cause, key)).rowcount:
        connection.execute(statements.GIVE_UP_SLOTS_OF_RUN, (key,))
        crashed = connection.execute(statements.CRASH_TASK_RUNS, (about_task_runs, at, key)).rowcount
        if crashed:
            connection.execute(statements.COUNT, (key, "Crashed", crashed))


def forget_run(connection: sqlite3.Connection, key: int) -> list[str]:
    """Delete a run, and return the locations that no other run refers to."""
    said: dict[str, Any] = {"run": key}
    locations = [location for (location,) in connection.execute(statements.OWN_LOCATIONS, said)]
    for statement in statements.FORGET:
        connection.execute(statement, said)
    return locations
