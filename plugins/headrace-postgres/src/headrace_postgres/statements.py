"""The SQL. Names in the statements are those of `headrace.history.records` and `headrace.history.folding`."""

from __future__ import annotations

from typing import Final

from headrace_postgres.arrays import types_of
from headrace_postgres.schema import TABLES_OF_RUNS

__all__: list[str] = []

# As a record has it, to be read, and as a row of a batch has it, to be written.
_VALUE: Final = "data, location, digest, serializer, type_name, size, is_exception"
_WRITTEN_VALUE: Final = "data, size, is_exception, serializer, type_name, location, digest"
_TASK_RUN: Final = f"node, map_index, attempt, state, message, started, entered, until, child_count, {_VALUE}, details"
_WRITTEN: Final = (
    f"node, map_index, attempt, state, message, started, entered, finished, {_WRITTEN_VALUE}, "
    "until, child_count, details"
)

# What their columns hold; see `headrace_postgres.arrays`.
WRITTEN_KINDS: Final = "iiittffbxlbtttxfit"
TAKEN_OVER_KINDS: Final = "iiittfffixtxttlbtt"
ATTEMPT_KINDS: Final = "iiittffxlbtttx"
NOTE_KINDS: Final = "iitt"
LOG_KINDS: Final = "liiifitt"
TASK_KINDS: Final = "itttbtttttt"


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


# Runs

INSERT_RUN: Final = f"""
    INSERT INTO runs (
        id, name, flow_name, created, parameters, parent, resumed_from, results, task_count, details, owner, journal,
        state, message, position
    ) VALUES ({_marks(15)}) ON CONFLICT (id) DO NOTHING RETURNING key
"""
RUN_IS_OURS: Final = "SELECT owner = %s AND journal = %s AND ended IS NULL FROM runs WHERE id = %s"
RUN_KEY: Final = "SELECT key FROM runs WHERE id = %s"
LOCKED_RUN: Final = "SELECT key, ended IS NOT NULL FROM runs WHERE id = %s FOR UPDATE"
RUN_POSITION: Final = "SELECT position, ended IS NULL FROM runs WHERE id = %s"
POSITIONS: Final = "SELECT id, position FROM runs WHERE id = ANY(%s)"
RESUMED_BY: Final = "SELECT id, ended FROM runs WHERE resumed_from = %s ORDER BY key DESC"
OPEN_RUNS: Final = """
    SELECT id, owner, journal FROM runs WHERE ended IS NULL AND (%(run)s::text IS NULL OR id = %(run)s) ORDER BY key
"""

ENTER_RUN: Final = "UPDATE runs SET state = %s, message = %s WHERE key = %s AND ended IS NULL"
END_RUN: Final = "UPDATE runs SET state = %s, message = %s, ended = %s, cause = %s WHERE key = %s AND ended IS NULL"

# All of it in one statement, so that the numbers fit each other while others write.
_RUN: Final = """
    SELECT
        key, id, name, flow_name, created, parameters, parent, resumed_from, results, task_count, details, owner, state,
        message, started, ended, cause,
        (SELECT later.id FROM runs AS later WHERE later.resumed_from = runs.id ORDER BY later.key DESC LIMIT 1),
        (SELECT json_object_agg(state, number) FROM (
            SELECT state, sum(count) AS number FROM (
                SELECT state, count FROM counts WHERE counts.run = runs.key
                UNION ALL
                SELECT state, count(*) FROM task_runs WHERE task_runs.run = runs.key AND NOT finished GROUP BY state
            ) AS counted GROUP BY state
        ) AS summed)
    FROM runs
"""
RUN_BY_ID: Final = f"{_RUN} WHERE id = %s"
LATEST_RUN: Final = f"{_RUN} WHERE parent IS NULL ORDER BY key DESC LIMIT 1"
RUN_BY_NAME: Final = f"{_RUN} WHERE name = %s ORDER BY key DESC LIMIT 1"
RUNS_BY_PREFIX: Final = f"{_RUN} WHERE id >= %s AND id < %s ORDER BY runs.id LIMIT 10"
NAMES: Final = "SELECT id, name FROM runs ORDER BY key DESC LIMIT 500"

# What a query asks for, by the name of its field.
RUN_CONDITIONS: Final = {
    "flow_name": "flow_name = %(flow_name)s",
    "since": "created >= %(since)s",
    "before": "created < %(before)s",
    "parent": "parent = %(parent)s",
    "states": "state = ANY(%(states)s)",
    "key": "key < %(key)s",
}
NOT_NESTED: Final = "parent IS NULL"


