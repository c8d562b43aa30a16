"""What runs have to do with each other and with people elsewhere: requests to cancel them, and limits.

Both are looked for several times a second by every run, so that each has a file beside the journals, and nothing is
read where that is not there or has not changed.
"""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from headrace.atomic import write_atomically
from headrace.history.journal_files import REQUEST_SUFFIX, unwritable
from headrace_plugins.sqlite import reading, slots

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection
    from pathlib import Path
    from typing import Protocol

    from headrace_plugins.sqlite.database import Database

    class Store(Protocol):
        """What is used of the store."""

        def write_here(self, function: Callable[[sqlite3.Connection], T]) -> T: ...

        def is_alive(self, run_id: str) -> bool | None: ...

        def sweep(self) -> object: ...


__all__ = ["Sharing", "forget_request", "read_request", "write_request"]

T = TypeVar("T")

_LIMITS: Final = "limits"


# Requests


def write_request(live: Path, run_id: str, reason: str) -> None:
    """Leave word that a run is to end; a reader sees all of it or nothing."""
    _replace(live / f"{run_id}{REQUEST_SUFFIX}", reason.encode("utf-8", "backslashreplace"))


def read_request(live: Path, run_id: str) -> str | None:
    """Return the reason that somebody left, or None if nobody did."""
    try:
        descriptor = os.open(live / f"{run_id}{REQUEST_SUFFIX}", os.O_RDONLY)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode("utf-8", "replace")


def forget_request(live: Path, run_id: str) -> None:
    """Remove what was left for a run that has ended."""
    with contextlib.suppress(OSError):
        (live / f"{run_id}{REQUEST_SUFFIX}").unlink()


def _replace(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise unwritable(path, error) from error


# Limits


class Sharing:
    """See the methods of `headrace.abc.RunJournal`; may be used from any thread."""

    def __init__(self, database: Database, live: Path, store: Store) -> None:
        self._database = database
        self._live = live
        self._store = store
        # When the file beside the journals changed, and what the limits were then.
        self._known: tuple[object, frozenset[str]] = (None, frozenset())

    def cancel_request(self, run_id: str) -> str | None:
        """Return why somebody wants a run to end."""
        return read_request(self._live, run_id)

    def limited_tags(self) -> frozenset[str]:
        """Return the tags that have a limit."""
        sign = self._sign()
        if sign != self._known[0]:
            with self._database.reader() as connection:
                self._known = sign, slots.limited_tags(connection)
        return self._known[1]

    def note_limits(self, connection: sqlite3.Connection) -> None:
        """Read the limits, whatever the file says, as every run does when it begins."""
        sign = self._sign()
        self._known = sign, slots.limited_tags(connection)

    def set_limit(
        self, tag: str, count: int | None, write: Callable[[Callable[[sqlite3.Connection], None]], None]
    ) -> None:
        """Write a limit, and see to it that runs that go on notice."""
        # Before too: whoever reads meanwhile reads again, and if we are killed meanwhile, those that begin look.
        _replace(self._live / _LIMITS, b"")
        write(partial(self._set_limit, tag, count))
        _replace(self._live / _LIMITS, b"")

    def _set_limit(self, tag: str, count: int | None, connection: sqlite3.Connection) -> None:
        with self._database.transaction(connection):
            slots.set_limit(connection, tag, count)

    def _sign(self) -> object:
        try:
            found = (self._live / _LIMITS).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def take_slots(self, run_id: str, node: int, map_index: int, tags: Collection[str], /) -> bool:
        """Take slots, or a place in line. Called in the thread that writes."""
        return self._store.write_here(partial(self._take_slots, run_id, node, map_index, tags))

    def _take_slots(
        self, run_id: str, node: int, map_index: int, tags: Collection[str], connection: sqlite3.Connection
    ) -> bool:
        with self._database.transaction(connection):
            key = reading.run_key(connection, run_id, str(self._database.path))
            return slots.take(connection, key, (node, map_index), tags, time.time())

    def free_slots_of_dead(self, run_id: str, /) -> bool:
        """Sweep if another run that has slots, or is in line, is dead; tell whether."""
        with self._database.reader() as connection:
            others = slots.rivals(connection, run_id)
        if not any(self._store.is_alive(other) is False for other in others):
            return False
        self._store.sweep()
        return True
