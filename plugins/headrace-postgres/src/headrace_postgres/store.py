"""The store that the core sees."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from headrace.abc import RunStore
from headrace.exceptions import HistoryBusyError, HistoryError, RunEndedError, RunNotFoundError, RunOwnedError
from headrace.history.journal_files import make_journal
from headrace.history.owners import this_process
from headrace.history.records import FINISHED_STATES, UNMAPPED, LogQuery, RunQuery, TaskRunQuery
from headrace_postgres import mending, reading, statements, sweeping, writing
from headrace_postgres.addresses import address_of
from headrace_postgres.arrays import clean
from headrace_postgres.presence import Presence
from headrace_postgres.recorder import ServerRecorder
from headrace_postgres.server import NoHistoryError, Server
from headrace_postgres.sharing import SharedRuns
from headrace_postgres.slots import limits, set_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.abc import RunJournal
    from headrace.history.folding import Row
    from headrace.history.records import (
        AttemptRecord,
        Finding,
        LimitRecord,
        LogRecord,
        NoteRecord,
        Owner,
        RunRecord,
        Tally,
        TaskRecord,
        TaskRunRecord,
    )
    from headrace_postgres.schema import Connection

__all__ = ["PostgresRunStore"]

T = TypeVar("T")

_RUNS_PAGE: Final = 100
_TASK_RUNS_PAGE: Final = 2000
_LOGS_PAGE: Final = 1000


class PostgresRunStore(RunStore):
    """Keeps the history of runs in a schema of a PostgreSQL database, ``postgresql://user@host:port/database``.

    ``?schema=NAME`` names another schema than ``headrace``, and ``&journals=/FOLDER`` another place for the journals of
    runs than the project's folder; what else is in the URL goes to the driver. ``patience`` is how many seconds a run
    that ends waits for a server that is away. ``owner`` returns who this process is.
    """

    def __init__(self, url: str, *, patience: float = 60.0, owner: Callable[[], Owner] = this_process) -> None:
        self._address = address_of(url)
        self._server = Server(self._address)
        self._patience = patience
        self._owner = owner
        # By process: one that is forked from this one must not use what it finds here.
        self._writers: dict[int, _Writer] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where!r})"

    # -- a run that goes on --------------------------------------------------------------------------------------

    def begin(
        self,
        run: RunRecord,
        tasks: Sequence[TaskRecord],
        *,
        taken_over: Iterable[TaskRunRecord] = (),
        again: bool = False,
    ) -> RunJournal:
        task_rows = [writing.task_row(task) for task in tasks]
        earlier = [
            writing.taken_over_row(each, run.resumed_from) for each in taken_over if each.state in FINISHED_STATES
        ]
        self._server.make()
        file = make_journal(self._address.make_live(), run.id, self._owner())
        writer = self._writer()
        try:
            row = writing.run_row(run, file.owner, file.path, file.start)
            writer.presence.hold(run.id)
            self._server.write(partial(self._begin, row, task_rows, earlier, run.resumed_from, again))
        except HistoryError as error:
            writer.presence.release(run.id)
            if isinstance(error, HistoryBusyError):
                # Whether it was written is not known: whoever sweeps finds out.
                file.close()
            else:
                file.discard()
            raise
        except BaseException:
            writer.presence.release(run.id)
            file.close()
            raise
        return writer.recorder.journal(file, writer.sharing)

    def _begin(
        self,
        row: Row,
        tasks: Sequence[Row],
        taken_over: Sequence[Row],
        origin: str | None,
        again: bool,
        connection: Connection,
    ) -> None:
        if origin is not None:
            writing.claim_origin(connection, origin, row[0], self._where, again=again)
        writing.insert_run(connection, row, tasks, taken_over, self._where)

    # -- looking -------------------------------------------------------------------------------------------------

    def runs(self, query: RunQuery | None = None) -> Iterator[RunRecord]:
        query = query or RunQuery()
        after = None if query.after is None else self._read(partial(self._key, query.after))
        left = query.limit
        while left is None or left > 0:
            size = _RUNS_PAGE if left is None else min(left, _RUNS_PAGE)
            try:
                with self._server.lease() as connection:
                    found, after = reading.runs_page(connection, query, after, size)
            except NoHistoryError:
                return
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
        key = self._read(partial(self._key, run_id), run_id)
        after, left = query.after, query.limit
        while left is None or left > 0:
            size = _TASK_RUNS_PAGE if left is None else min(left, _TASK_RUNS_PAGE)
            with self._server.lease() as connection:
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
        key = self._read(partial(self._key, run_id), run_id)
        after, left = query.after, query.limit
        while left is None or left > 0:
            size = _LOGS_PAGE if left is None else min(left, _LOGS_PAGE)
            with self._server.lease() as connection:
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
        self, run_id: str, page: Callable[[Connection, int, reading.Place, int], tuple[list[T], reading.Place]]
    ) -> Iterator[T]:
        key = self._read(partial(self._key, run_id), run_id)
        after = reading.BEGINNING
        while True:
            with self._server.lease() as connection:
                found, after = page(connection, key, after, _TASK_RUNS_PAGE)
            yield from found
            if len(found) < _TASK_RUNS_PAGE:
                return

    # -- whose runs are alive ------------------------------------------------------------------------------------

    def is_alive(self, run_id: str) -> bool | None:
        def look(connection: Connection, _: int) -> list[sweeping.OpenRun]:
            return sweeping.open_runs(connection, self._address, run_id)

        found = self._read_of(run_id, look)
        return sweeping.lives(found[0], self._owner()) if found else False

    def sweep(self, *, foreign: bool = False) -> Sequence[RunRecord]:
        try:
            swept = sweeping.sweep(self._server, self._address.live, self._owner(), foreign=foreign)
            with self._server.lease() as connection:
                found = [reading.run_by_id(connection, run_id) for run_id in swept]
        except NoHistoryError:
            return ()
        return tuple(run for run in found if run is not None and run.ended is not None)

    # -- what others want of a run -------------------------------------------------------------------------------

    def request_cancel(self, run_id: str, reason: str = "") -> None:
        if self.is_alive(run_id) is False:
            self.sweep()
        elif self._server.write(lambda it: it.execute(statements.REQUEST_CANCEL, (clean(reason), run_id)).rowcount):
            return
        run = self._read(lambda connection: reading.run_by_id(connection, run_id), run_id)
        raise RunEndedError(run_id, "gone" if run is None else run.state)

    def limits(self) -> Sequence[LimitRecord]:
        try:
            with self._server.lease() as connection:
                return limits(connection)
        except NoHistoryError:
            return ()

    def set_limit(self, tag: str, slots: int | None) -> None:
        if slots is not None and slots < 0:
            raise HistoryError(f"The limit of tag {tag!r} cannot be {slots}: it is 0 or more, or None.")
        self._server.make()
        self._server.write(partial(set_limit, tag=tag, slots=slots))

    # -- keeping it small and sound ------------------------------------------------------------------------------

    def delete(self, run_id: str) -> Sequence[str]:
        if self.is_alive(run_id) is False:
            self.sweep()
        return self._server.write(partial(self._delete, run_id))

    def _delete(self, run_id: str, connection: Connection) -> Sequence[str]:
        row = connection.execute(statements.LOCKED_RUN, (run_id,)).fetchone()
        if row is None:
            raise RunNotFoundError(run_id, self._where, ())
        if not row[1]:
            raise RunOwnedError(
                run_id, run_id, f"Run {run_id} goes on, so it cannot be deleted.", hint="Cancel it first."
            )
        return writing.forget_run(connection, row[0])

    def size(self) -> int:
        journals = mending.size_of_journals(self._address.live)
        try:
            with self._server.lease() as connection:
                row = connection.execute(statements.SIZE, (self._address.schema,)).fetchone()
        except NoHistoryError:
            return journals
        return journals + (0 if row is None else int(row[0]))

    def compact(self) -> None:
        try:
            mending.compact(self._server)
        except NoHistoryError:
            return

    def check(self) -> Sequence[Finding]:
        return mending.check(self._server, self._address.live, self._owner())

    def repair(self) -> Sequence[Finding]:
        return mending.repair(self._server, self._address.live, self._owner(), self.sweep)

    def place(self, project: Path) -> str:
        return self._address.identity

    def locations(self) -> Iterator[str]:
        try:
            with self._server.lease() as connection:
                found = [location for (location,) in connection.execute(statements.LOCATIONS)]
        except NoHistoryError:
            return
        yield from found

    def facts(self) -> Mapping[str, str]:
        return mending.facts(self._server, self._address.live)

    def close(self) -> None:
        writer = self._writers.pop(os.getpid(), None)
        if writer is not None:
            writer.close()
        self._server.close()

    # -- how -----------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return self._server.where

    def _key(self, run_id: str, connection: Connection) -> int:
        return reading.run_key(connection, run_id, self._where)

    def _read(self, function: Callable[[Connection], T], run_id: str = "") -> T:
        """Call ``function`` with a connection; there is no run of any id where there is no history."""
        try:
            with self._server.lease() as connection:
                return function(connection)
        except NoHistoryError:
            raise RunNotFoundError(run_id, self._where, ()) from None

    def _read_of(self, run_id: str, function: Callable[[Connection, int], T]) -> T:
        return self._read(lambda connection: function(connection, self._key(run_id, connection)), run_id)

    def _writer(self) -> _Writer:
        # Of two threads that come here at once, both get the one that was put there.
        return self._writers.setdefault(os.getpid(), _Writer(self._server, self._patience, self.is_alive, self.sweep))


class _Writer:
    """What a process has that records runs. Nothing is connected before it is used."""

    def __init__(
        self,
        server: Server,
        patience: float,
        is_alive: Callable[[str], bool | None],
        sweep: Callable[[], object],
    ) -> None:
        self.presence = Presence(server)
        self.recorder = ServerRecorder(server, self.presence, patience=patience)
        self.sharing = SharedRuns(server, self.presence, self.recorder, is_alive, sweep)

    def close(self) -> None:
        self.recorder.close()
        self.presence.close()