def runs_page(conditions: list[str]) -> bytes:
    """Return the statement for a page of runs."""
    return f"{_RUN} WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY key DESC LIMIT %(limit)s".encode()


# Tasks

_TASK: Final = "node, slug, name, kind, mapped, source_digest, trigger, resume, tags, upstream, details"
INSERT_TASKS: Final = f"INSERT INTO tasks (run, {_TASK}) SELECT %s, said.* FROM unnest({types_of(TASK_KINDS)}) AS said"
TASKS: Final = f"SELECT {_TASK} FROM tasks WHERE run = %s ORDER BY node"

# Task runs

# A piece of a journal is taken in where the tables end, by whoever owns the run, unless somebody else has ended it; and
# by whoever has the journal of a dead owner. A task run that has finished stays as it is.
WRITE_BATCH: Final = f"""
    WITH run AS (
        UPDATE runs SET position = %s, started = coalesce(started, %s)
        WHERE id = %s AND position = %s AND (ended IS NULL OR %s)
        RETURNING key
    ), written AS (
        INSERT INTO task_runs AS known (run, {_WRITTEN})
        SELECT run.key, said.* FROM run, unnest({types_of(WRITTEN_KINDS)}) AS said
        ON CONFLICT (run, node, map_index) DO UPDATE SET
            attempt = excluded.attempt, state = excluded.state, message = excluded.message, started = excluded.started,
            entered = excluded.entered, finished = excluded.finished, data = excluded.data, size = excluded.size,
            is_exception = excluded.is_exception, serializer = excluded.serializer, type_name = excluded.type_name,
            location = excluded.location, digest = excluded.digest, until = excluded.until,
            child_count = coalesce(excluded.child_count, known.child_count),
            details = excluded.details
        WHERE NOT known.finished
        RETURNING run, state, finished
    ), counted AS (
        INSERT INTO counts AS known (run, state, count)
        SELECT run, state, count(*) FROM written WHERE finished GROUP BY run, state
        ON CONFLICT (run, state) DO UPDATE SET count = known.count + excluded.count
    )
    SELECT key, EXISTS (SELECT 1 FROM slots WHERE slots.run = run.key) FROM run
"""
TAKE_OVER: Final = f"""
    WITH written AS (
        INSERT INTO task_runs (run, {_TASK_RUN}, taken_from, finished)
        SELECT %s, said.*, TRUE FROM unnest({types_of(TAKEN_OVER_KINDS)}) AS said
        RETURNING run, state
    )
    INSERT INTO counts AS known (run, state, count) SELECT run, state, count(*) FROM written GROUP BY run, state
    ON CONFLICT (run, state) DO UPDATE SET count = known.count + excluded.count
"""
CRASH_TASK_RUNS: Final = """
    WITH crashed AS (
        UPDATE task_runs SET state = 'Crashed', message = %s, entered = %s, finished = TRUE
        WHERE run = %s AND NOT finished AND state IN ('Running', 'Cancelling', 'Submitted')
        RETURNING run
    )
    INSERT INTO counts AS known (run, state, count) SELECT run, 'Crashed', count(*) FROM crashed GROUP BY run
    ON CONFLICT (run, state) DO UPDATE SET count = known.count + excluded.count
"""
TASK_RUN: Final = f"SELECT {_TASK_RUN}, taken_from FROM task_runs WHERE run = %s AND node = %s AND map_index = %s"
LAST_MOMENT: Final = """
    SELECT greatest(
        created,
        (SELECT max(entered) FROM task_runs WHERE run = key),
        (SELECT at FROM logs WHERE run = key ORDER BY position DESC LIMIT 1)
    ) FROM runs WHERE key = %s
"""

_WITHOUT_DATA: Final = _TASK_RUN.replace(" data,", " NULL::bytea AS data,")
TASK_RUN_CONDITIONS: Final = {"node": "node = %(node)s", "states": "state = ANY(%(states)s)"}
CHILDREN: Final = {True: "map_index >= 0", False: "map_index < 0"}
AFTER: Final = "(node, map_index) > (%(after_node)s, %(after_index)s)"


def task_runs_page(conditions: list[str], *, data: bool) -> bytes:
    """Return the statement for a page of task runs."""
    columns = _TASK_RUN if data else _WITHOUT_DATA
    where = " AND ".join(["run = %(run)s", *conditions])
    return f"""
        SELECT {columns}, taken_from FROM task_runs WHERE {where} ORDER BY node, map_index LIMIT %(limit)s
    """.encode()


