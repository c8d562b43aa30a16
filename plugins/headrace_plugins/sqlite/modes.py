"""How SQLite is to write: with a write-ahead log where that is safe, with a rollback journal elsewhere."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from headrace.exceptions import HistoryError
from headrace.file_systems import file_system, is_on_network

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["choose_mode", "has_wal_reset_bug", "reason"]

Version = tuple[int, int, int]


def has_wal_reset_bug(version: Version) -> bool:
    """Tell whether this version of SQLite can lose transactions in WAL mode.

    One connection that writes and another that checkpoints may meet in such a way that the database is damaged:
    https://sqlite.org/wal.html, "The WAL-reset bug". It came with 3.7.0 and went with 3.51.3, 3.50.7 and 3.44.6.
    """
    if version[:2] == (3, 44):
        return version < (3, 44, 6)
    if version[:2] == (3, 50):
        return version < (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3)


def choose_mode(path: Path, asked: str | None, version: Version = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode for a new database at ``path``, as SQLite names it.

    Raises HistoryError if WAL was ``asked`` for where it is not safe.
    """
    if asked == "rollback":
        return "truncate"
    against = reason(path, version)
    if against is None:
        return "wal"
    if asked == "wal":
        raise HistoryError(
            f"The history at {path} cannot use a write-ahead log: {against}.",
            hint="Leave out `mode=wal`: the history works with a rollback journal, too.",
        )
    return "truncate"


def reason(path: Path, version: Version = sqlite3.sqlite_version_info) -> str | None:
    """Return why a database at ``path`` has to do without a write-ahead log, or None if it has not."""
    if is_on_network(path.parent):
        return f"it is on a network file system ({file_system(path.parent) or 'UNC'}), where processes share no memory"
    if has_wal_reset_bug(version):
        shown = ".".join(map(str, version))
        return f"SQLite {shown} has the WAL-reset bug, which can lose transactions; 3.51.3 is the first without it"
    return None
