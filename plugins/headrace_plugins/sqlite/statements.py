"""The SQL. Names in the statements are those of `headrace.history.records` and `headrace.history.folding`."""

from __future__ import annotations

from typing import Final

__all__: list[str] = []

# As a record has it, to be read, and as a row of a batch has it, to be written.
_VALUE: Final = "data, location, digest, serializer, type_name, size, is_exception"
_WRITTEN_VALUE: Final = "data, size, is_exception, serializer, type_name, location, digest"
_TASK_RUN: Final = f"node, map_index, attempt, state, message, started, entered, until, child_count, {_VALUE}, details"
_WRITTEN: Final = "node, map_index, attempt, state, message, started, entered, finished, " + _WRITTEN_VALUE


def _marks(count: int) -> str:
    return ", ".join("?" * count)


# Runs

INSERT_RUN: Final = f"""
    INSERT INTO runs (
        id, name, flow_name, created, parameters, parent, resumed_from, results, task_count, details, owner, state,
        message, position
    ) VALUES ({_marks(14)})
"""
RUN_EXISTS: Final = "SELECT 1 FROM runs WHERE id = ?"
RUN_KEY: Final = "SELECT key FROM runs WHERE id = ?"
RUN_POSITION: Final = "SELECT position, ended IS NULL FROM runs WHERE id = ?"
RUN_ENDED: Final = "SELECT ended IS NOT NULL FROM runs WHERE key = ?"
RUN_OWNER: Final = "SELECT owner, ended FROM runs WHERE key = ?"
RESUMED_BY: Final = "SELECT id, ended FROM runs WHERE resumed_from = ? ORDER BY key DESC"
OPEN_RUNS: Final = "SELECT id, owner FROM runs WHERE ended IS NULL ORDER BY key"

# A journal is taken in from where the tables end: what somebody else has taken in meanwhile is not taken in again.
ADVANCE: Final = """
    UPDATE runs SET position = :end, started = coalesce(started, :started) WHERE id = :id AND position = :start
"""
ENTER_RUN: Final = "UPDATE runs SET state = ?, message = ? WHERE key = ? AND ended IS NULL"
END_RUN: Final = "UPDATE runs SET state = ?, message = ?, ended = ?, cause = ? WHERE key = ? AND ended IS NULL"

_RUN: Final = """
    SELECT
        key, id, name, flow_name, created, parameters, parent, resumed_from, results, task_count, details, owner, state,
        message, started, ended, cause,
        (SELECT later.id FROM runs AS later WHERE later.resumed_from = runs.id ORDER BY later.key DESC LIMIT 1)
    FROM runs
"""
RUN_BY_ID: Final = f"{_RUN} WHERE id = ?"
LATEST_RUN: Final = f"{_RUN} WHERE parent IS NULL ORDER BY key DESC LIMIT 1"
RUN_BY_NAME: Final = f"{_RUN} WHERE name = ? ORDER BY key DESC LIMIT 1"
RUNS_BY_PREFIX: Final = f"{_RUN} WHERE id >= ? AND id < ? ORDER BY id LIMIT 10"
NAMES: Final = "SELECT id, name FROM runs ORDER BY key DESC LIMIT 500"
FINISHED_COUNTS: Final = "SELECT run, state, count FROM counts WHERE run IN ({})"
OPEN_COUNTS: Final = """
    SELECT run, state, count(*) FROM task_runs WHERE run IN ({}) AND NOT finished GROUP BY run, state
"""

# What a query asks for, by the name of its field.
RUN_CONDITIONS: Final = {
    "flow_name": "flow_name = :flow_name",
    "since": "created >= :since",
    "before": "created < :before",
    "parent": "parent = :parent",
}
NOT_NESTED: Final = "parent IS NULL"
BEFORE_KEY: Final = "key < :key"


def runs_page(conditions: list[str]) -> str:
    """Return the statement for a page of runs."""
    return f"{_RUN} WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY key DESC LIMIT :limit"


# Tasks

INSERT_TASK: Final = f"INSERT INTO tasks VALUES ({_marks(12)})"
TASKS: Final = """
    SELECT node, slug, name, kind, mapped, source_digest, trigger, resume, tags, upstream, details
    FROM tasks WHERE run = ? ORDER BY node
"""

# Task runs

