"""The tables, and how a schema with older ones gets these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace.exceptions import HistoryError, HistoryVersionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

__all__ = ["FORMS", "FORM_TABLE", "TABLES", "TABLES_OF_RUNS", "Connection", "check_form", "found_form", "make_tables"]

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

FORM_TABLE: Final = "headrace_history"
"""The table that says that a schema is a history, and of which form."""

_VALUE: Final = """
    data bytea,
    location text COLLATE "C",
    digest bytea,
    serializer text,
    type_name text,
    size bigint,
    is_exception boolean
"""

# Texts are compared byte by byte, however the database orders them. No foreign keys: checking one costs as much as
# writing the row, and a run is deleted with all that is of it.
FORMS: Final[Mapping[int, Sequence[str]]] = {
    1: (
        """
        CREATE TABLE runs (
            key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            name text COLLATE "C" NOT NULL,
            flow_name text COLLATE "C" NOT NULL,
            created double precision NOT NULL,
            parameters bytea,
            parent text COLLATE "C",
            resumed_from text COLLATE "C",
            results text,
            task_count integer NOT NULL,
            details text,
            owner text NOT NULL,
            -- The path of the run's journal on the machine of its owner.
            journal text NOT NULL,
            state text COLLATE "C" NOT NULL,
            message text,
            started double precision,
            ended double precision,
            cause text,
            -- Why somebody wants it to end, '' if he did not say.
            cancel text,
            -- How much of the run's journal is in these tables, in bytes.
            position bigint NOT NULL
        )
        """,
        "CREATE INDEX runs_by_flow ON runs (flow_name, key)",
        "CREATE INDEX runs_by_name ON runs (name, key)",
        "CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX runs_by_origin ON runs (resumed_from) WHERE resumed_from IS NOT NULL",
        "CREATE INDEX open_runs ON runs (key) WHERE ended IS NULL",
        """
        CREATE TABLE tasks (
            run integer NOT NULL,
            node integer NOT NULL,
            slug text NOT NULL,
            name text NOT NULL,
            kind text NOT NULL,
            mapped boolean NOT NULL,
            source_digest text,
            trigger text,
            resume text NOT NULL,
            tags text,
            upstream text,
            details text,
            PRIMARY KEY (run, node)
        )
        """,
        f"""
        CREATE TABLE task_runs (
            run integer NOT NULL,
            node integer NOT NULL,
            map_index integer NOT NULL,
            attempt integer NOT NULL,
            state text COLLATE "C" NOT NULL,
            message text,
            started double precision,
            entered double precision NOT NULL,
            finished boolean NOT NULL,
            {_VALUE},
            until double precision,
            child_count integer,
            details text,
            taken_from text,
            PRIMARY KEY (run, node, map_index)
        )
        """,
        # Who wants values to be compressed has chosen a serializer that does it.
        "ALTER TABLE task_runs ALTER COLUMN data SET STORAGE EXTERNAL",
        "CREATE INDEX open_task_runs ON task_runs (run, state) WHERE NOT finished",
        "CREATE INDEX task_runs_by_location ON task_runs (location) WHERE location IS NOT NULL",
        """
        CREATE TABLE counts (
            run integer NOT NULL,
            state text COLLATE "C" NOT NULL,
            count bigint NOT NULL,
            PRIMARY KEY (run, state)
        )
        """,
        f"""
        CREATE TABLE attempts (
            key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            run integer NOT NULL,
            node integer NOT NULL,
            map_index integer NOT NULL,
            attempt integer NOT NULL,
            state text NOT NULL,
            message text,
            started double precision,
            ended double precision NOT NULL,
            {_VALUE}
        )
        """,
        "CREATE INDEX attempts_by_task_run ON attempts (run, node, map_index, key)",
        "CREATE INDEX attempts_by_location ON attempts (location) WHERE location IS NOT NULL",
        """
        CREATE TABLE notes (
            key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            run integer NOT NULL,
            node integer NOT NULL,
            map_index integer NOT NULL,
            kind text NOT NULL,
            text text NOT NULL
        )
        """,
        "CREATE INDEX notes_by_task_run ON notes (run, node, map_index, key)",
        """
        CREATE TABLE logs (
            run integer NOT NULL,
            position bigint NOT NULL,
            node integer NOT NULL,
            map_index integer NOT NULL,
            attempt integer NOT NULL,
            at double precision NOT NULL,
            level integer NOT NULL,
            logger text NOT NULL,
            text text NOT NULL,
            PRIMARY KEY (run, position)
        )
        """,
        "CREATE INDEX logs_by_task_run ON logs (run, node, map_index, position)",
        """
        CREATE TABLE limits (
            tag text COLLATE "C" PRIMARY KEY,
            slots integer NOT NULL
        )
        """,
        """
        CREATE TABLE slots (
            -- Who came into line later has a larger one.
            key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            run integer NOT NULL,
            node integer NOT NULL,
            map_index integer NOT NULL,
            tag text COLLATE "C" NOT NULL,
            -- Of one who is still in line, nothing.
            since double precision,
            UNIQUE (run, node, map_index, tag)
        )
        """,
    ),
}
"""By number, the statements that make the tables of a form out of those of the form before, or out of nothing.

