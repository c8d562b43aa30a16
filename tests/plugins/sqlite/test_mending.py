"""What `check` finds and `repair` puts right."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace.atomic import temporary_beside
from headrace.exceptions import HistoryError
from headrace.history import RunQuery
from headrace.testing.history._base import a_run, a_task, shown, succeed
from headrace_plugins.sqlite.store import SQLiteRunStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def store_at(path: Path) -> SQLiteRunStore:
    return SQLiteRunStore(f"sqlite:{path}")


def fill(path: Path, runs: int = 3, count: int = 400) -> list[str]:
    """Record some runs, and return their ids."""
    ids = []
    with store_at(path) as store:
        for _ in range(runs):
            run = a_run()
            journal = store.begin(run, [a_task()])
            for index in range(count):
                succeed(journal, map_index=index)
            journal.ended("Success", None, 12.0)
            ids.append(run.id)
    return ids


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


class TestTables:
    @pytest.mark.parametrize(
        ("table", "column"), [("task_runs", "message"), ("task_runs", "type_name"), ("tasks", "name"), ("runs", "name")]
    )
    def test_bytes_in_place_of_a_text_are_found_and_removed(self, path, table, column):
        fill(path, count=3)
        change(path, f"UPDATE {table} SET {column} = x'ff00' WHERE {'key' if table == 'runs' else 'run'} = 2")
        store = store_at(path)
        (finding,) = store.check()
        assert (finding.what, finding.repairable) == (
            f"{3 if table == 'task_runs' else 1} rows of {table!r} have bytes where a text should be.",
            True,
        )
        store.repair()
        assert store.check() == []
        assert len(list(store.runs())) == (2 if table in {"runs", "tasks"} else 3)

    def test_a_miscount_is_found_and_counted_anew(self, path):
        (run_id, *_) = fill(path)
        change(path, "UPDATE counts SET count = 7 WHERE run = 1")
        store = store_at(path)
        (finding,) = store.check()
        assert run_id in finding.what
        assert finding.repairable
        assert [done.what for done in store.repair()] == [
            "Removed what made no sense or belonged to no run, and counted the task runs anew."
        ]
        assert store.check() == []
        assert store.run(run_id).counts == {"Success": 400}

    def test_rows_without_a_run_are_found_and_removed(self, path):
        ids = fill(path)
        change(path, "DELETE FROM runs WHERE key = 2")
        store = store_at(path)
        assert any("belong to runs that are not there" in finding.what for finding in store.check())
        store.repair()
        assert store.check() == []
        assert [run.id for run in store.runs()] == [ids[2], ids[0]]


class TestFiles:
    @pytest.mark.parametrize("seed", range(6))
    def test_what_can_be_read_of_a_damaged_file_is_saved(self, path, tmp_path, seed):
        ids = fill(path, 4)
        randomness = random.Random(seed)
        data = bytearray(path.read_bytes())
        # Not the first page, which says what the tables are.
        for _ in range(3):
            position = randomness.randrange(4096, len(data) - 64)
            data[position : position + 64] = randomness.randbytes(64)
        path.write_bytes(data)
        store = store_at(path)
        if not store.check():
            return
        (saved, aside) = store.repair()
        assert store.check() == []
        assert Path(aside.place).read_bytes() == data
        assert "Saved what could be read of it" in saved.what
        # Three damaged pages are three of more than forty.
        found = sum(len(shown(store, run.id)) for run in store.runs(RunQuery(nested=True)))
        assert found > 0.5 * 1600
        assert {run.id for run in store.runs()} <= set(ids)

    def test_a_damaged_beginning_is_mended(self, path):
        ids = fill(path)
        data = bytearray(path.read_bytes())
        data[0:8] = b"????????"
        path.write_bytes(data)
        store = store_at(path)
        assert [finding.repairable for finding in store.check()] == [True]
        store.repair()
        assert store.check() == []
        assert [run.id for run in store.runs()] == ids[::-1]
        assert [len(shown(store, run_id)) for run_id in ids] == [400] * 3

    def test_a_truncated_file_keeps_what_comes_first(self, path):
        ids = fill(path, 6)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 3 // 4 // 4096 * 4096)
        store = store_at(path)
        assert store.check()
        store.repair()
        assert store.check() == []
        assert [run.id for run in store.runs()] == ids[::-1]
        assert sum(len(shown(store, run_id)) for run_id in ids) > 6 * 400 // 3

    def test_an_empty_file_is_set_aside(self, path):
        path.touch()
        store = store_at(path)
        assert [finding.repairable for finding in store.check()] == [True]
        store.repair()
        assert store.check() == []
        assert list(store.runs()) == []
        store.begin(a_run(), []).ended("Success", None, 12.0)

    def test_a_file_of_some_other_kind_is_not_touched(self, path):
        path.write_bytes(b"SQLite format 3\0")
        change(path.with_name("other.db"), "CREATE TABLE a (b)")
        path.write_bytes(path.with_name("other.db").read_bytes())
        before = path.read_bytes()
        store = store_at(path)
        assert [finding.repairable for finding in store.check()] == [False]
        assert store.repair() == []
        assert path.read_bytes() == before


class TestLeftovers:
    def test_what_a_killed_process_leaves_behind_is_found_and_removed(self, path, tmp_path):
        fill(path)
        for name in (".runs.db-00ff00ff.tmp", ".runs.db-00ff00ff.tmp-journal"):
            (tmp_path / name).touch()
        store = store_at(path)
        assert [finding.repairable for finding in store.check()] == [True, True]
        assert len(store.repair()) == 2
        assert store.check() == []
        assert not list(tmp_path.glob(".*"))

    def test_what_a_living_process_is_writing_is_left_alone(self, path, tmp_path):
        fill(path)
        ours = temporary_beside(path)
        (tmp_path / "runs.db.live").mkdir(exist_ok=True)
        for each in (ours, ours.with_name(f"{ours.name}-journal"), temporary_beside(tmp_path / "runs.db.live" / "x")):
            each.touch()
            os.utime(each, (0, 0))
        store = store_at(path)
        assert store.check() == []
        assert store.repair() == []
        assert ours.exists()

    def test_what_a_dead_process_was_writing_is_found_after_a_moment(self, path, tmp_path):
        fill(path)
        dead = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
        )
        left = tmp_path / f".runs.db-{int(dead.stdout)}-00ff00ff.tmp"
        left.touch()
        store = store_at(path)
        # It may be a process of another container, which cannot be seen from here.
        assert store.check() == []
        os.utime(left, (0, 0))
        assert [finding.place for finding in store.check()] == [str(left)]
        assert len(store.repair()) == 1

    def test_nothing_is_repaired_while_a_run_goes_on(self, path):
        fill(path)
        with store_at(path) as busy:
            journal = busy.begin(a_run(), [a_task()])
            with pytest.raises(HistoryError, match=r"cannot be repaired while the run of .* goes on"):
                store_at(path).repair()
            succeed(journal)
            journal.ended("Success", None, 12.0)
        assert store_at(path).repair() == []


def test_what_is_to_be_known_of_it_can_be_asked(path):
    assert store_at(path).facts()["file"] == str(path)
    fill(path)
    facts = store_at(path).facts()
    assert facts["SQLite"] == sqlite3.sqlite_version
    assert facts["journal mode"].startswith(("rollback journal", "write-ahead log"))
    assert facts["file system"]


def test_compacting_waits_for_those_who_write(tmp_path: Path) -> None:
    store = SQLiteRunStore(f"sqlite:{tmp_path}/runs.db")
    store.begin(a_run(), [a_task()]).ended("Success", None, 12.0)
    writing, over = threading.Event(), threading.Event()

    def write() -> None:
        connection = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        writing.set()
        over.wait(0.7)
        connection.execute("COMMIT")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    writing.wait()
    store.compact()
    writer.join()
    store.close()
