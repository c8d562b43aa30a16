"""Moving journals to a server that may be away for a while, or not say whether it took what it was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from headrace.exceptions import HistoryBusyError, HistoryError
from headrace.history.recording import Recorder
from headrace_postgres import statements, writing
from headrace_postgres.errors import ServerAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from headrace.history.folding import Batch
    from headrace.history.journal_files import JournalFile
    from headrace.history.recording import FileJournal, Sharing
    from headrace_postgres.presence import Presence
    from headrace_postgres.schema import Connection
    from headrace_postgres.server import Server

    T = TypeVar("T")

__all__ = ["ServerRecorder"]

# Between two attempts to reach a server that is away, in seconds.
_PAUSE: Final = 0.25
# How long a server that is away is waited for when the history is closed, in seconds.
_LAST_WAIT: Final = 2.0


class _OutOfStepError(Exception):
    """The tables do not end where a batch begins."""


class ServerRecorder(Recorder):
    """Moves journals to a server, on a connection of its own that is made anew when it was lost.

    A server that is away keeps no run from going on: what the run says is in its journal. Only who waits until it is in
    the database is told, after ``patience`` seconds.
    """

    def __init__(self, server: Server, presence: Presence, *, patience: float) -> None:
        super().__init__(self._write, patience=patience)
        self._server = server
        self._presence = presence
        self._seconds = patience
        self._connection: Connection | None = None
        # Whether a transaction may have been committed without our being told.
        self._unsure = False
        self._away: ServerAwayError | None = None

    def journal(self, file: JournalFile, sharing: Sharing) -> FileJournal:
        self._start()
        return super().journal(file, sharing)

    def wait_for(self, journal: FileJournal) -> None:
        try:
            super().wait_for(journal)
        except HistoryBusyError as error:
            if self._away is None:
                raise
            raise ServerAwayError(
                f"Run {journal.file.run_id} could not be written to the history for {self._seconds:g} seconds: "
                f"{self._away.message}",
                hint=f"What it recorded is in {journal.file.path}; the next command that looks at the history from "
                "this machine takes it in.",
            ) from error

    def let_go(self, journal: FileJournal, *, complete: bool = False, why: str | None = None) -> None:
        super().let_go(journal, complete=complete, why=why)
        self._presence.release(journal.file.run_id)

    def close(self) -> None:
        if self._away is not None:
            # It was waited for before, and what it has not got is in journals.
            self._patience = min(self._patience, _LAST_WAIT)
        super().close()
        self._drop()

    def transact(self, function: Callable[[Connection], T]) -> T:
        """Call ``function`` in a transaction, in the thread that writes, which is this one."""
        connection = self._opened()
        try:
            with self._server.translated(), connection.transaction():
                return function(connection)
        finally:
            if connection.closed:
                self._drop()

    # -- the thread that writes ----------------------------------------------------------------------------------

    def _write(self, batches: Sequence[Batch]) -> None:
        try:
            if self._unsure:
                self._catch_up()
            self.transact(lambda connection: _write_all(connection, batches))
        except _OutOfStepError as error:
            self._catch_up()
            raise HistoryError(
                f"Run {error} cannot be recorded any further: somebody who took this process for dead has recorded "
                "its end, or deleted it.",
                hint="Somebody swept the history with `foreign=True`. What the run said since is in its journal.",
            ) from None
        except ServerAwayError as error:
            self._unsure = True
            self._away = error
            time.sleep(_PAUSE)
            raise
        self._away = None

    def _catch_up(self) -> None:
        """Go on where the tables end; raise HistoryBusyError if that is not where we thought."""
        journals = {journal.file.run_id: journal for journal in self._journals}
        found = self.transact(lambda it: it.execute(statements.POSITIONS, (list(journals),)).fetchall())
        self._unsure = False
        is_further = False
        for run_id, position in found:
            if position > journals[run_id].taken:
                journals[run_id].taken = position
                is_further = True
        if is_further:
            with self._progress:
                self._progress.notify_all()
            raise HistoryBusyError(self._server.where, 0.0)

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._server.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _write_all(connection: Connection, batches: Sequence[Batch]) -> None:
    for batch in batches:
        if not writing.write_batch(connection, batch):
            raise _OutOfStepError(batch.run_id)
