"""What a history promises of runs that go on from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import RunNotFoundError, RunOwnedError
from headrace.history import UNMAPPED, TaskRunQuery, TaskRunRecord, ValueRecord
from headrace.testing.history._base import RunStoreTests, a_run, a_task, only, shown, succeed

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.abc import RunStore

__all__ = ["Resuming"]


class Resuming(RunStoreTests):
    """One run goes on from another, with what that one has finished."""

    def test_a_run_has_what_the_one_before_it_finished(self, store: RunStore, other: RunStore) -> None:
        """Task runs are taken over with their values, their places and their counts; unfinished ones are not."""
        first, second = a_run(), a_run()
        journal = store.begin(first, [a_task()])
        journal.expanded(0, 2, 10.0)
        succeed(journal, 0, 0, value=ValueRecord(data=b"zero"), details="{}")
        succeed(journal, 0, 1, value=ValueRecord(location="there", digest=b"d"))
        journal.began(1, UNMAPPED, 1, 10.0)
        journal.ended("Failed", None, 12.0)
        earlier = store.task_runs(first.id, TaskRunQuery(data=True))
        second = a_run(resumed_from=first.id)
        store.begin(second, [a_task()], taken_over=earlier)
        found = list(other.task_runs(second.id, TaskRunQuery(data=True)))
        assert found == [
            TaskRunRecord(
                0,
                0,
                1,
                "Success",
                None,
                10.0,
                11.0,
                value=ValueRecord(b"zero"),
                details="{}",
                taken_from=first.id,
            ),
            TaskRunRecord(
                0, 1, 1, "Success", None, 10.0, 11.0, value=ValueRecord(None, "there", b"d"), taken_from=first.id
            ),
        ]
        assert other.run(second.id).counts == {"Success": 2}
        assert (other.run(second.id).resumed_from, other.run(first.id).resumed_by) == (first.id, second.id)

    def test_what_turns_out_to_stay_is_taken_over_later(self, store: RunStore, other: RunStore) -> None:
        """``taken_over`` of a journal adds to what `RunStore.begin` was given, and counts as that does."""
        first = a_run()
        journal = store.begin(first, [a_task()])
        succeed(journal, 0, value=ValueRecord(b"zero"))
        succeed(journal, 1, value=ValueRecord(location="there", digest=b"d"))
        journal.ended("Failed", None, 12.0)
        stays, turns_out = (
            row._replace(taken_from=first.id) for row in store.task_runs(first.id, TaskRunQuery(data=True))
        )
        second = a_run(resumed_from=first.id)
        journal = store.begin(second, [a_task()], taken_over=[stays])
        journal.taken_over(turns_out)
        journal.ended("Success", None, 20.0)
        assert list(other.task_runs(second.id, TaskRunQuery(data=True))) == [stays, turns_out]
        run = other.run(second.id)
        assert (run.counts, run.started) == ({"Success": 2}, None)

    def test_who_did_the_work_is_known_after_several_resumptions(self, store: RunStore) -> None:
        """``taken_from`` names the run that ran the task, not the one it was taken over from last."""
        ids: list[str] = []
        for _ in range(3):
            run = a_run(resumed_from=ids[-1] if ids else None)
            earlier = store.task_runs(ids[-1]) if ids else ()
            journal = store.begin(run, [a_task()], taken_over=earlier)
            succeed(journal, len(ids))
            journal.ended("Failed", None, 12.0)
            ids.append(run.id)
        assert [each.taken_from for each in store.task_runs(ids[2])] == [ids[0], ids[1], None]

    def test_what_was_taken_over_is_final(self, store: RunStore) -> None:
        """A task run that was taken over stays as it is."""
        first = a_run()
        journal = store.begin(first, [a_task()])
        succeed(journal, value=ValueRecord(data=b"kept"))
        journal.ended("Failed", None, 12.0)
        second = a_run(resumed_from=first.id)
        earlier = list(store.task_runs(first.id, TaskRunQuery(data=True)))
        journal = store.begin(second, [a_task()], taken_over=earlier)
        journal.finished(0, UNMAPPED, 1, "Failed", None, None, 13.0)
        journal.flush()
        assert only(store, second.id).value == ValueRecord(data=b"kept")

    def test_a_run_that_goes_on_cannot_be_resumed(self, store: RunStore, other: RunStore) -> None:
        """Its owner lives; nothing of the new run is left."""
        first, second = a_run(), a_run()
        store.begin(first, [a_task()])
        second = a_run(resumed_from=first.id)
        with pytest.raises(RunOwnedError) as caught:
            other.begin(second, [a_task()])
        assert (caught.value.run_id, caught.value.by) == (first.id, first.id)
        with pytest.raises(RunNotFoundError):
            store.tasks(second.id)
        assert list(store.check()) == []

    def test_a_run_that_is_not_there_cannot_be_resumed(self, store: RunStore) -> None:
        """There is nothing to go on from."""
        with pytest.raises(RunNotFoundError):
            store.begin(a_run(resumed_from="nothing"), [])

    def test_a_dead_run_can_be_resumed_once_it_was_swept(self, store: RunStore, place: Path) -> None:
        """Until then what it had finished is not known."""
        dead = self.dead_run(place)
        with pytest.raises(RunOwnedError):
            store.begin(a_run(resumed_from=dead), [])
        store.sweep()
        run = a_run(resumed_from=dead)
        succeeded = store.task_runs(dead, TaskRunQuery(states=frozenset({"Success"})))
        store.begin(run, [a_task()], taken_over=succeeded)
        assert shown(store, run.id) == [(0, UNMAPPED, "Success")]

    def test_a_run_is_resumed_once(self, store: RunStore, other: RunStore) -> None:
        """The second one is told who was first; with ``again`` it may, once that has ended."""
        first, second = a_run(), a_run()
        store.begin(first, []).ended("Failed", None, 12.0)
        second = a_run(resumed_from=first.id)
        journal = store.begin(second, [])
        for again in (False, True):
            with pytest.raises(RunOwnedError) as caught:
                other.begin(a_run(resumed_from=first.id), [], again=again)
            assert caught.value.by == second.id
        journal.ended("Failed", None, 12.0)
        with pytest.raises(RunOwnedError):
            other.begin(a_run(resumed_from=first.id), [])
        third = a_run(resumed_from=first.id)
        other.begin(third, [], again=True)
        assert store.run(first.id).resumed_by == third.id

    def test_of_many_who_resume_at_once_one_does(self, store: RunStore, place: Path) -> None:
        """Processes that begin at the same moment have one owner between them."""
        first = a_run()
        store.begin(first, []).ended("Failed", None, 12.0)
        children = [self.child(place, "resume", origin=first.id) for _ in range(4)]
        try:
            for child in children:
                assert child.line() == "ready"
            for child in children:
                child.go_on()
            said = [child.line() for child in children]
        finally:
            for child in children:
                child.__exit__()
        assert said.count("RunOwnedError") == 3
        assert store.run(first.id).resumed_by in said