# One that has finished stays as it is.
_OR_UPDATE: Final = """
    ON CONFLICT (run, node, map_index) DO UPDATE SET
        attempt = excluded.attempt, state = excluded.state, message = excluded.message, started = excluded.started,
        entered = excluded.entered, finished = excluded.finished, data = excluded.data,
        serializer = excluded.serializer, type_name = excluded.type_name, size = excluded.size,
        is_exception = excluded.is_exception, location = excluded.location, digest = excluded.digest,
        until = excluded.until, child_count = coalesce(excluded.child_count, child_count),
        details = excluded.details
    WHERE NOT finished
"""
WRITE_TASK_RUN: Final = f"""
    INSERT INTO task_runs (run, {_WRITTEN}, until, child_count, details) VALUES ({_marks(19)}) {_OR_UPDATE}
"""
# The same for a row in which there is nothing from the serializer on. A column that is left out costs nothing, and to
# bind NULL costs more than to bind a number.
WRITE_PLAIN_TASK_RUN: Final = f"""
    INSERT INTO task_runs (
        run, node, map_index, attempt, state, message, started, entered, finished, data, size, is_exception
    ) VALUES ({_marks(12)}) {_OR_UPDATE}
"""
TAKE_OVER: Final = f"INSERT INTO task_runs (run, {_TASK_RUN}, finished, taken_from) VALUES ({_marks(20)})"
COUNT: Final = """
    INSERT INTO counts (run, state, count) VALUES (?, ?, ?)
    ON CONFLICT (run, state) DO UPDATE SET count = count + excluded.count
"""
CRASH_TASK_RUNS: Final = """
    UPDATE task_runs SET state = 'Crashed', message = ?, entered = ?, finished = 1
    WHERE run = ? AND NOT finished AND state IN ('Running', 'Cancelling', 'Submitted')
"""
TASK_RUN: Final = f"SELECT {_TASK_RUN}, taken_from FROM task_runs WHERE run = ? AND node = ? AND map_index = ?"
LAST_MOMENT: Final = """
    SELECT max(
        created,
        coalesce((SELECT max(entered) FROM task_runs WHERE run = key), 0),
        coalesce((SELECT at FROM logs WHERE run = key ORDER BY position DESC LIMIT 1), 0)
    ) FROM runs WHERE key = ?
"""

_WITHOUT_DATA: Final = _TASK_RUN.replace(" data,", " NULL AS data,")


def task_runs_page(conditions: list[str], *, data: bool) -> str:
    """Return the statement for a page of task runs."""
    columns = _TASK_RUN if data else _WITHOUT_DATA
    where = " AND ".join(["run = :run", *conditions])
    return f"SELECT {columns}, taken_from FROM task_runs WHERE {where} ORDER BY node, map_index LIMIT :limit"


TALLY: Final = """
    SELECT node, state, count(*), min(started), max(entered) FROM task_runs WHERE run = ? AND map_index >= 0
    GROUP BY node, state ORDER BY node, state
"""
SLOWEST: Final = f"""
    SELECT {_WITHOUT_DATA}, taken_from FROM task_runs
    WHERE run = ? AND node = ? AND map_index >= 0 AND finished AND started IS NOT NULL
    ORDER BY entered - started DESC, map_index LIMIT ?
"""

INSERT_ATTEMPT: Final = f"""
    INSERT INTO attempts (run, node, map_index, attempt, state, message, started, ended, {_WRITTEN_VALUE})
    VALUES ({_marks(15)})
"""
ATTEMPTS: Final = f"""
    SELECT node, map_index, attempt, state, message, started, ended, {_VALUE}
    FROM attempts WHERE run = ? AND node = ? AND map_index = ? ORDER BY key
"""
ATTEMPTS_PAGE: Final = f"""
    SELECT key, node, map_index, attempt, state, message, started, ended, {_VALUE}
    FROM attempts WHERE run = ? AND (node, map_index, key) > (?, ?, ?) ORDER BY node, map_index, key LIMIT ?
"""
NOTES_PAGE: Final = """
    SELECT key, node, map_index, kind, text FROM notes
    WHERE run = ? AND (node, map_index, key) > (?, ?, ?) ORDER BY node, map_index, key LIMIT ?
"""
INSERT_NOTE: Final = "INSERT INTO notes (run, node, map_index, kind, text) VALUES (?, ?, ?, ?, ?)"
NOTES: Final = """
    SELECT node, map_index, kind, text FROM notes WHERE run = ? AND node = ? AND map_index = ? ORDER BY key
"""

# Logs

_LOG: Final = "position, node, map_index, attempt, at, level, logger, text"
INSERT_LOG: Final = f"INSERT INTO logs (run, {_LOG}) VALUES ({_marks(9)})"
# What a query asks for, by the name of its field.
LOG_CONDITIONS: Final = {
    "node": "node = :node",
    "map_index": "map_index = :map_index",
    "level": "level >= :level",
    "after": "position > :after",
}


def logs_page(conditions: list[str]) -> str:
    """Return the statement for a page of log records."""
    where = " AND ".join(["run = :run", *conditions])
    return f"SELECT {_LOG} FROM logs WHERE {where} ORDER BY position LIMIT :limit"