A form, once released, stays as it is; what comes later is a form of its own.
"""

TABLES: Final = ("runs", "tasks", "task_runs", "counts", "attempts", "notes", "logs", "slots", "limits")
"""The tables beside the one that names the form."""

TABLES_OF_RUNS: Final = tuple(table for table in TABLES if table not in {"runs", "limits"})
"""Those in which every row belongs to a run."""

_EXISTS: Final = "SELECT to_regclass(quote_ident(%s) || '.' || quote_ident(%s))"
_SCHEMA_EXISTS: Final = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
_MAKE_SCHEMA: Final = "SELECT format('CREATE SCHEMA %%I', %s::text)"
# Of several who make a history at once, one does.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtextextended('headrace/' || %s, 0))"


def found_form(connection: Connection, schema: str) -> int | None:
    """Return the form of the tables in ``schema``, None if there is no history."""
    found = connection.execute(_EXISTS, (schema, FORM_TABLE)).fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT max(form) FROM headrace_history").fetchone()
    return None if row is None else row[0]


def check_form(found: int, where: str, forms: Mapping[int, Sequence[str]] = FORMS) -> bool:
    """Tell whether the tables are of the last form; raise HistoryVersionError if they are of a later one."""
    if found > max(forms):
        raise HistoryVersionError(where, found, max(forms))
    return found == max(forms)


def make_tables(connection: Connection, schema: str, where: str, forms: Mapping[int, Sequence[str]] = FORMS) -> None:
    """Give ``schema`` the tables of the last form. The caller has opened a transaction, which is all or nothing."""
    connection.execute(_ONE_AT_A_TIME, (schema,))
    found = found_form(connection, schema)
    if found is not None and check_form(found, where, forms):
        return
    if found is None:
        _make_schema(connection, schema, where)
    for number in sorted(forms):
        if number > (found or 0):
            for statement in forms[number]:
                connection.execute(statement.encode())
            connection.execute("INSERT INTO headrace_history (form) VALUES (%s)", (number,))


def _make_schema(connection: Connection, schema: str, where: str) -> None:
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is not None and row[0] != "UTF8":
        raise HistoryError(
            f"The history cannot be at {where}: texts of that database are {row[0]}, and should be UTF8.",
            hint="Make a database for it: `createdb --encoding UTF8 --template template0 NAME`.",
        )
    # To ask for the right to make a schema that is there already would be asking too much.
    if connection.execute(_SCHEMA_EXISTS, (schema,)).fetchone() is None:
        statement = connection.execute(_MAKE_SCHEMA, (schema,)).fetchone()
        assert statement is not None
        connection.execute(statement[0])
    for table in TABLES:
        taken = connection.execute(_EXISTS, (schema, table)).fetchone()
        if taken is not None and taken[0] is not None:
            raise HistoryError(
                f"The history cannot be at {where}: there is a table {table!r} already, of some other program.",
                hint="Name a schema of its own: `?schema=NAME`.",
            )
    connection.execute("CREATE TABLE headrace_history (form integer PRIMARY KEY, made timestamptz DEFAULT now())")
