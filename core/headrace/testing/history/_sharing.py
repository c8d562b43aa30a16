"""What a history promises of runs that have to do with others: requests to cancel them, and limits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import HistoryError, RunEndedError, RunNotFoundError
from headrace.history import UNMAPPED, LimitRecord
from headrace.testing.history._base import RunStoreTests, a_run, a_task

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.abc import RunJournal, RunStore

__all__ = ["Sharing"]


def held(store: RunStore) -> list[tuple[str, int]]:
    """Return who holds slots, by tag and map index."""
    return [(limit.tag, holder.map_index) for limit in store.limits() for holder in limit.holders]


def finish(journal: RunJournal, map_index: int) -> None:
    """Say that a child has come to an end, and wait until that is there."""
    journal.finished(0, map_index, 1, "Success", None, 10.0, 11.0)
    journal.flush()


class Sharing(RunStoreTests):
    """A run hears that it is to end, and slots are held by those who run and by nobody else."""

    def test_a_run_hears_that_it_is_to_end(self, store: RunStore, other: RunStore) -> None:
        """From whoever asks, with the reason, and no other run does."""
        run, second = a_run(), a_run()
        journal, unconcerned = store.begin(run, [a_task()]), store.begin(second, [a_task()])
        assert journal.cancel_request() is None
        other.request_cancel(run.id, "not now: naïve\nthing")
        assert (journal.cancel_request(), unconcerned.cancel_request()) == ("not now: naïve\nthing", None)
        other.request_cancel(second.id)
        assert unconcerned.cancel_request() == ""
        journal.ended("Cancelled", None, 12.0)
        assert list(other.check()) == []

    def test_a_run_in_another_process_hears_it(self, store: RunStore, place: Path) -> None:
        """Within half a second."""
        with self.child(place, "listen") as child:
            run_id = child.line()
            store.request_cancel(run_id, "enough")
            began = time.monotonic()
            assert child.line() == "enough"
            assert time.monotonic() - began < 0.5
            assert child.wait() == 0
        assert store.run(run_id).state == "Cancelled"

    def test_only_a_run_that_goes_on_can_be_asked_to_end(self, store: RunStore, place: Path) -> None:
        """One that has ended, one whose owner died and one that is not there cannot."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.ended("Success", None, 12.0)
        with pytest.raises(RunEndedError, match="Success"):
            store.request_cancel(run.id)
        with pytest.raises(RunEndedError, match="Crashed"):
            store.request_cancel(self.dead_run(place))
        with pytest.raises(RunNotFoundError):
            store.request_cancel("nowhere")
        assert list(store.check()) == []

    def test_limits_are_listed(self, store: RunStore, other: RunStore) -> None:
        """As they were set last, by tag; also where no run was recorded yet."""
        assert list(store.limits()) == []
        for tag, slots in (("wide", 9), ("gone", 1), ("api", 3), ("wide", 2), ("gone", None), ("gone", None)):
            store.set_limit(tag, slots)
        assert list(other.limits()) == [LimitRecord("api", 3), LimitRecord("wide", 2)]
        with pytest.raises(HistoryError, match="-1"):
            store.set_limit("api", -1)
        assert list(store.runs()) == []

    def test_runs_see_which_tags_are_limited(self, store: RunStore, other: RunStore) -> None:
        """From the beginning, and within a second of a change."""
        other.set_limit("api", 1)
        journal = store.begin(a_run(), [a_task()])
        assert journal.limited_tags() == {"api"}
        other.set_limit("api", None)
        other.set_limit("disk", 0)
        deadline = time.monotonic() + 1.0
        while journal.limited_tags() != {"disk"}:
            assert time.monotonic() < deadline, "a limit was not seen for a second"
            time.sleep(0.01)

    def test_no_more_run_than_there_are_slots(self, store: RunStore, other: RunStore) -> None:
        """A slot goes to the next one when it is given up."""
        store.set_limit("api", 2)
        first, second = store.begin(a_run(), [a_task()]), other.begin(a_run(), [a_task()])
        assert first.take_slots(0, 0, ["api", "unlimited"])
        assert second.take_slots(0, 1, ["api"])
        assert not first.take_slots(0, 2, ["api"])
        assert held(store) == [("api", 0), ("api", 1)]
        finish(second, 1)
        assert first.take_slots(0, 2, ["api"])
        assert held(store) == [("api", 0), ("api", 2)]

    def test_it_is_known_who_holds_a_slot(self, store: RunStore, other: RunStore) -> None:
        """With the task run, and since when."""
        run, before = a_run(), time.time()
        store.set_limit("api", 2)
        assert store.begin(run, [a_task()]).take_slots(0, UNMAPPED, ["api"])
        ((tag, slots, (holder,)),) = other.limits()
        assert (tag, slots) == ("api", 2)
        assert holder[:4] == ("api", run.id, 0, UNMAPPED)
        assert before <= holder.since <= time.time()

    def test_a_tag_without_a_limit_needs_no_slot(self, store: RunStore) -> None:
        """Nothing is held of it, not even when a limit is set later."""
        journal = store.begin(a_run(), [a_task()])
        assert journal.take_slots(0, 0, ["api"])
        store.set_limit("api", 1)
        assert held(store) == []
        assert journal.take_slots(0, 1, ["api"])

    def test_it_is_all_or_nothing(self, store: RunStore) -> None:
        """Who has no slot of one tag holds none of another."""
        store.set_limit("api", 1)
        store.set_limit("disk", 1)
        journal = store.begin(a_run(), [a_task()])
        assert journal.take_slots(0, 0, ["disk"])
        assert not journal.take_slots(0, 1, ["api", "disk"])
        assert held(store) == [("disk", 0)]
        # He who cannot begin keeps nobody waiting who can.
        assert journal.take_slots(0, 2, ["api"])
        finish(journal, 2)
        finish(journal, 0)
        assert journal.take_slots(0, 1, ["api", "disk"])
        assert held(store) == [("api", 1), ("disk", 1)]

    def test_who_came_first_is_served_first(self, store: RunStore, other: RunStore) -> None:
        """Whoever asks first after a slot was given up."""
        store.set_limit("api", 1)
        first, second = store.begin(a_run(), [a_task()]), other.begin(a_run(), [a_task()])
        assert first.take_slots(0, 0, ["api"])
        assert not second.take_slots(0, 1, ["api"])
        assert not first.take_slots(0, 2, ["api"])
        finish(first, 0)
        assert not first.take_slots(0, 2, ["api"])
        assert second.take_slots(0, 1, ["api"])

    def test_a_limit_may_change_while_others_wait(self, store: RunStore) -> None:
        """More may begin after it was raised; those that run finish after it was lowered, and none begins."""
        store.set_limit("api", 0)
        journal = store.begin(a_run(), [a_task()])
        assert not journal.take_slots(0, 0, ["api"])
        store.set_limit("api", 2)
        assert journal.take_slots(0, 0, ["api"])
        assert journal.take_slots(0, 1, ["api"])
        store.set_limit("api", 1)
        assert held(store) == [("api", 0), ("api", 1)]
        finish(journal, 0)
        assert not journal.take_slots(0, 2, ["api"])
        finish(journal, 1)
        assert journal.take_slots(0, 2, ["api"])
        assert not journal.take_slots(0, 3, ["api"])
        store.set_limit("api", None)
        assert journal.take_slots(0, 3, ["api"])

    def test_who_waits_holds_no_slot(self, store: RunStore) -> None:
        """A retry gives its slot back, also if it is said that it waits for one before that was written."""
        store.set_limit("api", 1)
        journal = store.begin(a_run(), [a_task()])
        journal.waiting(0, 0, 1, "Queued", None, 9.0)
        assert journal.take_slots(0, 0, ["api"])
        journal.began(0, 0, 1, 10.0)
        journal.flush()
        assert held(store) == [("api", 0)]
        journal.attempted(0, 0, 1, "Failed", None, 10.0, 11.0)
        journal.waiting(0, 0, 2, "Retrying", None, 11.0, 12.0)
        journal.waiting(0, 0, 2, "Queued", None, 12.0)
        assert journal.take_slots(0, 1, ["api"])
        assert not journal.take_slots(0, 0, ["api"])
        assert held(store) == [("api", 1)]

    def test_who_has_finished_gets_no_slot(self, store: RunStore) -> None:
        """One that was cancelled while it asked is not in line either."""
        store.set_limit("api", 1)
        journal = store.begin(a_run(), [a_task()])
        assert journal.take_slots(0, 0, ["api"])
        assert not journal.take_slots(0, 1, ["api"])
        journal.finished(0, 1, 1, "Cancelled", None, None, 11.0)
        assert not journal.take_slots(0, 1, ["api"])
        assert not journal.take_slots(0, 2, ["api"])
        finish(journal, 0)
        assert not journal.take_slots(0, 1, ["api"])
        assert journal.take_slots(0, 2, ["api"])

    def test_a_run_that_has_ended_holds_nothing(self, store: RunStore, other: RunStore) -> None:
        """Whatever became of its task runs."""
        store.set_limit("api", 1)
        run = a_run()
        journal = store.begin(run, [a_task()])
        assert journal.take_slots(0, 0, ["api"])
        waiting = other.begin(a_run(), [a_task()])
        assert not waiting.take_slots(0, 1, ["api"])
        assert not journal.take_slots(0, 2, ["api"])
        journal.ended("Success", None, 12.0)
        assert held(store) == []
        assert waiting.take_slots(0, 1, ["api"])
        store.delete(run.id)
        assert list(store.check()) == []

    def test_an_abandoned_run_holds_nothing(self, store: RunStore, other: RunStore) -> None:
        """Its slot goes to the next one who asks."""
        store.set_limit("api", 1)
        journal, waiting = store.begin(a_run(), [a_task()]), other.begin(a_run(), [a_task()])
        assert journal.take_slots(0, 0, ["api"])
        assert not waiting.take_slots(0, 1, ["api"])
        journal.abandon()
        assert waiting.take_slots(0, 1, ["api"])

    def test_a_killed_process_holds_nothing(self, store: RunStore, place: Path) -> None:
        """Within a second its slot and its place in line belong to others, and nobody need sweep."""
        store.set_limit("api", 1)
        journal = store.begin(a_run(), [a_task()])
        with self.child(place, "hold", tag="api") as holder, self.child(place, "hold", tag="api") as waiter:
            for child, got in ((holder, "True"), (waiter, "False")):
                child.go_on()
                assert child.line() == got
            assert not journal.take_slots(0, 0, ["api"])
            waiter.kill()
            holder.kill()
            deadline = time.monotonic() + 1.0
            while not journal.take_slots(0, 0, ["api"]):
                assert time.monotonic() < deadline, "the slot of a dead process was kept for a second"
                time.sleep(0.02)
        assert held(store) == [("api", 0)]
        assert list(store.check()) == []

    def test_of_many_who_ask_at_once_as_many_begin_as_may(self, store: RunStore, place: Path) -> None:
        """In processes and in threads."""
        store.set_limit("api", 2)
        children = [self.child(place, "hold", tag="api") for _ in range(3)]
        try:
            for child in children:
                child.go_on()
            journal = store.begin(a_run(), [a_task()])
            answers: list[bool] = []
            threads = [
                threading.Thread(target=lambda i=i: answers.append(journal.take_slots(0, i, ["api"]))) for i in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(self.seconds)
            found = [child.line() == "True" for child in children]
            assert sum(answers) + sum(found) == 2
            assert len(held(store)) == 2
        finally:
            for child in children:
                child.__exit__()
