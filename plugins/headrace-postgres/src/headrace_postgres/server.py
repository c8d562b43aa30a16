"""Connections to the server: made when they are needed, kept for a while, and given up in a forked process."""

from __future__ import annotations

import contextlib
import os
import select
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError, describe
from headrace.history.forks import watch_forks
from headrace_postgres.errors import ServerAwayError, translated, unreachable
from headrace_postgres.schema import FORMS, Connection, check_form, found_form, make_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace_postgres.addresses import Address

__all__ = ["NoHistoryError", "Server", "has_word"]

T = TypeVar("T")

# How many connections that nobody uses are kept.
_MOST_IDLE: Final = 2
# Seconds that one attempt waits for a lock, and that a transaction is tried again for.
_TURN: Final = 0.25
_PATIENCE: Final = 15.0
_PAUSE: Final = 0.05
# What we ask of the client unless the URL or the environment says otherwise: no link that is broken stays unnoticed.
_CLIENT: Final = {
    "application_name": "headrace",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_FROM_ENVIRONMENT: Final = {"application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}
# What we ask of the server for a connection. It is to notice when we are gone, and what it has committed outlives a
# power cut even if it is not so for others.
_SETTINGS: Final = """
    SELECT set_config(name, value, false) FROM (VALUES
        ('search_path', quote_ident(%(schema)s)),
        ('default_transaction_isolation', 'read committed'),
        ('lock_timeout', %(turn)s),
        ('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END),
        ('tcp_keepalives_idle', '15'),
        ('tcp_keepalives_interval', '5'),
        ('tcp_keepalives_count', '3'),
        ('jit', 'off')
    ) AS wanted (name, value)
"""


class NoHistoryError(HistoryError):
    """There is no history in the schema yet."""


class Server:
    """The server of a history. May be used from any thread; a connection is for one at a time.

    ``forms`` are the schema. Everything raises HistoryError in place of what the driver raises.
    """

    def __init__(self, address: Address, forms: Mapping[int, Sequence[str]] = FORMS) -> None:
        self.address = address
        self.where = address.where
        self._forms = forms
        self._is_made = False
        self._idle: deque[Connection] = deque()
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._inherited: list[Connection] = []
        self._is_watched = False

    # -- connections ---------------------------------------------------------------------------------------------

    def connect(self) -> Connection:
        """Return a connection of the caller's own, on which each statement is a transaction unless one is begun."""
        if not self._is_watched:
            self._is_watched = True
            watch_forks(self)
        wanted = {
            name: value
            for name, value in _CLIENT.items()
            if name not in self.address.options and not os.environ.get(_FROM_ENVIRONMENT.get(name, ""))
        }
        began = time.monotonic()
        try:
            told = make_conninfo("", **wanted, **{**self.address.options, "client_encoding": "UTF8"})
            connection: Connection = psycopg.connect(told, autocommit=True)
        except psycopg.OperationalError as error:
            raise unreachable(error, self.where, time.monotonic() - began) from error
        self._all.add(connection)
        try:
            with self.translated():
                connection.execute(_SETTINGS, {"schema": self.address.schema, "turn": f"{int(_TURN * 1000)}ms"})
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def lease(self) -> Iterator[Connection]:
        """Lend a connection for as long as it is needed; raise NoHistoryError if there is no history."""
        connection = self._fresh() or self._checked(self.connect())
        try:
            with self.translated():
                yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _fresh(self) -> Connection | None:
        """Return a connection that was kept and whose server has not said goodbye since."""
        with contextlib.suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not connection.closed and not has_word(connection):
                    return connection
                connection.close()
        return None

    def _checked(self, connection: Connection) -> Connection:
        try:
            with self.translated():
                found = found_form(connection, self.address.schema)
            if found is not None and not check_form(found, self.where, self._forms):
                self.make()
        except BaseException:
            connection.close()
            raise
        if found is None:
            connection.close()
            raise NoHistoryError(f"There is no history at {self.where}.")
        return connection

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    # -- using them ----------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the tables unless they are there, all of them or none."""
        if self._is_made:
            return
        self.insist(self._make)
        self._is_made = True

    def _make(self) -> None:
        connection = self.connect()
        try:
            with self.translated(), connection.transaction():
                make_tables(connection, self.address.schema, self.where, self._forms)
        finally:
            connection.close()

    def write(self, function: Callable[[Connection], T]) -> T:
        """Call ``function`` in a transaction, again if others were in the way; it may have happened before."""

        def attempt() -> T:
            with self.lease() as connection, connection.transaction():
                return function(connection)

        return self.insist(attempt)

    def insist(self, function: Callable[[], T]) -> T:
        """Call ``function`` until nobody is in the way; a server that cannot be reached at first is not waited for."""
        deadline, is_first = time.monotonic() + _PATIENCE, True
        while True:
            try:
                return function()
            except HistoryBusyError as error:
                silent = is_first and isinstance(error, ServerAwayError) and not error.reached
                if silent or time.monotonic() > deadline:
                    raise
            is_first = False
            time.sleep(_PAUSE)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise HistoryError in place of what the driver raises."""
        try:
            yield
        except psycopg.Error as error:
            raise translated(error, self.where, _TURN) from error
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            if isinstance(error, HistoryError):
                raise
            raise HistoryDamagedError(
                f"What is in the history at {self.where} makes no sense: {describe(error)}.",
                hint="Run `headrace doctor`.",
            ) from error

    # -- forks ---------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """See `headrace.history.forks.Forkable`."""

    def after_fork(self, *, forked: bool) -> None:
        """See `headrace.history.forks.Forkable`: what is open belongs to the process that opened it.

        The server is not to take a forked process for its parent, when that is dead.
        """
        if not forked:
            return
        # They are kept, since one that goes while it is open complains.
        self._inherited += self._all
        self._idle.clear()
        nothing = os.open(os.devnull, os.O_RDWR)
        for connection in self._inherited:
            with contextlib.suppress(psycopg.Error, OSError):
                os.dup2(nothing, connection.fileno(), inheritable=False)
        os.close(nothing)
        self._all.clear()


def has_word(connection: Connection) -> bool:
    """Tell whether there is something to be read on a connection that was asked for nothing, such as a goodbye."""
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(connection.fileno(), select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    except (psycopg.Error, OSError, ValueError):
        return True