TALLY: Final = """
    SELECT node, state, count(*), min(started), max(entered) FROM task_runs WHERE run = %s AND map_index >= 0
    GROUP BY node, state ORDER BY node, state
"""
SLOWEST: Final = f"""
    SELECT {_WITHOUT_DATA}, taken_from FROM task_runs
    WHERE run = %s AND node = %s AND map_index >= 0 AND finished AND started IS NOT NULL
    ORDER BY entered - started DESC, map_index LIMIT %s
"""


def _insert_in_order(table: str, columns: str, kinds: str) -> str:
    return f"""
        INSERT INTO {table} (run, {columns})
        SELECT %s, {columns} FROM unnest({types_of(kinds)}) WITH ORDINALITY AS said ({columns}, number)
        ORDER BY said.number
    """


_ATTEMPT: Final = "node, map_index, attempt, state, message, started, ended"
INSERT_ATTEMPTS: Final = _insert_in_order("attempts", f"{_ATTEMPT}, {_WRITTEN_VALUE}", ATTEMPT_KINDS)
ATTEMPTS: Final = f"""
    SELECT {_ATTEMPT}, {_VALUE} FROM attempts WHERE run = %s AND node = %s AND map_index = %s ORDER BY key
"""
ATTEMPTS_PAGE: Final = f"""
    SELECT key, {_ATTEMPT}, {_VALUE} FROM attempts
    WHERE run = %s AND (node, map_index, key) > (%s, %s, %s) ORDER BY node, map_index, key LIMIT %s
"""
_NOTE: Final = "node, map_index, kind, text"
INSERT_NOTES: Final = _insert_in_order("notes", _NOTE, NOTE_KINDS)
NOTES: Final = f"SELECT {_NOTE} FROM notes WHERE run = %s AND node = %s AND map_index = %s ORDER BY key"
NOTES_PAGE: Final = f"""
    SELECT key, {_NOTE} FROM notes
    WHERE run = %s AND (node, map_index, key) > (%s, %s, %s) ORDER BY node, map_index, key LIMIT %s
"""

# Logs

_LOG: Final = "position, node, map_index, attempt, at, level, logger, text"
INSERT_LOGS: Final = f"INSERT INTO logs (run, {_LOG}) SELECT %s, said.* FROM unnest({types_of(LOG_KINDS)}) AS said"
LOG_CONDITIONS: Final = {
    "node": "node = %(node)s",
    "map_index": "map_index = %(map_index)s",
    "level": "level >= %(level)s",
    "after": "position > %(after)s",
}


def logs_page(conditions: list[str]) -> bytes:
    """Return the statement for a page of what was logged."""
    where = " AND ".join(["run = %(run)s", *conditions])
    return f"SELECT {_LOG} FROM logs WHERE {where} ORDER BY position LIMIT %(limit)s".encode()


# Owners

# A 64-bit lock is listed as two halves.
HELD: Final = """
    SELECT classid::bigint << 32 | objid::bigint FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""
HOLD: Final = "SELECT pg_try_advisory_lock(%s)"
LET_GO: Final = "SELECT pg_advisory_unlock(%s)"
HOLD_FOR_NOW: Final = "SELECT pg_try_advisory_xact_lock(%s)"

# What others want of a run

REQUEST_CANCEL: Final = "UPDATE runs SET cancel = %s WHERE id = %s AND ended IS NULL"
ASK: Final = "SELECT (SELECT cancel FROM runs WHERE id = %s), ARRAY(SELECT tag FROM limits)"

LIMITS: Final = "SELECT tag, slots FROM limits ORDER BY tag"
SET_LIMIT: Final = """
    INSERT INTO limits (tag, slots) VALUES (%s, %s) ON CONFLICT (tag) DO UPDATE SET slots = excluded.slots
"""
REMOVE_LIMIT: Final = "DELETE FROM limits WHERE tag = %s"

# One at a time comes into line and is served. Slots may be given up meanwhile.
ONE_TAKER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('headrace/slots/' || %s, 0))"
# Nobody ends the run as long as the row is locked.
RUN_THAT_GOES_ON: Final = "SELECT key FROM runs WHERE id = %s AND ended IS NULL FOR SHARE"
HAS_FINISHED: Final = """
    SELECT EXISTS (SELECT 1 FROM task_runs WHERE run = %s AND node = %s AND map_index = %s AND finished)
