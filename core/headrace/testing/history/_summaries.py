"""What a history promises to those who look at a run as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import RunNotFoundError
from headrace.history import UNMAPPED, Tally, ValueRecord, whole_runs
from headrace.testing.history._base import RunStoreTests, a_run, a_task, succeed

if TYPE_CHECKING:
    from headrace.abc import RunStore

__all__ = ["Summaries"]


class Summaries(RunStoreTests):
    """Runs with very many task runs are summed up, and read from beginning to end."""

    def test_children_are_counted_by_task_and_state(self, store: RunStore) -> None:
        """With the moments at which the first of them began and the last of them came into its state."""
        run = a_run()
        journal = store.begin(run, [a_task(0), a_task(1, mapped=True), a_task(2, mapped=True)])
        succeed(journal, 0)
        for node in (2, 1):
            journal.expanded(node, 3, 10.0)
        for number, (began, ended) in enumerate([(11.0, 14.0), (12.0, 13.0)]):
            journal.began(1, number, 1, began)
            journal.finished(1, number, 1, "Success", None, began, ended)
        journal.finished(1, 2, 1, "TriggerFailed", None, None, 15.0)
        journal.began(2, 0, 1, 16.0)
        journal.flush()
        found = [
            Tally(1, "Success", 2, 11.0, 14.0),
            Tally(1, "TriggerFailed", 1, None, 15.0),
            Tally(2, "Running", 1, 16.0, 16.0),
        ]
        assert list(store.tally(run.id)) == found
        assert whole_runs.tally(store, run.id) == found

    def test_the_slowest_children_are_those_whose_last_attempts_took_longest(self, store: RunStore) -> None:
        """What never began, or has not finished, is not among them."""
        run = a_run()
        journal = store.begin(run, [a_task(0, mapped=True), a_task(1, mapped=True)])
        for number, seconds in enumerate([1.0, 5.0, 3.0, 4.0]):
            journal.began(0, number, 1, 10.0)
            journal.finished(0, number, 1, "Success", None, 10.0, 10.0 + seconds)
        journal.finished(0, 4, 1, "Cancelled", None, None, 99.0)
        journal.began(0, 5, 1, 10.0)
        succeed(journal, 1, 0)
        journal.flush()
        assert [record.map_index for record in store.slowest(run.id, 0, 3)] == [1, 3, 2]
        assert whole_runs.slowest(store, run.id, 0, 3) == list(store.slowest(run.id, 0, 3))

    def test_earlier_attempts_and_remarks_are_read_from_beginning_to_end(self, store: RunStore) -> None:
        """By task and child, and those of one in the order in which they were said."""
        run, value = a_run(), ValueRecord(type_name="ValueError", is_exception=True)
        journal = store.begin(run, [a_task(0), a_task(1, mapped=True)])
        for node, number in ((1, 1), (1, 0), (0, UNMAPPED)):
            journal.began(node, number, 1, 10.0)
            for attempt in (1, 2):
                journal.attempted(node, number, attempt, "Failed", "no", 10.0, 11.0, value)
                journal.noted(node, number, "cache", f"look {attempt}")
        journal.flush()
        places = [(0, UNMAPPED), (1, 0), (1, 1)]
        attempts, notes = list(store.attempts_of_run(run.id)), list(store.notes_of_run(run.id))
        assert [record[:3] for record in attempts] == [(*place, n) for place in places for n in (1, 2)]
        assert attempts[0].value == value
        assert list(whole_runs.attempts_of_run(store, run.id)) == attempts
        assert [record[:2] for record in notes] == [place for place in places for _ in (1, 2)]
        assert [record.text for record in notes[:2]] == ["look 1", "look 2"]
        assert list(whole_runs.notes_of_run(store, run.id)) == notes

    def test_many_remarks_are_read_whole(self, store: RunStore) -> None:
        """However many there are of one task run."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 10.0)
        for number in range(5000):
            journal.noted(0, UNMAPPED, "test", str(number))
        journal.flush()
        assert [note.text for note in store.notes_of_run(run.id)] == [str(number) for number in range(5000)]

    def test_a_run_that_is_not_there_is_an_error(self, store: RunStore) -> None:
        """Nothing is summed up of what is not known."""
        store.begin(a_run(), [])
        with pytest.raises(RunNotFoundError):
            store.tally("nothing")
        with pytest.raises(RunNotFoundError):
            store.slowest("nothing", 0, 1)
        for look in (store.attempts_of_run, store.notes_of_run):
            with pytest.raises(RunNotFoundError):
                list(look("nothing"))
