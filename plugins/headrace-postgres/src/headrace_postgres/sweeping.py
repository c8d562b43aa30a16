"""Whose owner lives, and what becomes of runs whose owner died.

What proves that an owner is dead lies on its machine: the process table of the same boot, and the run's journal, which
the process had locked. What proves that it lives are the same two, and from anywhere the lock that it holds on the
server. On another machine nothing proves that it is dead: there, somebody has to say so.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from headrace.exceptions import HistoryDamagedError, HistoryError
from headrace.history.crashes import ABOUT_RUNS, ABOUT_TASK_RUNS, about_run, cause_of
from headrace.history.journal_files import SUFFIX, JournalFile, claim, end_of_entries, journal_paths
from headrace.history.log_bounds import append_tails
from headrace.history.owners import looks_alive
from headrace.history.recording import batches
from headrace_postgres import reading, statements, writing
from headrace_postgres.presence import held_locks, lock_of

if TYPE_CHECKING:
    from headrace.history.records import Cause, Owner
    from headrace_postgres.addresses import Address
    from headrace_postgres.schema import Connection
    from headrace_postgres.server import Server

__all__ = ["OpenRun", "lives", "open_runs", "sweep"]


class OpenRun(NamedTuple):
    """A run that has not ended: who drives it, where its journal is on that machine, and whether its lock is held."""

    id: str
    owner: Owner
    journal: Path
    held: bool


def open_runs(connection: Connection, address: Address, run_id: str | None = None) -> list[OpenRun]:
    """Return the runs that have not ended, or the one of an id."""
    rows = connection.execute(statements.OPEN_RUNS, {"run": run_id}).fetchall()
    held = held_locks(connection) if rows else set()
    return [
        OpenRun(
            each, reading.owner_from(owner), _journal(each, journal, address), lock_of(address.schema, each) in held
        )
        for each, owner, journal in rows
    ]


def _journal(run_id: str, said: str, address: Address) -> Path:
    """Return where the journal of a run is; whoever may write to the database cannot make us open any other file."""
    path, ours = Path(said), address.live / f"{run_id}{SUFFIX}"
    return path if (path.name, path.parent.name) == (ours.name, ours.parent.name) and path.is_absolute() else ours


def lives(run: OpenRun, here: Owner) -> bool | None:
    """Tell whether the owner of a run lives, as far as that can be known from the process ``here``."""
    is_here = _is_here(run.owner, here)
    found = _looked_at(run.journal, here)
    if found == "dead":
        # Two machines that have the same name may have a disk in common.
        return run.held and not is_here
    if found == "alive":
        return True
    seen = looks_alive(run.owner, here) if is_here else None
    if seen is None and run.held:
        return True
    return seen


def _is_here(owner: Owner, here: Owner) -> bool:
    """Tell whether the process table says anything of an owner."""
    return (owner.boot, owner.host, owner.namespace) == (here.boot, here.host, here.namespace)


def _looked_at(path: Path, here: Owner) -> Literal["dead", "alive", "foreign", "gone"]:
    try:
        found = claim(path, here, patience=0)
    except HistoryError:
        # It belongs to another user, or is none.
        return "foreign"
    if isinstance(found, JournalFile):
        found.close()
        return "dead"
    return found


def sweep(server: Server, live: Path, here: Owner, *, foreign: bool) -> list[str]:
    """Write the end of runs whose owners died, and return those runs."""
    with server.lease() as connection:
        found = open_runs(connection, server.address)
    runs = {run.journal: run for run in found}
    swept = []
    for path in dict.fromkeys([*journal_paths(live), *runs]):
        file = _claimed(path, runs.get(path), here, live, foreign=foreign)
        if file is not None:
            try:
                if _take_in(server, file, here):
                    swept.append(file.run_id)
            finally:
                file.close()
    for run in found:
        if run.id not in swept and _is_lost(run, here, foreign=foreign) and _crash_lost(server, run, here):
            swept.append(run.id)
    return swept


def _claimed(path: Path, run: OpenRun | None, here: Owner, live: Path, *, foreign: bool) -> JournalFile | None:
    """Return the journal of a dead owner, locked by this process, which is to deal with it; or None."""
    held = run is not None and run.held
    try:
        found = claim(path, here, foreign=foreign and not held)
    except HistoryError:
        # Other users' journals are for them to deal with.
        if path.parent == live:
            raise
        return None
    if not isinstance(found, JournalFile):
        return None
    if held and not _is_here(found.owner, here):
        found.close()
        return None
    return found


def _take_in(server: Server, file: JournalFile, here: Owner) -> bool:
    """Take in the journal of a dead owner and write how its run ended; tell whether that was not written before.

    The file is gone afterwards, or set aside if there is something in it that is in no table.
    """
    open_until_now = _position(server, file)
    if open_until_now is None:
        # Its owner died before it had begun, unless the run was deleted, or is in another history.
        _put_away(file, understood=end_of_entries(file) == file.start)
        return False
    append_tails(file)
    damage = _take_in_pieces(server, file)
    cause = cause_of(file, here)
    about = about_run(file, cause, damage)
    server.write(lambda connection: _crash(connection, file.run_id, about, cause))
    _put_away(file, understood=not damage)
    return open_until_now[1]


def _position(server: Server, file: JournalFile) -> tuple[int, bool] | None:
    with server.lease() as connection:
        row = connection.execute(statements.RUN_POSITION, (file.run_id,)).fetchone()
    return None if row is None else (int(row[0]), bool(row[1]))


def _take_in_pieces(server: Server, file: JournalFile) -> str:
    """Take in all there is from where the tables end, and return what is to be said about damage."""
    known = _position(server, file)
    try:
        while known is not None:
            for batch in batches(file, known[0]):
                if not server.write(partial(writing.write_batch, batch=batch, late=True)):
                    # Somebody else has taken it in, or we have and were not told.
                    break
            else:
                return ""
            known = _position(server, file)
    except HistoryDamagedError as error:
        return error.message
    return ""


def _put_away(file: JournalFile, *, understood: bool) -> None:
    if understood:
        file.discard()
    else:
        file.set_aside()


def _crash(connection: Connection, run_id: str, about: str, cause: Cause) -> bool:
    """Write that a run crashed, at the last moment of which anything is known, unless it has ended; tell which."""
    row = connection.execute(statements.LOCKED_RUN, (run_id,)).fetchone()
    if row is None or row[1]:
        return False
    moment = connection.execute(statements.LAST_MOMENT, row[:1]).fetchone()
    assert moment is not None
    writing.crash_run(connection, row[0], (about, ABOUT_TASK_RUNS), float(moment[0]), cause)
    return True


def _is_lost(run: OpenRun, here: Owner, *, foreign: bool) -> bool:
    """Tell whether a run has a dead owner and no journal that can be taken in here."""
    alive = lives(run, here)
    return (alive is False and not _is_there(run.journal)) or (alive is None and foreign)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True


def _crash_lost(server: Server, run: OpenRun, here: Owner) -> bool:
    about = ABOUT_RUNS["unknown"]
    if not _is_here(run.owner, here):
        about = (
            f"Its process on {run.owner.host} was not connected, and somebody said that it is dead. "
            "What it did last may be in its journal there."
        )

    def crash(connection: Connection) -> bool:
        # An owner that comes back at this moment is first, or finds that its run has ended.
        got = connection.execute(statements.HOLD_FOR_NOW, (lock_of(server.address.schema, run.id),)).fetchone()
        if not _is_here(run.owner, here) and not (got and got[0]):
            return False
        return _crash(connection, run.id, about, "unknown")

    return server.write(crash)