# Limits

LIMITS: Final = "SELECT tag, slots FROM limits ORDER BY tag"
SET_LIMIT: Final = """
    INSERT INTO limits (tag, slots) VALUES (?, ?) ON CONFLICT (tag) DO UPDATE SET slots = excluded.slots
"""
REMOVE_LIMIT: Final = "DELETE FROM limits WHERE tag = ?"

MAY_TAKE_SLOTS: Final = """
    SELECT EXISTS (SELECT 1 FROM runs WHERE key = ? AND ended IS NULL)
        AND NOT EXISTS (SELECT 1 FROM task_runs WHERE run = ? AND node = ? AND map_index = ? AND finished)
"""
SLOTS_OF_TASK_RUN: Final = "SELECT tag, since FROM slots WHERE run = ? AND node = ? AND map_index = ?"
COME_INTO_LINE: Final = "INSERT INTO slots (run, node, map_index, tag) VALUES (?, ?, ?, ?)"
GET_SLOTS: Final = """
    UPDATE slots SET since = ? WHERE run = ? AND node = ? AND map_index = ? AND since IS NULL
"""
HELD_SLOTS: Final = "SELECT tag, count(*) FROM slots WHERE since IS NOT NULL GROUP BY tag"
LINE: Final = "SELECT run, node, map_index, tag FROM slots WHERE since IS NULL ORDER BY key"
HOLDERS: Final = """
    SELECT tag, runs.id, node, map_index, since FROM slots JOIN runs ON runs.key = slots.run
    WHERE since IS NOT NULL ORDER BY since, slots.key
"""
RUNS_WITH_SLOTS: Final = """
    SELECT DISTINCT runs.id FROM slots JOIN runs ON runs.key = slots.run WHERE runs.id <> ?
"""
TASK_RUNS_WITH_SLOTS: Final = "SELECT DISTINCT node, map_index FROM slots WHERE run = ?"
GIVE_UP_SLOT: Final = "DELETE FROM slots WHERE run = ? AND node = ? AND map_index = ? AND tag = ?"
GIVE_UP_SLOTS: Final = "DELETE FROM slots WHERE run = ? AND node = ? AND map_index = ?"
GIVE_UP_SLOTS_OF_RUN: Final = "DELETE FROM slots WHERE run = ?"
GIVE_UP_SLOTS_OF_ENDED: Final = "DELETE FROM slots WHERE run IN (SELECT key FROM runs WHERE ended IS NOT NULL)"

# Deleting

# What a run's results are at, without what another run with the same result store refers to.
OWN_LOCATIONS: Final = """
    SELECT location FROM (
        SELECT location FROM task_runs WHERE run = :run AND location IS NOT NULL
        UNION
        SELECT location FROM attempts WHERE run = :run AND location IS NOT NULL
    ) AS own
    WHERE NOT EXISTS (
        SELECT 1 FROM task_runs AS other JOIN runs ON runs.key = other.run
        WHERE other.location = own.location AND other.run <> :run
            AND runs.results IS (SELECT results FROM runs WHERE key = :run)
    )
    ORDER BY location
"""
LOCATIONS: Final = """
    SELECT location FROM task_runs WHERE location IS NOT NULL
    UNION
    SELECT location FROM attempts WHERE location IS NOT NULL
"""
FORGET: Final = (
    "DELETE FROM logs WHERE run = :run",
    "DELETE FROM slots WHERE run = :run",
    "DELETE FROM notes WHERE run = :run",
    "DELETE FROM attempts WHERE run = :run",
    "DELETE FROM counts WHERE run = :run",
    "DELETE FROM task_runs WHERE run = :run",
    "DELETE FROM tasks WHERE run = :run",
    "UPDATE runs SET parent = NULL WHERE parent = (SELECT id FROM runs WHERE key = :run)",
    "DELETE FROM runs WHERE key = :run",
)

# Looking through all of it

MISCOUNTED: Final = """
    SELECT runs.id FROM runs JOIN (
        SELECT run, state, sum(count) AS said, sum(found) AS found FROM (
            SELECT run, state, count, 0 AS found FROM counts
            UNION ALL
            SELECT run, state, 0, count(*) FROM task_runs WHERE finished GROUP BY run, state
        ) GROUP BY run, state
    ) AS counted ON counted.run = runs.key
    WHERE said <> found GROUP BY runs.id
"""
LEAKED_SLOTS: Final = """
    SELECT runs.id, tag FROM slots JOIN runs ON runs.key = slots.run WHERE runs.ended IS NOT NULL ORDER BY runs.key
"""
RECOUNT: Final = (
    "DELETE FROM counts",
    "INSERT INTO counts SELECT run, state, count(*) FROM task_runs WHERE finished GROUP BY run, state",
)
