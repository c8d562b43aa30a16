"""Looking through a history, putting it right, and giving space back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.exceptions import HistoryDamagedError, HistoryError
from headrace.history.journal_files import JournalFile, claim, journal_paths
from headrace.history.records import Finding
from headrace_postgres import statements
from headrace_postgres.schema import TABLES, TABLES_OF_RUNS
from headrace_postgres.server import NoHistoryError
from headrace_postgres.sweeping import lives, open_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headrace.history.records import Owner
    from headrace_postgres.schema import Connection
    from headrace_postgres.server import Server
    from headrace_postgres.sweeping import OpenRun

__all__ = ["check", "compact", "facts", "repair", "size_of_journals"]

# How long others may keep a table from being written anew.
_PATIENCE: Final = "30s"


def size_of_journals(live: Path) -> int:
    """Return how many bytes are in the journals of this machine."""
    total = 0
    for path in journal_paths(live):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def compact(server: Server) -> None:
    """Write all tables anew, without what was deleted. Whoever wants to read or write one meanwhile waits."""
    with server.lease() as connection:
        row = connection.execute(statements.IS_OWNER).fetchone()
        if row is None or not row[0]:
            raise HistoryError(
                f"The history at {server.where} can be compacted only by the user who made it.",
                hint="The server also gives space of deleted runs to new ones, on its own.",
            )
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (_PATIENCE,))
        try:
            for table in TABLES:
                connection.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
        finally:
            # Not to be lent to anybody else like that.
            connection.close()


def facts(server: Server, live: Path) -> dict[str, str]:
    """Return where the history is and what it is kept with."""
    import psycopg

    found = {"history": server.where, "journals": str(live), "psycopg": psycopg.__version__}
    try:
        connection = server.connect()
    except HistoryError as error:
        return {**found, "server": error.message}
    with connection:
        info = connection.info
        found["server"] = f"{info.host}:{info.port}, {'with' if connection.pgconn.ssl_in_use else 'without'} TLS"
        found["PostgreSQL"] = info.parameter_status("server_version") or "unknown"
    return found


# Looking


def check(server: Server, live: Path, here: Owner) -> list[Finding]:
    """Return what is wrong."""
    try:
        with server.lease() as connection:
            found = list(_about_tables(server, connection))
            runs = open_runs(connection, server.address)
    except NoHistoryError:
        return [*_about_journals(live, here, set())]
    except HistoryError as error:
        return [Finding(place=server.where, what=error.message, hint=error.hint)]
    found += (finding for run in runs for finding in _about_run(server, run, here))
    return [*found, *_about_journals(live, here, {run.journal for run in runs})]


def _about_tables(server: Server, connection: Connection) -> Iterator[Finding]:
    place = server.where
    for table, statement in statements.STRAYS.items():
        row = connection.execute(statement.encode()).fetchone()
        if row is not None and row[0]:
            yield Finding(
                place=place, what=f"{row[0]} rows in {table!r} belong to runs that are not there.", repairable=True
            )
    for (run_id,) in connection.execute(statements.MISCOUNTED).fetchall():
        yield Finding(place=place, what=f"The task runs of run {run_id} are miscounted.", repairable=True)
    for run_id, tag in connection.execute(statements.LEAKED_SLOTS).fetchall():
        what = f"Run {run_id} has ended and still has a slot of {tag!r}."
        yield Finding(place=place, what=what, repairable=True)


def _about_run(server: Server, run: OpenRun, here: Owner) -> Iterator[Finding]:
    alive = lives(run, here)
    if alive is False:
        what = f"The process that drove run {run.id} is dead, and the end of the run is not written."
        yield Finding(place=server.where, what=what, repairable=True)
    elif alive is None:
        yield Finding(
            place=server.where,
            what=f"Run {run.id} is driven from {run.owner.host}, which is not connected: there is no telling from here "
            "whether it goes on.",
            hint=f"Look at the history on {run.owner.host}; if that machine is gone, sweep with `foreign=True`.",
        )


def _about_journals(live: Path, here: Owner, known: set[Path]) -> Iterator[Finding]:
    for path in journal_paths(live):
        try:
            found = claim(path, here, patience=0)
        except HistoryDamagedError as error:
            yield Finding(place=str(path), what=error.message, repairable=True)
            continue
        if isinstance(found, JournalFile):
            found.close()
            if path not in known:
                what = f"Run {found.run_id} has ended, and its journal was left behind."
                yield Finding(place=str(path), what=what, repairable=True)
    for path in sorted(live.glob("*.damaged")):
        what = "This journal was set aside because a part of it could not be understood."
        yield Finding(place=str(path), what=what, hint="Remove it when it is of no use.")


# Putting right


def repair(server: Server, live: Path, here: Owner, sweep: Callable[[], Sequence[object]]) -> list[Finding]:
    """Put right what can be, and return what was done."""
    try:
        with server.lease() as connection:
            for run in open_runs(connection, server.address):
                if lives(run, here):
                    raise HistoryError(
                        f"The history at {server.where} cannot be repaired while run {run.id} goes on.",
                        hint="Wait until it has ended, or cancel it.",
                    )
            wrong = list(_about_tables(server, connection))
    except NoHistoryError:
        return []
    done = list(_set_aside_journals(live, here))
    if wrong:
        server.write(_put_in_order)
        what = "Removed what belonged to no run, counted the task runs anew, and gave up slots of runs that have ended."
        done.append(Finding(place=server.where, what=what))
    swept = len(sweep())
    if swept:
        what = f"The end of {swept} runs was written whose processes had died."
        done.append(Finding(place=server.where, what=what))
    return done


def _put_in_order(connection: Connection) -> None:
    for table in TABLES_OF_RUNS:
        connection.execute(statements.REMOVE_STRAYS[table].encode())
    for statement in (*statements.RECOUNT, statements.GIVE_UP_SLOTS_OF_ENDED):
        connection.execute(statement)


def _set_aside_journals(live: Path, here: Owner) -> Iterator[Finding]:
    for path in journal_paths(live):
        try:
            found = claim(path, here, patience=0)
        except HistoryDamagedError:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            yield Finding(place=str(path), what=f"Set aside as {aside}: it is no journal.")
        else:
            if isinstance(found, JournalFile):
                found.close()
