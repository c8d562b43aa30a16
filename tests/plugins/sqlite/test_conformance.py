"""The history in an SQLite file does what the contract says."""

from __future__ import annotations

from pathlib import Path

from headrace.testing.history import RunStoreConformance
from headrace_plugins.sqlite.store import SQLiteRunStore


class TestSQLite(RunStoreConformance):
    store_class = SQLiteRunStore

    def url(self, place: Path) -> str:
        return f"sqlite:{place}/runs.db"
