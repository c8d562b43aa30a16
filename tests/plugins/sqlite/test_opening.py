"""What is wrong with a file or its folder is said, and never made good in silence."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from headrace.exceptions import (
    HistoryDamagedError,
    HistoryError,
    HistoryVersionError,
)
from headrace.testing.history._base import a_run, a_task, shown, succeed
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import places_of
from headrace_plugins.sqlite.schema import FORMS, VERSION
from headrace_plugins.sqlite.store import SQLiteRunStore

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def can_be_nobody() -> bool:
    """Tell whether this process may become another user, who can import what the tests need from where it is."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    code = "import headrace.testing.history._base, headrace_plugins.sqlite.store"
    return not subprocess.run([*AS_NOBODY, sys.executable, "-c", code], capture_output=True, check=False).returncode


needs_unprivileged = pytest.mark.skipif(not can_be_nobody(), reason="needs to be another user, who can import headrace")

# Says what comes of beginning a run, of listing runs, and of sweeping.
TRY = """
import sys
from headrace.exceptions import HistoryError
from headrace.testing.history._base import a_run
from headrace_plugins.sqlite.store import SQLiteRunStore
store = SQLiteRunStore("sqlite:" + sys.argv[1])
for call in (lambda: store.begin(a_run(), []), lambda: len(list(store.runs())), store.sweep):
    try:
        print(call())
    except HistoryError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def store_at(path: Path) -> SQLiteRunStore:
    return SQLiteRunStore(f"sqlite:{path}")


def record(path: Path, count: int = 10) -> str:
    """Record a run, and return its id."""
    run = a_run()
    with store_at(path) as store:
        journal = store.begin(run, [a_task()])
        for index in range(count):
            succeed(journal, map_index=index)
        journal.ended("Success", None, 12.0)
    return run.id


def every_call(path: Path):
    """Return calls of all the ways into a store."""
    store = store_at(path)
    return {
        "begin": lambda: store.begin(a_run(), []),
        "runs": lambda: list(store.runs()),
        "run": lambda: store.run("latest"),
        "sweep": store.sweep,
        "compact": store.compact,
        "delete": lambda: store.delete("0"),
    }


def said_by(call: Callable[[], Iterable[object]]) -> str | None:
    """Return what a call says that raises an error of headrace's own."""
    try:
        list(call())
    except HistoryError as error:
        return str(error)
    return None


