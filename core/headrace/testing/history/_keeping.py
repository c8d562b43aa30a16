"""What a history promises to those who keep it small and sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import RunNotFoundError, RunOwnedError
from headrace.history import UNMAPPED, RunQuery, ValueRecord
from headrace.testing.history._base import RunStoreTests, a_run, a_task, shown, succeed

if TYPE_CHECKING:
    from headrace.abc import RunStore

__all__ = ["Keeping"]


class Keeping(RunStoreTests):
    """Runs can be forgotten, space given back, and the whole looked through."""

    def test_a_run_can_be_forgotten(self, store: RunStore, other: RunStore) -> None:
        """All that was recorded of it is gone, and of no other run."""
        kept, gone = a_run(), a_run()
        for run in (kept, gone):
            journal = store.begin(run, [a_task()])
            journal.attempted(0, UNMAPPED, 1, "Failed", None, 10.0, 11.0)
            journal.noted(0, UNMAPPED, "cache", "missed")
            succeed(journal)
            journal.ended("Success", None, 12.0)
        assert list(store.delete(gone.id)) == []
        with pytest.raises(RunNotFoundError):
            other.tasks(gone.id)
        assert [run.id for run in other.runs()] == [kept.id]
        assert shown(other, kept.id) == [(0, UNMAPPED, "Success")]
        assert len(other.attempts(kept.id, 0)) == len(other.notes(kept.id, 0)) == 1
        assert list(other.check()) == []

    def test_its_results_can_be_removed_unless_others_use_them(self, store: RunStore) -> None:
        """``delete`` names the locations that nothing else in the same result store refers to."""
        first = a_run(results="file:a")
        journal = store.begin(first, [a_task()])
        journal.attempted(0, 0, 1, "Failed", None, 10.0, 11.0, ValueRecord(location="attempt", is_exception=True))
        for number, location in enumerate(("own", "shared", "elsewhere")):
            succeed(journal, 0, number, value=ValueRecord(location=location))
        journal.ended("Failed", None, 12.0)
        second = a_run(results="file:a", resumed_from=first.id)
        earlier = [each for each in store.task_runs(first.id) if each.map_index == 1]
        store.begin(second, [a_task()], taken_over=earlier).ended("Success", None, 12.0)
        third = a_run(results="file:b")
        journal = store.begin(third, [a_task()])
        succeed(journal, value=ValueRecord(location="elsewhere"))
        journal.ended("Success", None, 12.0)
        assert sorted(store.delete(first.id)) == ["attempt", "elsewhere", "own"]
        assert list(store.delete(second.id)) == ["shared"]

    def test_all_locations_that_runs_refer_to_are_listed(self, store: RunStore, other: RunStore) -> None:
        """What is not among them nobody needs."""
        assert list(store.locations()) == []
        first = a_run()
        journal = store.begin(first, [a_task()])
        journal.attempted(0, 0, 1, "Failed", None, 10.0, 11.0, ValueRecord(location="attempt", is_exception=True))
        succeed(journal, 0, 0, value=ValueRecord(location="own"))
        journal.ended("Success", None, 12.0)
        inner = a_run(parent=first.id)
        journal = store.begin(inner, [a_task()])
        succeed(journal, value=ValueRecord(location="inside"))
        journal.flush()
        assert set(other.locations()) == {"attempt", "own", "inside"}
        journal.ended("Success", None, 12.0)
        store.delete(inner.id)
        assert set(other.locations()) == {"attempt", "own"}

    def test_a_history_goes_by_the_same_name_for_all_who_open_it(self, store: RunStore, other: RunStore) -> None:
        """Its results lie in a folder that is called after it."""
        project = Path("/nowhere/.headrace")
        assert store.place(project) == other.place(project)

    def test_a_run_that_goes_on_cannot_be_forgotten(self, store: RunStore, other: RunStore) -> None:
        """Nothing of it is gone."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for each in (store, other):
            with pytest.raises(RunOwnedError):
                each.delete(run.id)
        succeed(journal)
        journal.ended("Success", None, 12.0)
        assert shown(store, run.id) == [(0, UNMAPPED, "Success")]

    def test_a_dead_run_can_be_forgotten(self, store: RunStore, place: Path) -> None:
        """Nobody need have swept it."""
        store.delete(self.dead_run(place))
        assert list(store.runs()) == []
        assert list(store.sweep()) == []

    def test_runs_inside_of_a_forgotten_one_stay(self, store: RunStore) -> None:
        """They lose their parent."""
        outer = a_run()
        journal = store.begin(outer, [])
        inner = a_run(parent=outer.id)
        store.begin(inner, []).ended("Success", None, 11.0)
        journal.ended("Success", None, 12.0)
        store.delete(outer.id)
        assert [run.id for run in store.runs()] == [inner.id]
        assert list(store.runs(RunQuery(parent=outer.id))) == []

    def test_space_is_given_back(self, store: RunStore) -> None:
        """``compact`` makes the history smaller after much was forgotten."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for number in range(300):
            succeed(journal, map_index=number, value=ValueRecord(data=bytes(10_000)))
        journal.ended("Success", None, 12.0)
        full = store.size()
        assert full > 3_000_000
        store.delete(run.id)
        store.compact()
        assert store.size() < full / 2

    def test_a_sound_history_has_nothing_to_repair(self, store: RunStore) -> None:
        """``check`` finds nothing, and ``repair`` does nothing."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
        assert list(store.check()) == []
        journal.ended("Success", None, 12.0)
        assert (list(store.check()), list(store.repair())) == ([], [])
        assert shown(store, run.id) == [(0, UNMAPPED, "Success")]

    def test_a_dead_run_is_found_and_repaired(self, store: RunStore, place: Path) -> None:
        """``check`` names it and changes nothing, ``repair`` sweeps it."""
        run_id = self.dead_run(place)
        (finding,) = store.check()
        assert run_id in finding.what
        assert finding.repairable
        assert store.run(run_id).ended is None
        assert store.repair()
        assert store.run(run_id).state == "Crashed"
        assert list(store.check()) == []
