"""The store that the core sees."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from headrace.abc import RunStore
from headrace.exceptions import HistoryError, RunEndedError, RunNotFoundError, RunOwnedError
from headrace.file_systems import file_system
from headrace.history.journal_files import SUFFIX, JournalFile, claim, journal_paths, make_journal
from headrace.history.owners import looks_alive, this_process
from headrace.history.recording import Recorder
from headrace.history.records import FINISHED_STATES, UNMAPPED, Finding, LogQuery, RunQuery, TaskRunQuery
from headrace_plugins.sqlite import mending, reading, sharing, slots, statements, sweeping, writing
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import places_of
from headrace_plugins.sqlite.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.abc import RunJournal
    from headrace.history.folding import Batch, Row
    from headrace.history.records import (
        AttemptRecord,
        LimitRecord,
        LogRecord,
        NoteRecord,
        Owner,
        RunRecord,
        Tally,
        TaskRecord,
        TaskRunRecord,
    )
    from headrace_plugins.sqlite.places import Places

__all__ = ["SQLiteRunStore"]

T = TypeVar("T")

_RUNS_PAGE: Final = 100
_TASK_RUNS_PAGE: Final = 2000
_LOGS_PAGE: Final = 1000


class SQLiteRunStore(RunStore):
    """Keeps the history of runs in one SQLite file, ``sqlite:`` for the project's own or ``sqlite:path/to/runs.db``.

    ``?mode=rollback`` says that a new file is to be written without a write-ahead log, and ``?mode=wal`` that it is an
    error if it cannot have one. By default it has one where that is safe.
    """

    def __init__(self, url: str = "sqlite:") -> None:
        self._places = places_of(url)
        self._database = self._make_database(self._places)
        # By process: one that is forked from this one must not use the connection that it finds here.
        self._writers: dict[int, _Writer] = {}
        self._sharing = Sharing(self._database, self._places.live, self)

    def _make_database(self, places: Places) -> Database:
        return Database(places)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._places.database)!r})"

    # -- a run that goes on --------------------------------------------------------------------------------------

    def begin(
        self,
        run: RunRecord,
        tasks: Sequence[TaskRecord],
        *,
        taken_over: Iterable[TaskRunRecord] = (),
        again: bool = False,
    ) -> RunJournal:
        earlier = [
            writing.taken_over_row(each, run.resumed_from) for each in taken_over if each.state in FINISHED_STATES
        ]
        self._database.make()
        file = self._make_journal(run.id)
        try:
            row = writing.run_row(run, file.owner, file.start)
            self._write(partial(self._begin, row, tasks, earlier, run.resumed_from, again))
        except HistoryError:
            file.discard()
            raise
        except BaseException:
            # Whether it was written is not known: whoever sweeps finds out.
            file.close()
            raise
        return self._writer().recorder.journal(file, self._sharing)

    def _begin(
        self,
        row: Row,
        tasks: Sequence[TaskRecord],
        taken_over: Sequence[Row],
        origin: str | None,
        again: bool,
        connection: sqlite3.Connection,
    ) -> None:
        with self._database.transaction(connection):
            if origin is not None:
                writing.claim_origin(connection, origin, self._where, again=again)
            writing.insert_run(connection, row, tasks, taken_over, self._where)
            self._sharing.note_limits(connection)

    def _make_journal(self, run_id: str) -> JournalFile:
        self._make_live()
        return make_journal(self._places.live, run_id, this_process())

    def _make_live(self) -> None:
        try:
            self._places.live.mkdir(exist_ok=True)
        except OSError as error:
            raise HistoryError(
                f"The folder {self._places.live} for journals of runs cannot be made: {error.strerror or error}.",
                hint="Check the permissions, or choose another place for the history.",
            ) from error

    # -- looking -------------------------------------------------------------------------------------------------

    def runs(self, query: RunQuery | None = None) -> Iterator[RunRecord]:
        query = query or RunQuery()
        after = None if query.after is None else self._read(partial(self._key, query.after))
        left = query.limit
        while self._database.exists() and (left is None or left > 0):
            size = _RUNS_PAGE if left is None else min(left, _RUNS_PAGE)
            with self._database.reader() as connection:
                found, after = reading.runs_page(connection, query, after, size)
            yield from found
            if len(found) < size:
                return
            left = None if left is None else left - size

    def run(self, name: str) -> RunRecord:
        return self._read(lambda connection: reading.find_run(connection, name, self._where), name)

    def tasks(self, run_id: str) -> Sequence[TaskRecord]:
        return self._read_of(run_id, reading.tasks)

    def task_runs(self, run_id: str, query: TaskRunQuery | None = None) -> Iterator[TaskRunRecord]:
        query = query or TaskRunQuery()
        key = self._read(lambda connection: self._key(run_id, connection), run_id)
        after, left = query.after, query.limit
        while left is None or left > 0:
            size = _TASK_RUNS_PAGE if left is None else min(left, _TASK_RUNS_PAGE)
            with self._database.reader() as connection:
                found = reading.task_runs_page(connection, key, query, after, size)
            yield from found
            if len(found) < size:
                return
            after = found[-1][:2]
            left = None if left is None else left - size

    def task_run(self, run_id: str, node: int, map_index: int = UNMAPPED) -> TaskRunRecord | None:
        return self._read_of(run_id, lambda connection, key: reading.task_run(connection, key, node, map_index))

    def attempts(self, run_id: str, node: int, map_index: int = UNMAPPED) -> Sequence[AttemptRecord]:
        return self._read_of(run_id, lambda connection, key: reading.attempts(connection, key, node, map_index))

    def notes(self, run_id: str, node: int, map_index: int = UNMAPPED) -> Sequence[NoteRecord]:
        return self._read_of(run_id, lambda connection, key: reading.notes(connection, key, node, map_index))

    def logs(self, run_id: str, query: LogQuery | None = None) -> Iterator[LogRecord]:
        query = query or LogQuery()
        key = self._read(lambda connection: self._key(run_id, connection), run_id)
        after, left = query.after, query.limit
        while left is None or left > 0:
            size = _LOGS_PAGE if left is None else min(left, _LOGS_PAGE)
            with self._database.reader() as connection:
                found = reading.logs_page(connection, key, query, after, size)
            yield from found
            if len(found) < size:
                return
            after = found[-1].position
            left = None if left is None else left - size

    def tally(self, run_id: str) -> Sequence[Tally]:
        return self._read_of(run_id, reading.tally)

    def slowest(self, run_id: str, node: int, limit: int) -> Sequence[TaskRunRecord]:
        return self._read_of(run_id, lambda connection, key: reading.slowest(connection, key, node, limit))

    def attempts_of_run(self, run_id: str) -> Iterator[AttemptRecord]:
        return self._pages_of(run_id, reading.attempts_page)

    def notes_of_run(self, run_id: str) -> Iterator[NoteRecord]:
        return self._pages_of(run_id, reading.notes_page)

    def _pages_of(
        self,
        run_id: str,
        page: Callable[[sqlite3.Connection, int, reading.Place, int], tuple[list[T], reading.Place]],
    ) -> Iterator[T]:
        key = self._read(lambda connection: self._key(run_id, connection), run_id)
        after = reading.BEGINNING
        while True:
            with self._database.reader() as connection:
                found, after = page(connection, key, after, _TASK_RUNS_PAGE)
            yield from found
            if len(found) < _TASK_RUNS_PAGE:
                return

    # -- whose runs are alive ------------------------------------------------------------------------------------

    def is_alive(self, run_id: str) -> bool | None:
        owner, ended = self._read_of(
            run_id, lambda connection, key: connection.execute(statements.RUN_OWNER, (key,)).fetchone()
        )
        if ended is not None:
            return False
        here = this_process()
        found = claim(self._places.live / f"{run_id}{SUFFIX}", here, patience=0)
        if isinstance(found, JournalFile):
            found.close()
            return False
        if found == "gone":
            return looks_alive(reading.owner_from(owner), here)
        return True if found == "alive" else None

    def sweep(self, *, foreign: bool = False) -> Sequence[RunRecord]:
        if not self._database.exists():
            return ()
        here, live = this_process(), self._places.live
        swept = self._take_in(sweeping.claimed_journals(live, here, foreign=foreign), here)
        with self._database.reader() as connection:
            lost = sweeping.lost_runs(connection, live, here, foreign=foreign)
        for run_id in lost:
            self._write(partial(sweeping.crash_lost_run, self._database, run_id))
        with self._database.reader() as connection:
            found = [reading.run_by_id(connection, run_id) for run_id in (*swept, *lost)]
        return tuple(run for run in found if run is not None and run.ended is not None)

    def _take_in(self, files: list[JournalFile], here: Owner) -> list[str]:
        """Take in journals of dead owners; return the runs whose end was not written before."""
        with contextlib.ExitStack() as stack:
            for file in files:
                stack.callback(file.close)
            return [file.run_id for file in files if self._write(partial(sweeping.take_in, self._database, file, here))]

    # -- what others want of a run -------------------------------------------------------------------------------

    def request_cancel(self, run_id: str, reason: str = "") -> None:
        self._refuse_if_ended(run_id)
        sharing.write_request(self._places.live, run_id, reason)
        try:
            # It may have ended just now, and then nobody would look.
            self._refuse_if_ended(run_id)
        except RunEndedError:
            sharing.forget_request(self._places.live, run_id)
            raise

    def _refuse_if_ended(self, run_id: str) -> None:
        if self.is_alive(run_id) is False:
            self.sweep()
            run = self._read(lambda connection: reading.run_by_id(connection, run_id), run_id)
            raise RunEndedError(run_id, "gone" if run is None else run.state)

    def write_here(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``function`` with the connection of the thread that writes, which is this one."""
        return self._writer().call_here(function)

    def limits(self) -> Sequence[LimitRecord]:
        if not self._database.exists():
            return ()
        with self._database.reader() as connection:
            return slots.limits(connection)

    def set_limit(self, tag: str, slots: int | None) -> None:
        if slots is not None and slots < 0:
            raise HistoryError(f"The limit of tag {tag!r} cannot be {slots}: it is 0 or more, or None.")
        self._database.make()
        self._make_live()
        self._sharing.set_limit(tag, slots, self._write)

    # -- keeping it small and sound ------------------------------------------------------------------------------

    def delete(self, run_id: str) -> Sequence[str]:
        if self.is_alive(run_id) is False:
            self.sweep()
        return self._write(partial(self._delete, run_id))

    def _delete(self, run_id: str, connection: sqlite3.Connection) -> Sequence[str]:
        with self._database.transaction(connection):
            key = self._key(run_id, connection)
            if not connection.execute(statements.RUN_ENDED, (key,)).fetchone()[0]:
                raise RunOwnedError(
                    run_id, run_id, f"Run {run_id} goes on, so it cannot be deleted.", hint="Cancel it first."
                )
            return writing.forget_run(connection, key)

    def size(self) -> int:
        path = self._places.database
        files = [path, *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm"))]
        return sum(mending.size_of(each) for each in [*files, *journal_paths(self._places.live)])

    def compact(self) -> None:
        if self._database.exists():
            mending.compact(self._database)

    def place(self, project: Path) -> str:
        path = self._places.database
        return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)

    def locations(self) -> Iterator[str]:
        if self._database.exists():
            with self._database.reader() as connection:
                found = [location for (location,) in connection.execute(statements.LOCATIONS)]
            yield from found

    def check(self) -> Sequence[Finding]:
        if not self._places.is_default:
            try:
                self._places.make_folder()
            except HistoryError as error:
                return [Finding(place=str(self._places.database), what=error.message, hint=error.hint)]
        return mending.check(self._database, self._places.live)

    def facts(self) -> Mapping[str, str]:
        return {
            "file": str(self._places.database),
            "SQLite": sqlite3.sqlite_version,
            "journal mode": self._database.mode(),
            "file system": file_system(self._places.database.parent) or "unknown",
        }

    def repair(self) -> Sequence[Finding]:
        self._close_writer()
        return mending.repair(self._database, self._places.live, self.sweep)

    def close(self) -> None:
        self._close_writer()
        self._database.close()

    # -- how -----------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return str(self._places.database)

    def _key(self, run_id: str, connection: sqlite3.Connection) -> int:
        return reading.run_key(connection, run_id, self._where)

    def _read(self, function: Callable[[sqlite3.Connection], T], run_id: str = "") -> T:
        """Call ``function`` with a connection; there is no run of any id where there is no file."""
        if not self._database.exists():
            raise RunNotFoundError(run_id, self._where, ())
        with self._database.reader() as connection:
            return function(connection)

    def _read_of(self, run_id: str, function: Callable[[sqlite3.Connection, int], T]) -> T:
        return self._read(lambda connection: function(connection, self._key(run_id, connection)), run_id)

    def _writer(self) -> _Writer:
        # Of two threads that come here at once, both get the one that was put there.
        return self._writers.setdefault(os.getpid(), _Writer(self._database))

    def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return self._writer().call(function)

    def _close_writer(self) -> None:
        writer = self._writers.pop(os.getpid(), None)
        if writer is not None:
            writer.close()


class _Writer:
    """The thread of this process that writes to the file, and its connection."""

    def __init__(self, database: Database) -> None:
        self.recorder = Recorder(self._take)
        self._database = database
        self._connection: sqlite3.Connection | None = None

    def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return self.recorder.call(lambda: self.call_here(function))

    def call_here(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``function``; only in the thread itself."""
        with self._database.translated():
            return function(self._open())

    def _take(self, batches: Sequence[Batch]) -> None:
        with self._database.transaction(self._open()) as connection:
            for batch in batches:
                writing.write_batch(connection, batch)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._database.writer()
        return self._connection

    def close(self) -> None:
        self.recorder.close()
        if self._connection is not None:
            self._connection.close()
