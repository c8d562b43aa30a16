"""Saving what can be read of a damaged file into a new one."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sqlite3
from typing import TYPE_CHECKING, Final

from headrace.atomic import publish, temporary_beside
from headrace_plugins.sqlite import statements
from headrace_plugins.sqlite.schema import TABLES, TABLES_OF_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace_plugins.sqlite.database import Database

__all__ = ["misfits", "put_in_order", "salvage"]

_BESIDE: Final = ("", "-journal", "-wal")
# How every SQLite file begins: the magic text, and numbers that say how it is laid out, the same for all of ours.
_HEADER_SIZE: Final = 24
# Of what a damaged number may ask for: more than any history has, and no burden where files may have holes.
_MOST_PAGES: Final = 2**24
_KEYS: Final = {
    "runs": ("key",),
    "tasks": ("run", "node"),
    "task_runs": ("run", "node", "map_index"),
    "counts": ("run", "state"),
    "attempts": ("key",),
    "notes": ("key",),
    "limits": ("tag",),
    "slots": ("key",),
    "logs": ("key",),
}


def salvage(database: Database) -> tuple[Path, dict[str, int]]:
    """Put a new file in the place of a damaged one; return where that is now, and how many rows of each table it kept.

    Nobody else uses the file meanwhile.
    """
    path = database.path
    new, copy = temporary_beside(path, ".new"), temporary_beside(path, ".copy")
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    try:
        database.fill(new)
        for suffix in _BESIDE:
            _copy(path, copy, suffix)
        _mend_header(copy, new)
        kept = _pour(copy, new, database)
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        publish(new, path)
    finally:
        for leftover in (new, *(copy.with_name(copy.name + suffix) for suffix in (*_BESIDE, "-shm"))):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()
    return aside, kept


def _copy(path: Path, copy: Path, suffix: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))


def _mend_header(copy: Path, sound: Path) -> None:
    with sound.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    with copy.open("r+b") as file:
        was = file.read(_HEADER_SIZE + 8)
        # Of these only the two that say how the file is written may differ; they are kept if they can be right.
        versions = was[18:20] if was[18:20] in {b"\1\1", b"\2\2"} else header[18:20]
        file.seek(0)
        file.write(header[:18] + versions + header[20:])
        # Nothing of a file is read that has fewer pages than it says.
        pages = min(int.from_bytes(was[28:32], "big"), _MOST_PAGES)
        size = pages * int.from_bytes(header[16:18], "big")
        if size > file.seek(0, 2):
            file.truncate(size)


def _pour(source: Path, target: Path, database: Database) -> dict[str, int]:
    """Insert into ``target`` what can be read of ``source``."""
    kept = {}
    with (
        database.translated(),
        contextlib.closing(sqlite3.connect(source, isolation_level=None)) as damaged,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as sound,
        database.transaction(sound),
    ):
        for table in TABLES:
            columns = [row[1] for row in sound.execute(f"PRAGMA table_info({table})")]
            insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"
            for row in _rows(damaged, table, columns):
                with contextlib.suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
                    sound.execute(insert, row)
        put_in_order(sound)
        for table in TABLES:
            (kept[table],) = sound.execute(f"SELECT count(*) FROM {table}").fetchone()
    return kept


def put_in_order(connection: sqlite3.Connection) -> None:
    """Remove what should be text and is not, what belongs to no run, and slots of ended runs; count the task runs."""
    # Nothing can be told of a run without its tasks.
    without_task = f"SELECT run FROM tasks WHERE {_no_texts(connection, 'tasks')}"
    connection.execute(f"DELETE FROM runs WHERE key IN ({without_task})")
    for table in TABLES:
        connection.execute(f"DELETE FROM {table} WHERE {_no_texts(connection, table)}")
    for table in TABLES_OF_RUNS:
        connection.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT key FROM runs)")
    connection.execute(statements.GIVE_UP_SLOTS_OF_ENDED)
    for statement in statements.RECOUNT:
        connection.execute(statement)


def misfits(connection: sqlite3.Connection, table: str) -> int:
    """Return how many rows of a table have bytes in place of a text."""
    query = f"SELECT count(*) FROM {table} WHERE {_no_texts(connection, table)}"
    return int(connection.execute(query).fetchone()[0])


def _no_texts(connection: sqlite3.Connection, table: str) -> str:
    """Return the condition for rows of a table that have bytes in place of a text, which SQLite takes as well."""
    texts = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[2] == "TEXT"]
    return " OR ".join(f"typeof({column}) = 'blob'" for column in texts) or "FALSE"


def _rows(connection: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a table from both ends, up to where it is damaged; some may come twice."""
    shown, keys = ", ".join(columns), _KEYS[table]
    for direction in ("", " DESC"):
        order = ", ".join(f"{key}{direction}" for key in keys)
        try:
            yield from connection.execute(f"SELECT {shown} FROM {table} NOT INDEXED ORDER BY {order}")
        except sqlite3.DatabaseError:
            continue
        return
