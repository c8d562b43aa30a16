"""Opening the file, and what goes wrong with it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from headrace.atomic import publish, temporary_beside
from headrace.exceptions import (
    HistoryBusyError,
    HistoryDamagedError,
    HistoryError,
    HistoryVersionError,
    describe,
)
from headrace.fault_points import reached
from headrace_plugins.sqlite.modes import choose_mode, has_wal_reset_bug, reason
from headrace_plugins.sqlite.queueing import WriteQueue
from headrace_plugins.sqlite.schema import APPLICATION_ID, FORMS, apply_forms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace_plugins.sqlite.places import Places

__all__ = ["Database", "as_sqlite_error"]

# Seconds that one attempt to write waits for others, and that it is repeated for where nobody else would repeat it.
_TURN: Final = 0.25
_PATIENCE: Final = 30.0
_SAVE: Final = "Bring back a copy of it, or let `headrace doctor --repair` save what it can."
# Between two attempts.
_SHORTEST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.005
# The first SQLite with INSERT ... ON CONFLICT.
_OLDEST: Final = (3, 24, 0)


class Database:
    """The file of a history.

    ``forms`` are the schema, and ``version`` is that of SQLite. A connection is for one thread at a time. Everything
    raises HistoryError, which names the file, in place of what SQLite raises.
    """

    def __init__(
        self,
        places: Places,
        forms: Mapping[int, Sequence[str]] = FORMS,
        version: tuple[int, int, int] = sqlite3.sqlite_version_info,
    ) -> None:
        self.path = places.database
        self._places = places
        self._sqlite_version = version
        self._forms = forms
        self._version = max(forms)
        self._queue = WriteQueue(places.live)

    # -- opening -------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Tell whether there is a file; raise HistoryError if it cannot be a history, or if there is no telling."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refused(error) from error
        if self.path.is_dir():
            raise HistoryError(
                f"The history should be a file, and {self.path} is a folder.",
                hint="Name a file in it, such as `sqlite:FOLDER/runs.db`.",
            )
        if size == 0:
            raise HistoryDamagedError(
                f"The history at {self.path} is an empty file, which headrace never writes.",
                hint="Bring back a copy of it, or remove the file to begin a new history.",
            )
        return True

    def make(self) -> None:
        """Make the file unless there is one. Others see it when it is complete, or not at all."""
        if self.exists():
            return
        if self._sqlite_version < _OLDEST:
            raise HistoryError(
                f"SQLite {sqlite3.sqlite_version} is too old for a history; 3.24 is the first that will do."
            )
        self._places.make_folder()
        temporary = temporary_beside(self.path)
        try:
            with self.translated():
                self.fill(temporary)
            reached("database.filled")
            publish(temporary, self.path)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def fill(self, path: Path) -> None:
        """Make an empty history at ``path``, where nothing is."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if choose_mode(self.path, self._places.mode, self._sqlite_version) == "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            with self.transaction(connection):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                apply_forms(connection, 0, self._forms)
        finally:
            connection.close()

    def writer(self) -> sqlite3.Connection:
        """Return a connection that writes to the file, which is there."""
        with self.translated():
            connection = sqlite3.connect(
                _uri(self.path, "rw"), uri=True, isolation_level=None, timeout=_TURN, check_same_thread=False
            )
            try:
                # A power cut takes back no transaction that was committed.
                connection.execute("PRAGMA synchronous = FULL")
                # A transaction that does not fit into the cache would have to wait for readers before it is complete.
                connection.execute("PRAGMA cache_spill = OFF")
                self._check(connection)
                self._leave_wal(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that cannot write, nor make a file, for as long as it is needed."""
        with self.translated():
            connection = self._reader()
            try:
                yield connection
            except (ValueError, TypeError, LookupError, OverflowError) as error:
                if isinstance(error, HistoryError):
                    raise
                # Nothing in the file says that a byte of it has changed, but what comes out of it makes no sense.
                raise self._damaged(describe(error)) from error
            finally:
                connection.close()

    def _reader(self) -> sqlite3.Connection:
        connection = self._try_to_read()
        if connection is None:
            # A writer was killed amid a transaction, or the form is an old one. Whoever may write puts that right.
            self.writer().close()
            connection = self._try_to_read()
        if connection is None:
            raise HistoryError(f"The history at {self.path} cannot be read: others change it all the time.")
        return connection

    def _try_to_read(self) -> sqlite3.Connection | None:
        connection = sqlite3.connect(
            _uri(self.path, "ro"), uri=True, isolation_level=None, timeout=_PATIENCE, check_same_thread=False
        )
        readable = False
        try:
            readable = self._form(connection) == self._version
        except sqlite3.OperationalError as error:
            if _code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
                raise
        finally:
            if not readable:
                connection.close()
        return connection if readable else None

    def mode(self) -> str:
        """Return how the file is written, or would be if it were made now, and why."""
        against = reason(self.path, self._sqlite_version)
        if not self.exists():
            chosen = choose_mode(self.path, self._places.mode, self._sqlite_version)
        else:
            with self.reader() as connection:
                (chosen,) = connection.execute("PRAGMA journal_mode").fetchone()
        if chosen == "wal":
            return "write-ahead log"
        return "rollback journal" if against is None else f"rollback journal: {against}"

    # -- what is in it -------------------------------------------------------------------------------------------

    def _form(self, connection: sqlite3.Connection) -> int:
        """Return the form of the tables; raise HistoryError for a file that is none of ours, or of a later form."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise HistoryError(
                f"The file {self.path} is an SQLite database of some other program, and no history of headrace.",
                hint="Choose another place for the history.",
            )
        if found > self._version:
            raise HistoryVersionError(str(self.path), found, self._version)
        return int(found)

    def _check(self, connection: sqlite3.Connection) -> None:
        if self._form(connection) == self._version:
            return
        with self.transaction(connection):
            # Others may have been faster.
            found = self._form(connection)
            if found < self._version:
                self._back_up(found)
                apply_forms(connection, found, self._forms)

    def _back_up(self, found: int) -> None:
        """Copy the file, of which the caller keeps others from writing to it."""
        target = self.path.with_name(f"{self.path.name}.form{found}")
        temporary = temporary_beside(target)
        try:
            source = sqlite3.connect(_uri(self.path, "ro"), uri=True, timeout=_PATIENCE)
            copy = sqlite3.connect(temporary)
            try:
                source.backup(copy)
            finally:
                copy.close()
                source.close()
            temporary.replace(target)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _leave_wal(self, connection: sqlite3.Connection) -> None:
        """Give up the write-ahead log that another SQLite began, if it is not safe with this one."""
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal" or not has_wal_reset_bug(self._sqlite_version):
            if mode != "wal":
                connection.execute("PRAGMA journal_mode = TRUNCATE")
            return
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            raise HistoryError(
                f"The history at {self.path} is in use by a program with a later SQLite, which writes it in a way that "
                f"is not safe with the one here, {sqlite3.sqlite_version}.",
                hint="Wait until that program has ended, or use a Python with SQLite 3.51.3 or later.",
            ) from error

    # -- transactions --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Write as a whole or not at all; raise HistoryBusyError if others do not let us within a fraction of a second.

        When it is left, what was written outlives a power cut.
        """
        with self._queue, self.translated():
            reached("database.begin", as_sqlite_error)
            # Whoever reads first and wants to write then is refused at once, whatever the timeout.
            _insist(connection, "BEGIN IMMEDIATE", _TURN)
            try:
                reached("database.begun", as_sqlite_error)
                yield connection
                reached("database.commit", as_sqlite_error)
                # Those who read keep it from being written, for as long as one page of what they read takes.
                _insist(connection, "COMMIT", _PATIENCE)
                reached("database.committed", as_sqlite_error)
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise

    def close(self) -> None:
        """Let go of what is open between transactions."""
        self._queue.close()

    # -- errors --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise HistoryError in place of what SQLite raises."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error
        except UnicodeDecodeError as error:
            raise self._damaged(describe(error)) from error

    def _error(self, error: sqlite3.Error) -> HistoryError:
        code, where = _code(error), f"The history at {self.path}"
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return HistoryBusyError(str(self.path), _TURN)
        if code == sqlite3.SQLITE_NOTADB:
            return HistoryDamagedError(
                f"{where} is no SQLite database: it is a file of another kind, or its beginning is damaged.",
                hint=_SAVE,
            )
        if code == sqlite3.SQLITE_CORRUPT:
            return self._damaged(str(error))
        if code == sqlite3.SQLITE_FULL:
            return HistoryError(
                f"{where} cannot be written: the disk is full.",
                hint="Free some space there; the run can be resumed then.",
            )
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR}:
            return HistoryError(
                f"{where} cannot be opened or written: {error}.",
                hint="Check that the file and its folder are there and may be written to.",
            )
        return HistoryError(f"{where} cannot be used: {error}.", hint="Run `headrace doctor`.")

    def _damaged(self, reason: str) -> HistoryDamagedError:
        return HistoryDamagedError(f"The history at {self.path} is damaged: {reason}.", hint=_SAVE)

    def _refused(self, error: OSError) -> HistoryError:
        if isinstance(error, NotADirectoryError):
            in_the_way = next((folder for folder in self.path.parents if folder.is_file()), self.path.parent)
            return HistoryError(
                f"The history cannot be at {self.path}: {in_the_way} is a file, and should be a folder.",
                hint="Remove that file, or choose another place for the history.",
            )
        return HistoryError(
            f"The history at {self.path} cannot be read or made: {error.strerror or error}.",
            hint="Check the permissions of the file and its folder, or choose another place for the history.",
        )


def _insist(connection: sqlite3.Connection, statement: str, seconds: float) -> None:
    """Execute a statement as soon as others allow it, and within ``seconds``.

    SQLite itself waits ever longer before it looks again, up to a tenth of a second.
    """
    deadline, pause = time.monotonic() + seconds, _SHORTEST_PAUSE
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {1000 * _TURN:.0f}")


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(os.fsencode(path))}?mode={mode}"


def as_sqlite_error(error: OSError) -> sqlite3.OperationalError:
    """Return how SQLite says what the operating system says."""
    raised = sqlite3.OperationalError(str(error))
    raised.sqlite_errorcode = sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_IOERR
    return raised


def _code(error: sqlite3.Error) -> int:
    """Return the primary error code of SQLite; 0 if the error is one of the module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
