"""Looking through a history, putting it right, and giving space back."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

from headrace.atomic import is_being_written
from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError, HistoryVersionError
from headrace.file_systems import file_system, is_on_network
from headrace.history.journal_files import REQUEST_SUFFIX, SUFFIX, JournalFile, claim, journal_paths
from headrace.history.owners import this_process
from headrace.history.records import Finding
from headrace_plugins.sqlite import statements
from headrace_plugins.sqlite.salvaging import misfits, put_in_order, salvage
from headrace_plugins.sqlite.schema import TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headrace_plugins.sqlite.database import Database

__all__ = ["check", "compact", "repair", "size_of"]

# How many faults of the file itself are listed.
_MOST: Final = 20
# How many pages are given back in one transaction.
_PAGES: Final = 1000
# How long to wait for others who write all the time, in seconds.
_PATIENCE: Final = 30.0


def size_of(path: Path) -> int:
    """Return how many bytes are in a file, 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def compact(database: Database) -> None:
    """Give the pages that nothing is in back to the disk, some at a time, so that others need not wait for long."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _compact(database)
        except HistoryBusyError:
            if time.monotonic() > deadline:
                raise


def _compact(database: Database) -> None:
    connection = database.writer()
    try:
        with database.translated():
            connection.execute("PRAGMA busy_timeout = 30000")
            while connection.execute("PRAGMA freelist_count").fetchone()[0]:
                # Each row that is asked for gives back one page.
                connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


# Looking


def check(database: Database, live: Path) -> list[Finding]:
    """Return what is wrong."""
    return [
        *_about_place(database, live),
        *_about_file(database),
        *_about_journals(live),
        *_about_leftovers(database, live),
    ]


def _about_place(database: Database, live: Path) -> Iterator[Finding]:
    folder = database.path.parent
    if is_on_network(folder):
        what = (
            f"This is on a network file system ({file_system(folder) or 'UNC'}), where locks may not reach everybody."
        )
        hint = "Keep the history on a disk of this machine, with the setting `history.store` or HEADRACE_HOME."
        yield Finding(place=str(folder), what=what, hint=hint)
    for path in (folder, database.path, live):
        if path.exists() and not os.access(path, os.W_OK):
            what = "Nothing can be written here, so runs are not recorded."
            yield Finding(place=str(path), what=what, hint="Check the permissions.")


def _about_file(database: Database) -> Iterator[Finding]:
    try:
        if not database.exists():
            return
        with database.reader() as connection:
            yield from _about_tables(database, connection)
    except HistoryVersionError as error:
        yield Finding(place=str(database.path), what=error.message, hint=error.hint)
    except HistoryError as error:
        damaged = isinstance(error, HistoryDamagedError)
        yield Finding(place=str(database.path), what=error.message, hint=error.hint, repairable=damaged)


def _about_tables(database: Database, connection: sqlite3.Connection) -> Iterator[Finding]:
    place = str(database.path)
    for (fault,) in connection.execute(f"PRAGMA integrity_check({_MOST})").fetchall():
        if fault != "ok":
            yield Finding(place=place, what=f"The file is damaged: {fault}.", repairable=True)
    strays = connection.execute("PRAGMA foreign_key_check").fetchall()
    if strays:
        what = f"{len(strays)} rows belong to runs that are not there, the first of them in {strays[0][0]!r}."
        yield Finding(place=place, what=what, repairable=True)
    for table in TABLES:
        count = misfits(connection, table)
        if count:
            what = f"{count} rows of {table!r} have bytes where a text should be."
            yield Finding(place=place, what=what, repairable=True)
    for (run_id,) in connection.execute(statements.MISCOUNTED).fetchall():
        yield Finding(place=place, what=f"The task runs of run {run_id} are miscounted.", repairable=True)
    for run_id, tag in connection.execute(statements.LEAKED_SLOTS).fetchall():
        what = f"Run {run_id} has ended and still has a slot of {tag!r}."
        yield Finding(place=place, what=what, repairable=True)


def _about_journals(live: Path) -> Iterator[Finding]:
    here = this_process()
    for path in journal_paths(live):
        try:
            found = claim(path, here, patience=0)
        except HistoryDamagedError as error:
            yield Finding(place=str(path), what=error.message, repairable=True)
            continue
        if isinstance(found, JournalFile):
            found.close()
            what = f"The process that drove run {found.run_id} is dead, and the end of the run is not written."
            yield Finding(place=str(path), what=what, repairable=True)
        elif found == "foreign":
            yield Finding(
                place=str(path),
                what="The run is driven from another machine, and there is no telling from here whether it goes on.",
                hint="If that machine is gone, sweep with `foreign=True`.",
            )


def _about_leftovers(database: Database, live: Path) -> Iterator[Finding]:
    for path in _leftovers(database, live):
        yield Finding(place=str(path), what="A process was killed while it wrote this.", repairable=True)
    for path in sorted(live.glob("*.damaged")):
        what = "This journal was set aside because a part of it could not be understood."
        yield Finding(place=str(path), what=what, hint="Remove it when it is of no use.")


def _leftovers(database: Database, live: Path) -> list[Path]:
    temporary = [*database.path.parent.glob(f".{database.path.name}*.tmp*"), *live.glob(".*.tmp")]
    half_written = [path for path in temporary if not is_being_written(path)]
    requests = [path for path in live.glob(f"*{REQUEST_SUFFIX}") if not path.with_suffix(SUFFIX).exists()]
    return sorted(half_written) + sorted(requests)


# Putting right


def repair(database: Database, live: Path, sweep: Callable[[], Sequence[object]]) -> list[Finding]:
    """Put right what can be, and return what was done."""
    _refuse_if_alive(live)
    done = list(_set_aside_journals(live))
    found = list(_about_file(database))
    if not all(finding.repairable for finding in found):
        # The file is another program's, or a later headrace's.
        return done
    if found:
        done += _repair_file(database)
    swept = len(sweep())
    if swept:
        done.append(Finding(place=str(live), what=f"The end of {swept} runs was written whose processes had died."))
    for path in _leftovers(database, live):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            done.append(Finding(place=str(path), what="Removed what a process that was killed had left behind."))
    return done


def _refuse_if_alive(live: Path) -> None:
    for path in journal_paths(live):
        with contextlib.suppress(HistoryDamagedError):
            found = claim(path, this_process(), patience=0)
            if isinstance(found, JournalFile):
                found.close()
            elif found != "gone":
                raise HistoryError(
                    f"The history cannot be repaired while the run of {path} goes on.",
                    hint="Wait until it has ended, or cancel it.",
                )


def _set_aside_journals(live: Path) -> Iterator[Finding]:
    for path in journal_paths(live):
        try:
            found = claim(path, this_process(), patience=0)
        except HistoryDamagedError:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            yield Finding(place=str(path), what=f"Set aside as {aside}: it is no journal.")
        else:
            if isinstance(found, JournalFile):
                found.close()


def _repair_file(database: Database) -> Iterator[Finding]:
    if _is_sound(database):
        connection = database.writer()
        try:
            with database.transaction(connection):
                put_in_order(connection)
        finally:
            connection.close()
        what = "Removed what made no sense or belonged to no run, and counted the task runs anew."
        yield Finding(place=str(database.path), what=what)
    else:
        aside, kept = salvage(database)
        shown = ", ".join(f"{count} {table}" for table, count in kept.items())
        yield Finding(place=str(database.path), what=f"Saved what could be read of it: {shown}.")
        yield Finding(place=str(aside), what="This is what was there before.", hint="Remove it when it is of no use.")


def _is_sound(database: Database) -> bool:
    """Tell whether the file itself is sound, and only what is in it is not."""
    try:
        database.exists()
        with database.reader() as connection:
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except HistoryDamagedError:
        return False
