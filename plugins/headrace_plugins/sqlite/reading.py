"""What is read, each function on a connection that its caller has opened."""

from __future__ import annotations

import json
from collections import defaultdict
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
from headrace_plugins.sqlite import statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from headrace.history.folding import Row
    from headrace.history.records import LogQuery, RunQuery, TaskRunQuery

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

Place: TypeAlias = "tuple[int, int, int]"
"""Where a page of attempts or notes ends: node, map index and key."""

BEGINNING: Final[Place] = (-1, -1, -1)
"""Before all of them."""
# Many thousand rows become named tuples, and their own constructors are not the fastest way.
_made: Final = tuple.__new__


def _checked(row: Row, *blobs: int) -> Row:
    """Return a row that has bytes in the columns ``blobs`` only; raise TypeError for another: SQLite takes anything."""
    if bytes in map(type, row) and any(type(each) is bytes and i not in blobs for i, each in enumerate(row)):
        raise TypeError("there are bytes where a text should be")
    return row


def run_key(connection: sqlite3.Connection, run_id: str, where: str) -> int:
    """Return the number that the tables have for a run; raise RunNotFoundError, which calls the history ``where``."""
    row = connection.execute(statements.RUN_KEY, (run_id,)).fetchone()
    if row is None:
        raise RunNotFoundError(run_id, where, _nearest(connection, run_id))
    return int(row[0])


