"""What a history promises of runs as a whole: how they begin and how they end."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import HistoryError
from headrace.history import UNMAPPED, TaskRunQuery
from headrace.testing.history._base import RunStoreTests, a_run, a_task, only, shown, succeed

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.abc import RunStore

__all__ = ["Ends"]


class Ends(RunStoreTests):
    """A run is there from its beginning, and all of it when it has ended."""

    def test_a_run_is_there_before_anything_of_it_runs(self, store: RunStore, other: RunStore) -> None:
        """``begin`` returns when others see the run, with all that was said of it."""
        outer = a_run(name="outer")
        store.begin(outer, [])
        run = a_run(parameters=b"\0p", parent=outer.id, results="file:results", task_count=2, details={"n": [1, None]})
        store.begin(run, [a_task(0), a_task(1)])
        found = other.run(run.id)
        assert found.owner is not None
        assert found == replace(run, state="Running", owner=found.owner, counts={})

    def test_a_run_says_who_drives_it(self, store: RunStore) -> None:
        """The owner is the process that began the run."""
        run = a_run()
        store.begin(run, [])
        owner = store.run(run.id).owner
        assert owner is not None
        assert owner.pid == os.getpid()

    def test_no_two_runs_have_one_id(self, store: RunStore, other: RunStore) -> None:
        """A second run of the same id is refused, and the first one is as it was."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for again in (store, other):
            with pytest.raises(HistoryError, match=run.id):
                again.begin(replace(run, name="impostor"), [a_task()])
        succeed(journal)
        journal.ended("Success", None, 12.0)
        with pytest.raises(HistoryError, match=run.id):
            store.begin(run, [a_task()])
        assert (store.run(run.id).name, store.run(run.id).counts) == (run.name, {"Success": 1})

    def test_it_starts_when_its_first_task_run_does(self, store: RunStore) -> None:
        """``started`` is None until then, and stays what it was."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        assert store.run(run.id).started is None
        journal.began(0, UNMAPPED, 1, 10.0)
        journal.flush()
        journal.began(1, UNMAPPED, 1, 20.0)
        journal.flush()
        assert store.run(run.id).started == 10.0

    def test_it_can_be_in_a_state_that_is_not_its_last(self, store: RunStore) -> None:
        """``entered`` changes the state of the run, which goes on."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.entered("Cancelling", "asked to", 12.0)
        journal.flush()
        found = store.run(run.id)
        assert (found.state, found.message, found.ended) == ("Cancelling", "asked to", None)

    def test_all_of_it_is_there_when_it_has_ended(self, store: RunStore, other: RunStore) -> None:
        """``ended`` returns when all can be read."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for number in range(500):
            succeed(journal, map_index=number)
        journal.ended("Failed", "some failed", 99.5)
        found = other.run(run.id)
        assert (found.state, found.message, found.ended, found.cause) == ("Failed", "some failed", 99.5, None)
        assert len(shown(other, run.id)) == 500

    def test_all_of_it_is_there_though_the_process_dies_at_once(self, store: RunStore, place: Path) -> None:
        """When ``ended`` has returned, nothing depends on what the process does afterwards."""
        with self.child(place, "end", count=300) as child:
            run_id = child.line()
            assert child.wait() == 0
        assert (store.run(run_id).state, len(shown(store, run_id))) == ("Success", 300)
        assert list(store.sweep()) == []

    def test_a_journal_that_has_ended_takes_nothing_more(self, store: RunStore) -> None:
        """After ``ended`` every call raises, and the run stays as it is."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.ended("Success", None, 12.0)
        with pytest.raises(HistoryError):
            journal.began(0, UNMAPPED, 1, 13.0)
        with pytest.raises(HistoryError):
            journal.ended("Failed", None, 13.0)
        journal.abandon()
        assert store.run(run.id).state == "Success"
        assert shown(store, run.id) == []

    def test_an_abandoned_run_is_one_whose_owner_died(self, store: RunStore) -> None:
        """``abandon`` gives a run out of our hands; what it had said is kept."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
        journal.began(1, UNMAPPED, 1, 12.0)
        journal.abandon()
        journal.abandon()
        assert store.is_alive(run.id) is False
        assert [swept.id for swept in store.sweep()] == [run.id]
        assert store.run(run.id).state == "Crashed"
        assert shown(store, run.id) == [(0, UNMAPPED, "Success"), (1, UNMAPPED, "Crashed")]

    def test_a_run_that_was_interrupted_again_is_cancelled(self, store: RunStore) -> None:
        """``abandon`` with a reason ends a run that was to end, and what ran then has crashed."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 12.0)
        journal.entered("Cancelling", None, 12.5)
        journal.abandon("It was interrupted again.")
        assert [swept.id for swept in store.sweep()] == [run.id]
        found = store.run(run.id)
        assert (found.state, found.message, found.cause) == ("Cancelled", "It was interrupted again.", "interrupted")
        assert shown(store, run.id) == [(0, UNMAPPED, "Crashed")]

    def test_closing_the_store_abandons_its_runs(self, store: RunStore, other: RunStore) -> None:
        """What they had said is in the store when ``close`` returns; the store can be used again."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
        store.close()
        store.close()
        assert only(other, run.id).state == "Success"
        assert other.is_alive(run.id) is False
        with pytest.raises(HistoryError):
            journal.began(1, UNMAPPED, 1, 12.0)
        assert store.run(run.id).id == run.id
        store.begin(a_run(), []).ended("Success", None, 12.0)

    def test_several_runs_go_on_at_once(self, store: RunStore) -> None:
        """Runs inside of runs, and runs on threads, are recorded side by side."""
        runs = [a_run(name=f"run {number}") for number in range(8)]

        def drive(number: int) -> None:
            journal = store.begin(runs[number], [a_task()])
            for index in range(200):
                succeed(journal, map_index=index)
            journal.ended("Success", None, 12.0)

        threads = [threading.Thread(target=drive, args=(number,)) for number in range(len(runs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.seconds)
        assert [store.run(run.id).counts for run in runs] == [{"Success": 200}] * len(runs)

    def test_readers_see_what_was_said_in_order(self, store: RunStore, other: RunStore) -> None:
        """While a run goes on, a task run is there only if all that was said before it is."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        seen = [0]
        for number in range(3000):
            succeed(journal, map_index=number)
            if number % 300 == 0:
                found = other.task_runs(run.id, TaskRunQuery(states=frozenset({"Success"})))
                indexes = [each.map_index for each in found]
                assert indexes == list(range(len(indexes)))
                seen.append(len(indexes))
        journal.ended("Success", None, 12.0)
        assert seen == sorted(seen)
        assert len(shown(other, run.id)) == 3000
