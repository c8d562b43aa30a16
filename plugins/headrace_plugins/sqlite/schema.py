"""The tables, and how a file with older ones gets these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

__all__ = ["APPLICATION_ID", "FORMS", "TABLES", "TABLES_OF_RUNS", "VERSION", "apply_forms"]

APPLICATION_ID: Final = int.from_bytes(b"Hdrc", "big")
"""What SQLite files of headrace have in their header."""

FORMS: Final[Mapping[int, Sequence[str]]] = {
    1: (
        """
        CREATE TABLE runs (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            flow_name TEXT NOT NULL,
            created REAL NOT NULL,
            parameters BLOB,
            parent TEXT,
            resumed_from TEXT,
            results TEXT,
            task_count INTEGER NOT NULL,
            details TEXT,
            owner TEXT NOT NULL,
            state TEXT NOT NULL,
            message TEXT,
            started REAL,
            ended REAL,
            cause TEXT,
            -- How much of the run's journal is in these tables, in bytes.
            position INTEGER NOT NULL
        )
        """,
        "CREATE INDEX runs_by_flow ON runs (flow_name, key)",
        "CREATE INDEX runs_by_name ON runs (name, key)",
        "CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX runs_by_origin ON runs (resumed_from) WHERE resumed_from IS NOT NULL",
        "CREATE INDEX open_runs ON runs (key) WHERE ended IS NULL",
        """
        CREATE TABLE tasks (
            run INTEGER NOT NULL REFERENCES runs (key),
            node INTEGER NOT NULL,
            slug TEXT NOT NULL,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            mapped INTEGER NOT NULL,
            source_digest TEXT,
            trigger TEXT,
            resume TEXT NOT NULL,
            tags TEXT,
            upstream TEXT,
            details TEXT,
            PRIMARY KEY (run, node)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE task_runs (
            run INTEGER NOT NULL REFERENCES runs (key),
            node INTEGER NOT NULL,
            map_index INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            state TEXT NOT NULL,
            message TEXT,
            started REAL,
            entered REAL NOT NULL,
            until REAL,
            child_count INTEGER,
            details TEXT,
            data BLOB,
            location TEXT,
            digest BLOB,
            serializer TEXT,
            type_name TEXT,
            size INTEGER,
            is_exception INTEGER,
            finished INTEGER NOT NULL,
            taken_from TEXT,
            PRIMARY KEY (run, node, map_index)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX open_task_runs ON task_runs (run, state) WHERE NOT finished",
        "CREATE INDEX task_runs_by_location ON task_runs (location) WHERE location IS NOT NULL",
        """
        CREATE TABLE counts (
            run INTEGER NOT NULL REFERENCES runs (key),
            state TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (run, state)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE attempts (
            key INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES runs (key),
            node INTEGER NOT NULL,
            map_index INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            state TEXT NOT NULL,
            message TEXT,
            started REAL,
            ended REAL NOT NULL,
            data BLOB,
            location TEXT,
            digest BLOB,
            serializer TEXT,
            type_name TEXT,
            size INTEGER,
            is_exception INTEGER
        )
        """,
        "CREATE INDEX attempts_by_task_run ON attempts (run, node, map_index)",
        "CREATE INDEX attempts_by_location ON attempts (location) WHERE location IS NOT NULL",
        """
        CREATE TABLE notes (
            key INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES runs (key),
            node INTEGER NOT NULL,
            map_index INTEGER NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL
        )
        """,
        "CREATE INDEX notes_by_task_run ON notes (run, node, map_index)",
        """
        CREATE TABLE limits (
            tag TEXT PRIMARY KEY,
            slots INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE slots (
            -- Who came into line later has a larger one.
            key INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES runs (key),
            node INTEGER NOT NULL,
            map_index INTEGER NOT NULL,
            tag TEXT NOT NULL,
            -- Of one who is still in line, nothing.
            since REAL
        )
        """,
        "CREATE UNIQUE INDEX slots_by_task_run ON slots (run, node, map_index, tag)",
        """
        CREATE TABLE logs (
            key INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES runs (key),
            position INTEGER NOT NULL,
            node INTEGER NOT NULL,
            map_index INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            at REAL NOT NULL,
            level INTEGER NOT NULL,
            logger TEXT NOT NULL,
            text TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX logs_by_position ON logs (run, position)",
        # With all that a query asks for, so that rows which do not fit are passed over without being read.
        "CREATE INDEX logs_by_task_run ON logs (run, node, position, map_index, level)",
    ),
}
"""By number, the statements that make a file of the form before, or an empty one, a file of this form.

A form, once released, stays as it is; what comes later is a form of its own.
"""

VERSION: Final = max(FORMS)
"""The form that this headrace reads and writes."""

TABLES: Final = ("runs", "tasks", "task_runs", "counts", "attempts", "notes", "logs", "limits", "slots")
"""The tables, each after those that it refers to."""

TABLES_OF_RUNS: Final = tuple(table for table in TABLES if table not in {"runs", "limits"})
"""Those in which every row belongs to a run."""


def apply_forms(connection: sqlite3.Connection, found: int, forms: Mapping[int, Sequence[str]] = FORMS) -> None:
    """Give a database of form ``found``, 0 for an empty one, the last form. The caller has opened a transaction."""
    for number in sorted(forms):
        if number > found:
            for statement in forms[number]:
                connection.execute(statement)
            # A pragma takes no parameters.
            connection.execute(f"PRAGMA user_version = {number:d}")
