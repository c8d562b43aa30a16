"""What is read, each function on a connection that its caller has opened."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace.exceptions import RunNotFoundError
from headrace.history.records import (
    AttemptRecord,
    EdgeRecord,
    LogRecord,
    NoteRecord,
    Owner,
    RunRecord,
    Tally,
    TaskRecord,
    TaskRunRecord,
    ValueRecord,
)
from headrace_postgres import statements
from headrace_postgres.arrays import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.history.folding import Row
    from headrace.history.records import LogQuery, RunQuery, TaskRunQuery
    from headrace_postgres.schema import Connection

__all__ = [
    "BEGINNING",
    "Place",
    "attempts",
    "attempts_page",
    "find_run",
    "logs_page",
    "notes",
    "notes_page",
    "owner_from",
    "run_by_id",
    "run_key",
    "runs_page",
    "slowest",
    "tally",
    "task_run",
    "task_runs_page",
    "tasks",
]

# What follows every character of an id.
_LAST: Final = "\U0010ffff"
_NEAREST: Final = 5
# Many thousand rows become named tuples, and their own constructors are not the fastest way.
_made: Final = tuple.__new__

Place: TypeAlias = "tuple[int, int, int]"
"""Node, map index and number of a row, in the order in which these are listed."""

BEGINNING: Final[Place] = (-1, -1, -1)


# Runs


def run_key(connection: Connection, run_id: str, where: str) -> int:
    """Return the number that the tables have for a run; raise RunNotFoundError, which calls the history ``where``."""
    row = connection.execute(statements.RUN_KEY, (clean(run_id),)).fetchone()
    if row is None:
        raise RunNotFoundError(run_id, where, _nearest(connection, run_id))
    return int(row[0])


def run_by_id(connection: Connection, run_id: str) -> RunRecord | None:
    """Return the run of an id, or None."""
    row = connection.execute(statements.RUN_BY_ID, (clean(run_id),)).fetchone()
    return None if row is None else _run(row)


def find_run(connection: Connection, name: str, where: str) -> RunRecord:
    """Return the run that ``name`` means; see `headrace.abc.RunStore.run`."""
    said = clean(name)
    asked: tuple[tuple[str, tuple[str, ...]], ...] = (
        (statements.LATEST_RUN, ()) if name == "latest" else (statements.RUN_BY_ID, (said,)),
        (statements.RUN_BY_NAME, (said,)),
        # Every id begins with nothing.
        (statements.RUNS_BY_PREFIX, (said, said + _LAST if said else "")),
    )
    for statement, parameters in asked:
        rows = connection.execute(statement.encode(), parameters).fetchall()
        if len(rows) > 1:
            raise RunNotFoundError(name, where, [row[1] for row in rows], ambiguous=True)
        if rows:
            return _run(rows[0])
    raise RunNotFoundError(name, where, _nearest(connection, name))


def _nearest(connection: Connection, name: str) -> list[str]:
    known = connection.execute(statements.NAMES).fetchall()
    # Several runs may have one name.
    names = list(dict.fromkeys(each for pair in known for each in pair))
    near = get_close_matches(name, names, n=_NEAREST, cutoff=0.5)
    return near or list(dict.fromkeys(shown for _, shown in known))[:_NEAREST]


def runs_page(
    connection: Connection, query: RunQuery, after: int | None, limit: int
) -> tuple[list[RunRecord], int | None]:
    """Return some of the runs that ``query`` asks for, and what to continue ``after``."""
    said: dict[str, Any] = {
        "flow_name": None if query.flow_name is None else clean(query.flow_name),
        "since": query.since,
        "before": query.before,
        "parent": None if query.parent is None else clean(query.parent),
        "states": None if query.states is None else sorted(query.states),
        "key": after,
        "limit": limit,
    }
    conditions = [condition for name, condition in statements.RUN_CONDITIONS.items() if said[name] is not None]
    if query.parent is None and not query.nested:
        conditions.append(statements.NOT_NESTED)
    rows = connection.execute(statements.runs_page(conditions), said).fetchall()
    return [_run(row) for row in rows], rows[-1][0] if rows else None


def _run(row: Row) -> RunRecord:
    details, owner = row[10:12]
    return RunRecord(
        id=row[1],
        name=row[2],
        flow_name=row[3],
        created=row[4],
        parameters=row[5],
        parent=row[6],
        resumed_from=row[7],
        results=row[8],
        task_count=row[9],
        details=json.loads(details) if details else {},
        owner=owner_from(owner),
        state=row[12],
        message=row[13],
        started=row[14],
        ended=row[15],
        cause=row[16],
        resumed_by=row[17],
        counts=row[18] or {},
    )


def owner_from(text: str) -> Owner:
    """Return the owner that the tables say in JSON."""
    return Owner(**json.loads(text))


# Tasks and task runs


def tasks(connection: Connection, key: int) -> list[TaskRecord]:
    """Return the tasks of a run."""
    return [_task(*row) for row in connection.execute(statements.TASKS.encode(), (key,))]


def _task(*row: Any) -> TaskRecord:
    node, slug, name, kind, mapped, source_digest, trigger, resume, tags, upstream, details = row
    return TaskRecord(
        node=node,
        slug=slug,
        name=name,
        kind=kind,
        mapped=mapped,
        source_digest=source_digest,
        trigger=trigger,
        resume=resume,
        tags=tuple(json.loads(tags)) if tags else (),
        upstream=tuple(EdgeRecord(*edge) for edge in json.loads(upstream)) if upstream else (),
        details=json.loads(details) if details else {},
    )


def task_runs_page(
    connection: Connection, key: int, query: TaskRunQuery, after: tuple[int, int] | None, limit: int
) -> list[TaskRunRecord]:
    """Return some of the task runs that ``query`` asks for, those that follow ``after``."""
    said: dict[str, Any] = {
        "run": key,
        "node": query.node,
        "states": None if query.states is None else sorted(query.states),
        "limit": limit,
    }
    conditions = [condition for name, condition in statements.TASK_RUN_CONDITIONS.items() if said[name] is not None]
    if query.children is not None:
        conditions.append(statements.CHILDREN[query.children])
    if after is not None:
        said["after_node"], said["after_index"] = after
        conditions.append(statements.AFTER)
    statement = statements.task_runs_page(conditions, data=query.data)
    return [_task_run(row) for row in connection.execute(statement, said, binary=True).fetchall()]


def task_run(connection: Connection, key: int, node: int, map_index: int) -> TaskRunRecord | None:
    """Return one task run, or None."""
    row = connection.execute(statements.TASK_RUN.encode(), (key, node, map_index), binary=True).fetchone()
    return None if row is None else _task_run(row)


def _task_run(row: Row) -> TaskRunRecord:
    return _made(TaskRunRecord, (*row[:9], _value(row[9:16]), *row[16:]))


def _value(fields: Row) -> ValueRecord | None:
    # Whether it is an exception is said of every value.
    return None if fields[6] is None else _made(ValueRecord, fields)


def attempts(connection: Connection, key: int, node: int, map_index: int) -> list[AttemptRecord]:
    """Return the earlier attempts of a task run."""
    rows = connection.execute(statements.ATTEMPTS.encode(), (key, node, map_index))
    return [_made(AttemptRecord, (*row[:7], _value(row[7:]))) for row in rows]


def notes(connection: Connection, key: int, node: int, map_index: int) -> list[NoteRecord]:
    """Return the remarks on a task run."""
    return [NoteRecord(*row) for row in connection.execute(statements.NOTES.encode(), (key, node, map_index))]


def tally(connection: Connection, key: int) -> list[Tally]:
    """Return how many children of each mapped task are in which state."""
    return [Tally(*row) for row in connection.execute(statements.TALLY, (key,))]


def slowest(connection: Connection, key: int, node: int, limit: int) -> list[TaskRunRecord]:
    """Return the children that took longest."""
    rows = connection.execute(statements.SLOWEST.encode(), (key, node, limit), binary=True)
    return [_task_run(row) for row in rows]


def attempts_page(connection: Connection, key: int, after: Place, limit: int) -> tuple[list[AttemptRecord], Place]:
    """Return some of the earlier attempts of all task runs, and what to continue ``after``."""
    rows = connection.execute(statements.ATTEMPTS_PAGE.encode(), (key, *after, limit)).fetchall()
    return [_made(AttemptRecord, (*row[1:8], _value(row[8:]))) for row in rows], _last_place(rows, after)


def notes_page(connection: Connection, key: int, after: Place, limit: int) -> tuple[list[NoteRecord], Place]:
    """Return some of the remarks on all task runs, and what to continue ``after``."""
    rows = connection.execute(statements.NOTES_PAGE.encode(), (key, *after, limit)).fetchall()
    return [NoteRecord(*row[1:]) for row in rows], _last_place(rows, after)


def _last_place(rows: Sequence[Row], after: Place) -> Place:
    return (rows[-1][1], rows[-1][2], rows[-1][0]) if rows else after


def logs_page(connection: Connection, key: int, query: LogQuery, after: int | None, limit: int) -> list[LogRecord]:
    """Return some of what ``query`` asks for, what follows ``after``."""
    said: dict[str, Any] = {
        "run": key,
        "node": query.node,
        "map_index": query.map_index,
        "level": query.level,
        "after": after,
        "limit": limit,
    }
    conditions = [condition for name, condition in statements.LOG_CONDITIONS.items() if said[name] is not None]
    return [_made(LogRecord, row) for row in connection.execute(statements.logs_page(conditions), said)]
