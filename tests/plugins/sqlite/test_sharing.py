"""Requests and limits in files beside the journals: what is left when something goes wrong, and what looking costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.history.journal_files import REQUEST_SUFFIX
from headrace.testing.history._base import a_run, a_task
from headrace_plugins.sqlite import statements
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import Places
from headrace_plugins.sqlite.store import SQLiteRunStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteRunStore]:
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        yield store


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "runs.db.live").iterdir())


class CountingDatabase(Database):
    """Counts how often somebody reads."""

    reads = 0

    def reader(self) -> Any:
        type(self).reads += 1
        return super().reader()


class CountingStore(SQLiteRunStore):
    def _make_database(self, places: Places) -> Database:
        return CountingDatabase(places)


class TestRequests:
    def test_one_goes_when_the_run_has_ended(self, store, tmp_path):
        run = a_run()
        journal = store.begin(run, [a_task()])
        store.request_cancel(run.id, "enough")
        assert f"{run.id}{REQUEST_SUFFIX}" in files(tmp_path)
        journal.ended("Cancelled", None, 12.0)
        assert files(tmp_path) == []

    def test_one_goes_when_a_dead_run_is_swept(self, store, tmp_path):
        run = a_run()
        journal = store.begin(run, [a_task()])
        store.request_cancel(run.id, "enough")
        journal.abandon()
        store.sweep()
        assert files(tmp_path) == []

    def test_one_that_nobody_hears_is_found_and_removed(self, store, tmp_path):
        store.begin(a_run(), [a_task()]).ended("Success", None, 12.0)
        (tmp_path / "runs.db.live" / f"gone{REQUEST_SUFFIX}").touch()
        (tmp_path / "runs.db.live" / ".half.tmp").touch()
        assert [finding.repairable for finding in store.check()] == [True, True]
        assert len(store.repair()) == 2
        assert files(tmp_path) == []


class TestLimits:
    def test_a_run_that_begins_knows_them_whatever_files_there_are(self, store, tmp_path):
        store.set_limit("api", 1)
        (tmp_path / "runs.db.live" / "limits").unlink()
        assert store.begin(a_run(), [a_task()]).limited_tags() == {"api"}

    def test_looking_for_what_has_not_changed_reads_nothing(self, tmp_path):
        with CountingStore(f"sqlite:{tmp_path}/runs.db") as store:
            store.set_limit("api", 1)
            journal = store.begin(a_run(), [a_task()])
            before = CountingDatabase.reads
            for _ in range(100):
                assert journal.limited_tags() == {"api"}
                assert journal.cancel_request() is None
            assert CountingDatabase.reads == before

    def test_slots_of_a_run_that_has_ended_are_found_and_given_up(self, store, tmp_path):
        store.set_limit("api", 1)
        journal = store.begin(a_run(), [a_task()])
        assert journal.take_slots(0, -1, ["api"])
        store.close()
        connection = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
        connection.execute("UPDATE runs SET ended = 12.0, state = 'Success'")
        connection.close()
        store.sweep()
        (finding,) = store.check()
        assert "still has a slot of 'api'" in finding.what
        store.repair()
        assert store.check() == []
        assert [limit.holders for limit in store.limits()] == [()]

    def test_limits_survive_a_repair(self, store, tmp_path):
        store.set_limit("api", 3)
        store.begin(a_run(), [a_task()]).ended("Success", None, 12.0)
        store.close()
        connection = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
        connection.execute("UPDATE counts SET count = 7")
        connection.execute("INSERT INTO counts VALUES (1, 'Failed', 5)")
        connection.close()
        store.repair()
        assert [(limit.tag, limit.slots) for limit in store.limits()] == [("api", 3)]

    def test_a_run_without_slots_looks_for_them_in_an_index(self, store):
        store.begin(a_run(), [a_task()])
        with store._database.reader() as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statements.TASK_RUNS_WITH_SLOTS}", (1,)).fetchall()
        assert [row[3] for row in plan] == ["SEARCH slots USING COVERING INDEX slots_by_task_run (run=?)"]