class TestBadFiles:
    @pytest.mark.parametrize("name", every_call(Path("unused")))
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is an empty file, which headrace never writes"),
            (b"not a database at all, but long enough to be read as one" * 100, "is no SQLite database"),
            (b"SQLite format 3\0" + bytes(84), "is no SQLite database"),
        ],
        ids=["empty", "text", "header"],
    )
    def test_a_file_that_is_no_database_stays_as_it_is(self, path, name, content, said):
        path.write_bytes(content)
        with pytest.raises(HistoryDamagedError) as caught:
            every_call(path)[name]()
        assert said in str(caught.value)
        assert str(path) in str(caught.value)
        assert caught.value.hint
        assert path.read_bytes() == content

    def test_a_database_of_another_program_stays_as_it_is(self, path):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE runs (id)")
        connection.close()
        before = path.read_bytes()
        for call in every_call(path).values():
            with pytest.raises(HistoryError, match=f"{path} is an SQLite database of some other program"):
                call()
        assert path.read_bytes() == before

    def test_a_folder_in_its_place_is_named(self, path):
        path.mkdir()
        for call in every_call(path).values():
            with pytest.raises(HistoryError, match=f"should be a file, and {path} is a folder"):
                call()

    def test_a_truncated_file_is_damaged(self, path):
        record(path, 2000)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(HistoryDamagedError, match=f"{path} is damaged"), store_at(path) as store:
            store.begin(a_run(), [])
        assert store_at(path).check()

    def test_flipped_bits_are_never_a_traceback_of_sqlite(self, path):
        run_id = record(path, 500)
        sound = path.read_bytes()
        for position in range(20, len(sound), len(sound) // 150):
            damaged = bytearray(sound)
            damaged[position] ^= 0xFF
            path.write_bytes(damaged)
            store = store_at(path)
            for call in (partial(shown, store, run_id), store.runs, store.sweep, store.check):
                assert str(path) in (said_by(call) or str(path))

    def test_a_later_form_is_refused_with_advice(self, path):
        record(path)
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.close()
        before = path.read_bytes()
        for call in every_call(path).values():
            with pytest.raises(HistoryVersionError, match=f"has form {VERSION + 1}.*Update headrace") as caught:
                call()
            assert (caught.value.found, caught.value.known) == (VERSION + 1, VERSION)
        assert path.read_bytes() == before
        assert [finding.repairable for finding in store_at(path).check()] == [False]

    def test_a_file_that_is_removed_meanwhile_is_not_made_again(self, path):
        with store_at(path) as store:
            journal = store.begin(a_run(), [a_task()])
            path.unlink()
            with pytest.raises(HistoryError, match=f"{path}"):
                for index in range(100):
                    succeed(journal, map_index=index)
                    journal.flush()
            journal.abandon()
        assert not path.exists()


class TestBadFolders:
    def test_a_missing_folder_is_named_and_not_made(self, tmp_path):
        path = tmp_path / "none" / "runs.db"
        with pytest.raises(HistoryError, match=f"{tmp_path / 'none'} does not exist"):
            store_at(path).begin(a_run(), [])
        assert list(store_at(path).runs()) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_place_of_the_folder_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        for call in every_call(tmp_path / "file" / "runs.db").values():
            with pytest.raises(HistoryError, match=str(tmp_path / "file")):
                call()

    @needs_unprivileged
    def test_what_may_not_be_written_can_still_be_read(self, tmp_path):
        folder = tmp_path / "a"
        folder.mkdir()
        record(folder / "runs.db")
        let_others_in(folder)
        for each in folder.iterdir():
            each.chmod(0o755 if each.is_dir() else 0o644)
        begun, listed, swept = tried(folder / "runs.db")
        assert begun.startswith("HistoryError")
        assert str(folder) in begun
        assert (listed, swept) == ("1", "()")

    @needs_unprivileged
    def test_what_may_not_be_read_is_named(self, tmp_path):
        folder = tmp_path / "a"
        folder.mkdir()
        record(folder / "runs.db")
        let_others_in(tmp_path)
        folder.chmod(0o700)
        for said in tried(folder / "runs.db"):
            assert said.startswith("HistoryError")
            assert str(folder) in said


def let_others_in(folder: Path) -> None:
    """Let everybody look into a folder of this test, and into those around it that the tests of this run are in."""
    for each in (folder, *folder.parents):
        each.chmod(0o755)
        if each.name.startswith("pytest-of-"):
            return


def tried(path: Path) -> list[str]:
    """Return what comes of the calls in `TRY` for a user who owns nothing."""
    paths = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", TRY, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.stdout.splitlines()


class TestMaking:
    def test_nothing_is_left_beside_it(self, tmp_path, path):
        record(path)
        assert {each.name for each in tmp_path.iterdir()} <= {"runs.db", "runs.db.live", "runs.db-journal"}
        assert list((tmp_path / "runs.db.live").iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="permissions are not like that there")
    def test_nobody_else_may_read_it(self, path):
        record(path)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_all_who_make_it_at_once_have_the_same(self, path):
        ready = threading.Barrier(6)
        found: list[str] = []

        def make() -> None:
            ready.wait()
            found.append(record(path))

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {run.id for run in store_at(path).runs()} == set(found)
        assert len(found) == 6

    def test_a_transaction_that_was_cut_off_is_undone_by_whoever_looks(self, tmp_path, path):
        """A writer that is killed while it commits leaves a journal behind, which a reader cannot roll back itself."""
        run_id = record(path, 3000)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE task_runs SET message = hex(randomblob(100))")
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{path}{suffix}", tmp_path / f"copy.db{suffix}")
        connection.rollback()
        connection.close()
        assert (tmp_path / "copy.db-journal").stat().st_size > 0
        store = store_at(tmp_path / "copy.db")
        assert {each.message for each in store.task_runs(run_id)} == {None}
        assert store.check() == []


class TestForms:
    later: ClassVar[Mapping[int, Sequence[str]]] = {
        **FORMS,
        VERSION + 1: ("ALTER TABLE runs ADD COLUMN colour TEXT", "UPDATE runs SET colour = 'red'"),
    }

    def at(self, path: Path, forms=None) -> Database:
        return Database(places_of(f"sqlite:{path}"), self.later if forms is None else forms)

    def colours(self, path: Path) -> list[str]:
        with self.at(path).reader() as connection:
            return [colour for (colour,) in connection.execute("SELECT colour FROM runs")]

    def test_an_older_file_gets_the_new_form_and_a_copy_is_kept(self, tmp_path, path):
        run_id = record(path)
        assert self.colours(path) == ["red"]
        backup = tmp_path / f"runs.db.form{VERSION}"
        assert shown(store_at(backup), run_id) == [(0, index, "Success") for index in range(10)]

    def test_a_form_that_cannot_be_reached_leaves_the_old_one(self, path):
        record(path)
        broken = {**self.later, VERSION + 2: ("ALTER TABLE nothing ADD COLUMN colour TEXT",)}
        with pytest.raises(HistoryError, match=str(path)):
            self.at(path, broken).writer()
        assert len(list(store_at(path).runs())) == 1

    def test_of_several_who_open_it_at_once_one_changes_it(self, path):
        record(path)
        colours: list[str] = []
        threads = [threading.Thread(target=lambda: colours.extend(self.colours(path))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert colours == ["red"] * 6

    def test_one_that_is_killed_amid_the_change_leaves_the_old_form_or_the_new_one(self, tmp_path, path):
        record(path, 3000)
        shutil.copyfile(path, tmp_path / "old.db")
        for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04):
            shutil.copyfile(tmp_path / "old.db", path)
            with subprocess.Popen(
                [sys.executable, "-c", CHANGE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                threading.Event().wait(delay)
                process.kill()
            assert self.colours(path) == ["red"]
            with self.at(path).reader() as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


CHANGE = f"""
import sys
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import places_of
from headrace_plugins.sqlite.schema import FORMS
later = {{**FORMS, {VERSION} + 1: ("ALTER TABLE runs ADD COLUMN colour TEXT", "UPDATE runs SET colour = 'red'",
    "UPDATE task_runs SET message = hex(randomblob(50))", "UPDATE task_runs SET message = NULL")}}
database = Database(places_of("sqlite:" + sys.argv[1]), later)
print("ready", flush=True)
database.writer()
"""
