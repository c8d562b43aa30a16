"""What becomes of a journal whose owner died, wherever it was cut off."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from headrace.exceptions import HistoryDamagedError, HistoryError
from headrace.history.encoding import ENDED, encode_entered
from headrace.history.journal_files import make_journal
from headrace.history.owners import this_process
from headrace.history.recording import FileJournal
from headrace.testing.history._base import a_run, a_task, shown, succeed
from headrace_plugins.sqlite.store import SQLiteRunStore

HERE = this_process()


@pytest.fixture
def store(tmp_path: Path):
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        yield store


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "runs.db.live"


def abandoned(store: SQLiteRunStore, live: Path, *, ended: bool = False, count: int = 4) -> tuple[str, Path]:
    """Return a run and the journal of which the tables have nothing, as if its process had been killed at once."""
    run = a_run()
    journal = store.begin(run, [a_task()])
    file = live / f"{run.id}.journal"
    assert isinstance(journal, FileJournal)
    head = journal.file.start
    succeed(journal, 1)
    journal.expanded(0, count, 10.0)
    for index in range(count):
        succeed(journal, map_index=index)
    journal.flush()
    if ended:
        saved = file.read_bytes()[: journal.file.end]
        journal.ended("Failed", "as it was said", 12.0)
        file.write_bytes(saved + encode_entered(ENDED, "Failed", "as it was said", 12.0))
    else:
        journal.abandon()
    forget(store, run.id, head)
    return run.id, file


def forget(store: SQLiteRunStore, run_id: str, position: int) -> None:
    """Take everything out of the tables that came from the journal of a run."""
    connection = sqlite3.connect(store._places.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    (key,) = connection.execute("SELECT key FROM runs WHERE id = ?", (run_id,)).fetchone()
    for table in ("task_runs", "counts"):
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (key,))
    unended = "state = 'Running', message = NULL, started = NULL, ended = NULL, cause = NULL"
    connection.execute(f"UPDATE runs SET position = ?, {unended} WHERE key = ?", (position, key))
    connection.execute("COMMIT")
    connection.close()


def states(store: SQLiteRunStore, run_id: str) -> dict[tuple[int, int], str]:
    return {(node, index): state for node, index, state in shown(store, run_id)}


class TestTakingIn:
    def test_all_that_was_said_is_taken_in(self, store, live):
        run_id, _ = abandoned(store, live)
        (run,) = store.sweep()
        assert states(store, run_id) == {
            (0, -1): "Crashed",
            **{(0, index): "Success" for index in range(4)},
            (1, -1): "Success",
        }
        assert run.counts == {"Crashed": 1, "Success": 5}
        assert list(live.iterdir()) == []
        assert store.check() == []

    def test_wherever_it_was_cut_the_beginning_is_taken_in(self, store, live):
        run_id, file = abandoned(store, live)
        data = file.read_bytes()
        start = data.index(b"\n", data.index(b"\n") + 1) + 1
        succeeded = []
        for length in (*range(start, len(data), 7), len(data)):
            forget(store, run_id, start)
            file.write_bytes(data[:length])
            (run,) = store.sweep()
            found = states(store, run_id)
            assert run.state == "Crashed"
            assert set(found.values()) <= {"Crashed", "Success"}
            succeeded.append(sum(state == "Success" for state in found.values()))
            assert not file.exists()
            assert sum(run.counts.values()) == len(found)
        assert succeeded == sorted(succeeded)
        assert (succeeded[0], succeeded[-1]) == (0, 5)
        assert store.check() == []

    def test_taking_in_goes_on_where_somebody_else_stopped(self, store, live):
        """The tables say how far they go, in the same transaction."""
        run_id, file = abandoned(store, live)
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
        store.sweep()
        file.write_bytes(data)
        connection = sqlite3.connect(store._places.database, isolation_level=None)
        connection.execute("UPDATE runs SET ended = NULL, state = 'Running'")
        connection.close()
        (run,) = store.sweep()
        assert sum(state == "Success" for state in states(store, run_id).values()) >= 4
        assert sum(run.counts.values()) == len(states(store, run_id))
        assert store.check() == []

    def test_an_end_that_was_said_is_believed(self, store, live):
        run_id, _ = abandoned(store, live, ended=True)
        (run,) = store.sweep()
        assert (run.id, run.state, run.message, run.ended, run.cause) == (
            run_id,
            "Failed",
            "as it was said",
            12.0,
            None,
        )
        assert list(live.iterdir()) == []

    def test_a_journal_that_is_all_in_the_tables_just_goes(self, store, live):
        """Its process was killed after the last commit and before it could remove the file."""
        run_id, file = abandoned(store, live, ended=True)
        data = file.read_bytes()
        store.sweep()
        before = store.run(run_id)
        file.write_bytes(data)
        assert store.sweep() == ()
        assert store.run(run_id) == before
        assert list(live.iterdir()) == []

    def test_a_journal_of_a_run_that_never_began_just_goes(self, store, live):
        store.begin(a_run(), []).ended("Success", None, 12.0)
        make_journal(live, "never", HERE).close()
        assert store.sweep() == ()
        assert list(live.iterdir()) == []

    def test_a_journal_of_a_run_that_is_not_there_is_set_aside_if_it_says_anything(self, store, live):
        run_id, file = abandoned(store, live)
        data = file.read_bytes()
        store.sweep()
        store.delete(run_id)
        file.write_bytes(data)
        assert store.sweep() == ()
        assert [path.name for path in live.iterdir()] == [f"{run_id}.damaged"]

    def test_damage_is_said_and_kept(self, store, live):
        run_id, file = abandoned(store, live)
        data = bytearray(file.read_bytes())
        data[-20] ^= 1
        file.write_bytes(data)
        (run,) = store.sweep()
        assert run.message is not None
        assert f"{file} is damaged at byte" in run.message
        assert sum(state == "Success" for state in states(store, run_id).values()) == 4
        assert [path.read_bytes() for path in live.iterdir()] == [data]
        assert [finding.what for finding in store.check()] == [
            "This journal was set aside because a part of it could not be understood."
        ]

    def test_a_file_that_is_no_journal_stops_the_sweep_and_is_named(self, store, live):
        store.begin(a_run(), []).ended("Success", None, 12.0)
        (live / "a.journal").write_bytes(b"?")
        with pytest.raises(HistoryDamagedError, match=str(live / "a.journal")):
            store.sweep()
        assert store.repair()
        assert store.sweep() == ()


def as_owner(file: Path, **changes: object) -> None:
    """Let a journal say that somebody else has written it, and did not give it up."""
    form, said, rest = file.read_bytes().split(b"\n", 2)
    whose, _ = json.JSONDecoder().raw_decode(said.decode())
    whose["owner"].update(changes)
    file.write_bytes(b"\n".join((form, json.dumps(whose).encode(), rest)))


class TestCauses:
    def test_a_restart_is_told_from_a_kill(self, store, live):
        run_id, file = abandoned(store, live)
        as_owner(file, boot="an earlier one")
        # The tables count from the beginning of the file, which is longer now.
        forget(store, run_id, len(file.read_bytes()))
        (run,) = store.sweep()
        assert (run.cause, run.message) == ("restarted", "Its machine was restarted or lost power.")

    def test_what_its_process_gave_up_did_not_just_die(self, store, live):
        run_id, _ = abandoned(store, live)
        (run,) = store.sweep()
        assert (run.id, run.state, run.cause) == (run_id, "Crashed", "abandoned")
        assert run.message == "It was recorded no further. Its process gave it up."

    def test_what_kept_it_from_being_recorded_is_told(self, store, live):
        journal = store.begin(a_run(), [a_task()])
        assert isinstance(journal, FileJournal)
        journal.failure = HistoryError("The history at /x cannot be written: No space left on device.")
        journal.abandon()
        (run,) = store.sweep()
        assert (run.cause, run.message) == (
            "abandoned",
            "It was recorded no further. The history at /x cannot be written: No space left on device.",
        )

    def test_without_a_journal_nothing_is_known(self, store, live):
        run_id, file = abandoned(store, live)
        file.unlink()
        owned_by(store, boot="an earlier one")
        (run,) = store.sweep()
        assert (run.id, run.state, run.cause) == (run_id, "Crashed", "unknown")
        assert run.ended is not None

    def test_an_owner_that_lives_keeps_its_run_without_a_journal(self, store, live):
        run_id, file = abandoned(store, live)
        file.unlink()
        assert store.sweep() == ()
        assert store.is_alive(run_id) is True

    def test_of_an_owner_elsewhere_there_is_no_telling(self, store, live):
        run_id, file = abandoned(store, live)
        file.unlink()
        owned_by(store, boot="another", host="another")
        assert store.is_alive(run_id) is None
        assert store.sweep() == ()
        assert [run.id for run in store.sweep(foreign=True)] == [run_id]


def owned_by(store: SQLiteRunStore, **changes: str) -> None:
    connection = sqlite3.connect(store._places.database, isolation_level=None)
    connection.execute("UPDATE runs SET owner = ?", (json.dumps(asdict(replace(HERE, **changes))),))  # type: ignore[arg-type]
    connection.close()