"""
SLOTS_OF_TASK_RUN: Final = "SELECT tag, since FROM slots WHERE run = %s AND node = %s AND map_index = %s"
COME_INTO_LINE: Final = """
    INSERT INTO slots (run, node, map_index, tag) SELECT %s, %s, %s, tag FROM unnest(%s::text[]) AS tag
"""
GET_SLOTS: Final = """
    UPDATE slots SET since = %s WHERE run = %s AND node = %s AND map_index = %s AND since IS NULL
"""
HELD_SLOTS: Final = "SELECT tag, count(*) FROM slots WHERE since IS NOT NULL GROUP BY tag"
LINE: Final = "SELECT run, node, map_index, tag FROM slots WHERE since IS NULL ORDER BY key"
HOLDERS: Final = """
    SELECT tag, runs.id, node, map_index, since FROM slots JOIN runs ON runs.key = slots.run
    WHERE since IS NOT NULL ORDER BY since, slots.key
"""
RUNS_WITH_SLOTS: Final = """
    SELECT DISTINCT runs.id FROM slots JOIN runs ON runs.key = slots.run WHERE runs.id <> %s
"""
GIVE_UP_TAGS: Final = "DELETE FROM slots WHERE run = %s AND node = %s AND map_index = %s AND tag = ANY(%s)"
GIVE_UP_SLOTS: Final = """
    DELETE FROM slots USING unnest(%s::int4[], %s::int4[]) AS said (node, map_index)
    WHERE run = %s AND slots.node = said.node AND slots.map_index = said.map_index
"""
GIVE_UP_SLOTS_OF_RUN: Final = "DELETE FROM slots WHERE run = %s"
GIVE_UP_SLOTS_OF_ENDED: Final = "DELETE FROM slots WHERE run IN (SELECT key FROM runs WHERE ended IS NOT NULL)"
LEAKED_SLOTS: Final = """
    SELECT runs.id, tag FROM slots JOIN runs ON runs.key = slots.run WHERE runs.ended IS NOT NULL ORDER BY runs.key
"""

# Deleting

# What a run's results are at, without what another run with the same result store refers to.
OWN_LOCATIONS: Final = """
    SELECT location FROM (
        SELECT location FROM task_runs WHERE run = %(run)s AND location IS NOT NULL
        UNION
        SELECT location FROM attempts WHERE run = %(run)s AND location IS NOT NULL
    ) AS own
    WHERE NOT EXISTS (
        SELECT 1 FROM task_runs AS other JOIN runs ON runs.key = other.run
        WHERE other.location = own.location AND other.run <> %(run)s
            AND runs.results IS NOT DISTINCT FROM (SELECT results FROM runs WHERE key = %(run)s)
    )
    ORDER BY location
"""
LOCATIONS: Final = """
    SELECT location FROM task_runs WHERE location IS NOT NULL
    UNION
    SELECT location FROM attempts WHERE location IS NOT NULL
"""
FORGET: Final = (
    *(f"DELETE FROM {table} WHERE run = %(run)s" for table in TABLES_OF_RUNS),
    "UPDATE runs SET parent = NULL WHERE parent = (SELECT id FROM runs WHERE key = %(run)s)",
    "DELETE FROM runs WHERE key = %(run)s",
)

# Looking through all of it

SIZE: Final = """
    SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint
    FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = %s AND relkind = 'r'
"""
IS_OWNER: Final = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = 'runs'::regclass"
MISCOUNTED: Final = """
    SELECT runs.id FROM runs JOIN (
        SELECT run, state, sum(count) AS said, sum(found) AS found FROM (
            SELECT run, state, count, 0 AS found FROM counts
            UNION ALL
            SELECT run, state, 0, count(*) FROM task_runs WHERE finished GROUP BY run, state
        ) AS each GROUP BY run, state
    ) AS counted ON counted.run = runs.key
    WHERE said <> found GROUP BY runs.id
"""
RECOUNT: Final = (
    "DELETE FROM counts",
    "INSERT INTO counts SELECT run, state, count(*) FROM task_runs WHERE finished GROUP BY run, state",
)
STRAYS: Final = {
    table: f"SELECT count(*) FROM {table} WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.key = run)"
    for table in TABLES_OF_RUNS
}
REMOVE_STRAYS: Final = {
    table: f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.key = run)" for table in TABLES_OF_RUNS
}
