"""Whose runs are driven now: a lock on the server for each run, held by a connection of the process that drives it.

The server gives up the locks of a connection that has ended, within half a minute also if the machine at the other end
has vanished. So a lock that is held proves that the owner lives. One that is not held proves nothing: the link may be
broken for a while, or the server have been started anew; then it is taken again as soon as the server answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Final

import psycopg

from headrace.exceptions import HistoryError
from headrace_postgres import statements
from headrace_postgres.server import has_word

if TYPE_CHECKING:
    from headrace_postgres.schema import Connection
    from headrace_postgres.server import Server

__all__ = ["Presence", "held_locks", "lock_of"]

# Seconds between two looks at a connection that says nothing, and at one that is not there or not complete.
_QUIET: Final = 10.0
_LOST: Final = 0.5


def lock_of(schema: str, run_id: str) -> int:
    """Return the number of the lock of a run: 64 bits that no other lock in the database is likely to have."""
    digest = hashlib.sha256(f"headrace/{schema}/{run_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def held_locks(connection: Connection) -> set[int]:
    """Return the locks that are held in the database: those of runs whose owners are connected, and others."""
    return {lock for (lock,) in connection.execute(statements.HELD)}


class Presence:
    """Holds the locks of the runs of this process, on a connection and a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._schema = server.address.schema
        # By run, whether its lock is held.
        self._runs: dict[str, bool] = {}
        self._connection: Connection | None = None
        self._limited: frozenset[str] = frozenset()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._closed = False

    def hold(self, run_id: str) -> None:
        """Take the lock of a run; raise HistoryError if somebody else has it, or if the server cannot be reached."""
        with self._mutex:
            if self._connection is None or self._connection.closed or has_word(self._connection):
                self._drop()
                self._connection = self._server.connect()
            with self._server.translated():
                row = self._connection.execute(statements.HOLD, (lock_of(self._schema, run_id),)).fetchone()
            if row is None or not row[0]:
                raise HistoryError(
                    f"There is a run {run_id} in {self._server.where} already, and another process drives it.",
                    hint="Give each run an id of its own.",
                )
            self._runs[run_id] = True
            self._start()
        self._ring()

    def release(self, run_id: str) -> None:
        """Give up the lock of a run. Never raises."""
        with self._mutex:
            if self._runs.pop(run_id, False) and self._connection is not None:
                with contextlib.suppress(Exception):  # whatever is wrong with the connection, its locks go with it
                    self._connection.execute(statements.LET_GO, (lock_of(self._schema, run_id),))

    def ask(self, run_id: str) -> tuple[str | None, frozenset[str]]:
        """Return why somebody wants a run to end, and the tags that have a limit.

        As long as the server is away nobody is known to want it to end, and the limits are as they were.
        """
        with self._mutex:
            if self._connection is not None and not self._connection.closed:
                try:
                    row = self._connection.execute(statements.ASK, (run_id,)).fetchone()
                except psycopg.Error:
                    self._drop()
                else:
                    assert row is not None
                    self._limited = frozenset(row[1])
                    return row[0], self._limited
        self._ring()
        return None, self._limited

    def close(self) -> None:
        """Give up all locks, and end the thread."""
        self._closed = True
        self._ring()
        if self._thread is not None:
            self._thread.join()
        with self._mutex:
            self._runs.clear()
            self._drop()
            for end in self._bell or ():
                end.close()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            self._bell = socket.socketpair()
            for end in self._bell:
                end.setblocking(False)
            self._thread = threading.Thread(target=self._watch, name="headrace-presence", daemon=True)
            self._thread.start()

    def _ring(self) -> None:
        if self._bell is not None:
            with contextlib.suppress(OSError):
                self._bell[1].send(b".")

    def _watch(self) -> None:
        while not self._closed:
            self._wait()
            try:
                self._look()
            except HistoryError:
                with self._mutex:
                    self._drop()

    def _wait(self) -> None:
        """Wait until the server says something, or somebody rings, or a while has passed."""
        assert self._bell is not None
        with self._mutex:
            watched = [self._bell[0].fileno()]
            if self._connection is not None and all(self._runs.values()):
                with contextlib.suppress(psycopg.Error):
                    watched.append(self._connection.fileno())
        _wait_for(watched, _QUIET if len(watched) > 1 else _LOST)
        with contextlib.suppress(OSError):
            self._bell[0].recv(4096)

    def _look(self) -> None:
        """See that the connection is there, and take the locks that are not held."""
        if self._closed or not self._runs:
            return
        fresh = None if self._connection is not None and not self._connection.closed else self._server.connect()
        with self._mutex, self._server.translated():
            if self._connection is None or self._connection.closed:
                self._drop()
                self._connection = fresh
            elif fresh is not None:
                fresh.close()
            if self._connection is None:
                return
            # It is said aloud that the other end is gone.
            self._connection.execute("SELECT 1")
            for run_id in [run_id for run_id, held in self._runs.items() if not held]:
                # A connection of ours that the server has not given up yet may still have it.
                row = self._connection.execute(statements.HOLD, (lock_of(self._schema, run_id),)).fetchone()
                self._runs[run_id] = row is not None and bool(row[0])

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._runs = dict.fromkeys(self._runs, False)


def _wait_for(descriptors: list[int], seconds: float) -> None:
    if not hasattr(select, "poll"):
        with contextlib.suppress(OSError, ValueError):
            select.select(descriptors, [], [], seconds)
        return
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    with contextlib.suppress(OSError):
        poll.poll(seconds * 1000)
