"""Runs whose owners died: what they had taken down is taken in, and their end is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.exceptions import HistoryDamagedError
from headrace.fault_points import reached
from headrace.history.crashes import ABOUT_RUNS, ABOUT_TASK_RUNS, about_run, cause_of
from headrace.history.journal_files import SUFFIX, JournalFile, claim, end_of_entries, journal_paths
from headrace.history.log_bounds import append_tails, remove_tails
from headrace.history.owners import looks_alive
from headrace.history.recording import batches
from headrace_plugins.sqlite import reading, statements, writing
from headrace_plugins.sqlite.database import as_sqlite_error

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from headrace.history.records import Cause, Owner
    from headrace_plugins.sqlite.database import Database

__all__ = ["claimed_journals", "crash_lost_run", "lost_runs", "take_in"]


def claimed_journals(live: Path, here: Owner, *, foreign: bool) -> list[JournalFile]:
    """Return the journals of dead owners, locked by this process, which is to deal with each of them."""
    found = [claim(path, here, foreign=foreign) for path in journal_paths(live)]
    return [file for file in found if isinstance(file, JournalFile)]


def take_in(database: Database, file: JournalFile, here: Owner, connection: sqlite3.Connection) -> bool:
    """Take in the journal of a dead owner and write how its run ended; tell whether that was not written before.

    The file is gone afterwards, or set aside if there is something in it that is in no table.
    """
    reached("sweep.claimed", as_sqlite_error)
    row = connection.execute(statements.RUN_POSITION, (file.run_id,)).fetchone()
    if row is None:
        # Its owner died before it had begun, unless the run was deleted, or written to another file in this place.
        remove_tails(file)
        _put_away(file, understood=end_of_entries(file) == file.start)
        return False
    position, open_until_now = row
    append_tails(file)
    damage = _take_in_pieces(database, connection, file, position)
    reached("sweep.taken", as_sqlite_error)
    cause = cause_of(file, here)
    with database.transaction(connection):
        key = reading.run_key(connection, file.run_id, str(database.path))
        _crash(connection, key, about_run(file, cause, damage), cause)
    reached("sweep.ended", as_sqlite_error)
    _put_away(file, understood=not damage)
    return bool(open_until_now)


def _take_in_pieces(database: Database, connection: sqlite3.Connection, file: JournalFile, position: int) -> str:
    """Take in all there is from ``position`` on, and return what is to be said about damage."""
    try:
        for batch in batches(file, position):
            with database.transaction(connection):
                writing.write_batch(connection, batch)
    except HistoryDamagedError as error:
        return error.message
    return ""


def _put_away(file: JournalFile, *, understood: bool) -> None:
    if understood:
        file.discard()
    else:
        file.set_aside()


def crash_lost_run(database: Database, run_id: str, connection: sqlite3.Connection) -> None:
    """Write that a run crashed of which nothing else is known."""
    with database.transaction(connection):
        key = reading.run_key(connection, run_id, str(database.path))
        _crash(connection, key, ABOUT_RUNS["unknown"], "unknown")


def _crash(connection: sqlite3.Connection, key: int, about: str, cause: Cause) -> None:
    """Write that a run crashed, at the last moment of which anything is known."""
    (at,) = connection.execute(statements.LAST_MOMENT, (key,)).fetchone()
    writing.crash_run(connection, key, (about, ABOUT_TASK_RUNS), at, cause)


def lost_runs(connection: sqlite3.Connection, live: Path, here: Owner, *, foreign: bool) -> list[str]:
    """Return the runs that have not ended, whose owners are dead, and whose journals are not there."""
    found = []
    for run_id, owner in connection.execute(statements.OPEN_RUNS).fetchall():
        if (live / f"{run_id}{SUFFIX}").exists():
            continue
        seen = looks_alive(reading.owner_from(owner), here)
        if seen is False or (seen is None and foreign):
            found.append(run_id)
    return found
