"""The history in an SQLite file does what the contract says, however SQLite writes."""

from __future__ import annotations

from pathlib import Path

from headrace.testing import RunStoreConformance
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import Places
from headrace_plugins.sqlite.store import SQLiteRunStore


class TestWithRollbackJournal(RunStoreConformance):
    store_class = SQLiteRunStore

    def url(self, place: Path) -> str:
        return f"sqlite:{place}/runs.db?mode=rollback"


class SoundSQLite(SQLiteRunStore):
    """Takes the SQLite here for one without the WAL-reset bug, whichever it is."""

    def _make_database(self, places: Places) -> Database:
        return Database(places, version=(3, 51, 3))


class TestWithWriteAheadLog(RunStoreConformance):
    store_class = SoundSQLite

    def url(self, place: Path) -> str:
        return f"sqlite:{place}/runs.db?mode=wal"