def run_by_id(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """Return the run of an id, or None."""
    found = _runs(connection, connection.execute(statements.RUN_BY_ID, (run_id,)).fetchall())
    return found[0] if found else None


def find_run(connection: sqlite3.Connection, name: str, where: str) -> RunRecord:
    """Return the run that ``name`` means; see `headrace.abc.RunStore.run`."""
    asked: tuple[tuple[str, tuple[str, ...]], ...] = (
        (statements.LATEST_RUN, ()) if name == "latest" else (statements.RUN_BY_ID, (name,)),
        (statements.RUN_BY_NAME, (name,)),
        # Every id begins with nothing.
        (statements.RUNS_BY_PREFIX, (name, name + _LAST if name else "")),
    )
    for statement, parameters in asked:
        rows = connection.execute(statement, parameters).fetchall()
        if len(rows) > 1:
            raise RunNotFoundError(name, where, [row[1] for row in rows], ambiguous=True)
        if rows:
            return _runs(connection, rows)[0]
    raise RunNotFoundError(name, where, _nearest(connection, name))


def _nearest(connection: sqlite3.Connection, name: str) -> list[str]:
    known = connection.execute(statements.NAMES).fetchall()
    # Several runs may have one name.
    names = list(dict.fromkeys(each for pair in known for each in pair))
    near = get_close_matches(name, names, n=_NEAREST, cutoff=0.5)
    return near or list(dict.fromkeys(shown for _, shown in known))[:_NEAREST]


def runs_page(
    connection: sqlite3.Connection, query: RunQuery, after: int | None, limit: int
) -> tuple[list[RunRecord], int | None]:
    """Return some of the runs that ``query`` asks for, and what to continue ``after``."""
    said: dict[str, Any] = {
        "flow_name": query.flow_name,
        "since": query.since,
        "before": query.before,
        "parent": query.parent,
        "key": after,
        "limit": limit,
    }
    conditions = [condition for name, condition in statements.RUN_CONDITIONS.items() if said[name] is not None]
    if query.parent is None and not query.nested:
        conditions.append(statements.NOT_NESTED)
    if after is not None:
        conditions.append(statements.BEFORE_KEY)
    if query.states is not None:
        conditions.append(_is_one_of("state", query.states, said))
    rows = connection.execute(statements.runs_page(conditions), said).fetchall()
    return _runs(connection, rows), rows[-1][0] if rows else None


def _is_one_of(column: str, values: Iterable[str], said: dict[str, Any]) -> str:
    names = []
    for number, value in enumerate(sorted(values)):
        said[f"{column}{number}"] = value
        names.append(f":{column}{number}")
    return f"{column} IN ({', '.join(names)})"


def _runs(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[RunRecord]:
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    marks = ", ".join("?" * len(rows))
    keys = [row[0] for row in rows]
    for statement in (statements.FINISHED_COUNTS, statements.OPEN_COUNTS) if rows else ():
        for key, state, count in map(_checked, connection.execute(statement.format(marks), keys)):
            counts[key][state] = counts[key].get(state, 0) + count
    return [_run(row, counts[row[0]]) for row in rows]


def _run(row: Row, counts: dict[str, int]) -> RunRecord:
    details, owner = _checked(row, 5)[10:12]
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
        counts=counts,
    )


def owner_from(text: str) -> Owner:
    """Return the owner that the tables say in JSON."""
    return Owner(**json.loads(text))


def tasks(connection: sqlite3.Connection, key: int) -> list[TaskRecord]:
    """Return the tasks of a run."""
    return [
        TaskRecord(
            node=node,
            slug=slug,
            name=name,
            kind=kind,
            mapped=bool(mapped),
            source_digest=source_digest,
            trigger=trigger,
            resume=resume,
            tags=tuple(json.loads(tags)) if tags else (),
            upstream=tuple(EdgeRecord(*edge) for edge in json.loads(upstream)) if upstream else (),
            details=json.loads(details) if details else {},
        )
        for (
            node,
            slug,
            name,
            kind,
            mapped,
            source_digest,
            trigger,
            resume,
            tags,
            upstream,
            details,
        ) in map(_checked, connection.execute(statements.TASKS, (key,)))
    ]


def task_runs_page(
    connection: sqlite3.Connection, key: int, query: TaskRunQuery, after: tuple[int, int] | None, limit: int
) -> list[TaskRunRecord]:
    """Return some of the task runs that ``query`` asks for, those that follow ``after``."""
    said: dict[str, Any] = {"run": key, "node": query.node, "limit": limit}
    conditions = []
    if query.node is not None:
        conditions.append("node = :node")
        # A place in another task is before all of this one or after all of it.
        after = None if after is None or after[0] < query.node else after
    if query.children is not None:
        conditions.append("map_index >= 0" if query.children else "map_index < 0")
    if query.states is not None:
        conditions.append(_is_one_of("state", query.states, said))
    if after is not None:
        said["after_node"], said["after_index"] = after
        one_task = after[0] == query.node
        conditions.append("map_index > :after_index" if one_task else "(node, map_index) > (:after_node, :after_index)")
    rows = connection.execute(statements.task_runs_page(conditions, data=query.data), said).fetchall()
    return [_task_run(row) for row in rows]


def task_run(connection: sqlite3.Connection, key: int, node: int, map_index: int) -> TaskRunRecord | None:
    """Return one task run, or None."""
    row = connection.execute(statements.TASK_RUN, (key, node, map_index)).fetchone()
    return None if row is None else _task_run(row)


def _task_run(row: Row) -> TaskRunRecord:
    _checked(row, 9, 11)
    return _made(TaskRunRecord, (*row[:9], _value(row[9:16]), *row[16:]))


def _value(fields: Row) -> ValueRecord | None:
    # Whether it is an exception is said of every value.
    return None if fields[6] is None else _made(ValueRecord, (*fields[:6], fields[6] == 1))


def attempts(connection: sqlite3.Connection, key: int, node: int, map_index: int) -> list[AttemptRecord]:
    """Return the earlier attempts of a task run."""
    rows = connection.execute(statements.ATTEMPTS, (key, node, map_index))
    return [_made(AttemptRecord, (*row[:7], _value(row[7:]))) for row in (_checked(row, 7, 9) for row in rows)]


def notes(connection: sqlite3.Connection, key: int, node: int, map_index: int) -> list[NoteRecord]:
    """Return the remarks on a task run."""
    return [NoteRecord(*_checked(row)) for row in connection.execute(statements.NOTES, (key, node, map_index))]


def tally(connection: sqlite3.Connection, key: int) -> list[Tally]:
    """Return how many children of each mapped task are in which state."""
    return [Tally(*_checked(row)) for row in connection.execute(statements.TALLY, (key,))]


def slowest(connection: sqlite3.Connection, key: int, node: int, limit: int) -> list[TaskRunRecord]:
    """Return the children that took longest."""
    return [_task_run(row) for row in connection.execute(statements.SLOWEST, (key, node, limit))]


def attempts_page(
    connection: sqlite3.Connection, key: int, after: Place, limit: int
) -> tuple[list[AttemptRecord], Place]:
    """Return some of the earlier attempts of all task runs, and what to continue ``after``."""
    rows = connection.execute(statements.ATTEMPTS_PAGE, (key, *after, limit)).fetchall()
    found = [_made(AttemptRecord, (*row[1:8], _value(row[8:]))) for row in (_checked(row, 8, 10) for row in rows)]
    return found, _last_place(rows, after)


def notes_page(connection: sqlite3.Connection, key: int, after: Place, limit: int) -> tuple[list[NoteRecord], Place]:
    """Return some of the remarks on all task runs, and what to continue ``after``."""
    rows = connection.execute(statements.NOTES_PAGE, (key, *after, limit)).fetchall()
    return [NoteRecord(*_checked(row)[1:]) for row in rows], _last_place(rows, after)


def _last_place(rows: Sequence[Row], after: Place) -> Place:
    """Return node, map index and key of the last row."""
    return (rows[-1][1], rows[-1][2], rows[-1][0]) if rows else after


def logs_page(
    connection: sqlite3.Connection, key: int, query: LogQuery, after: int | None, limit: int
) -> list[LogRecord]:
    """Return some of the log records that ``query`` asks for, those that follow ``after``."""
    said = {"node": query.node, "map_index": query.map_index, "level": query.level, "after": after}
    conditions = [condition for name, condition in statements.LOG_CONDITIONS.items() if said[name] is not None]
    rows = connection.execute(statements.logs_page(conditions), {**said, "run": key, "limit": limit})
    return [_made(LogRecord, _checked(row)) for row in rows]
