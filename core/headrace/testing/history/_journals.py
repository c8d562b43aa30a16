"""What `headrace.abc.RunJournal` promises of task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.exceptions import HistoryError
from headrace.history import (
    UNMAPPED,
    EdgeRecord,
    NoteRecord,
    TaskRunQuery,
    TaskRunRecord,
    ValueRecord,
)
from headrace.testing.history._base import RunStoreTests, a_run, a_task, only, shown, succeed

if TYPE_CHECKING:
    from headrace.abc import RunStore

__all__ = ["Journals"]

# Texts that something on the way may not take. Lone surrogates come out of file names; no encoding has them.
_TEXTS = ("", "plain", "naïve 日本 🚀", "a\0b", "lone \udc80", "x" * 100_000)
_ESCAPED = str.maketrans({"\0": "\\x00", "\udc80": "\\udc80"})


class Journals(RunStoreTests):
    """What is said of task runs is found as it was said."""

    def test_a_task_run_that_began_is_running(self, store: RunStore, other: RunStore) -> None:
        """``began`` records the attempt and its moment."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 10.5)
        journal.flush()
        expected = TaskRunRecord(0, UNMAPPED, 1, "Running", None, 10.5, 10.5)
        assert only(other, run.id) == expected

    def test_a_task_run_that_finished_has_its_value(self, store: RunStore, other: RunStore) -> None:
        """``finished`` records the state, its moments and the value, byte by byte."""
        run, value = a_run(), ValueRecord(b"\0sealed\xff", None, None, "pickle", "builtins.int", 6)
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 10.5)
        journal.finished(0, UNMAPPED, 1, "Success", "fine", 10.5, 11.25, value, '{"more": 1}')
        journal.flush()
        expected = TaskRunRecord(0, UNMAPPED, 1, "Success", "fine", 10.5, 11.25, value=value, details='{"more": 1}')
        assert only(other, run.id) == expected
        assert only(other, run.id).is_finished

    @pytest.mark.parametrize(
        "value",
        [
            ValueRecord(),
            ValueRecord(data=b""),
            ValueRecord(location="etl/1/task.result", digest=b"\1" * 32, serializer="pickle", size=2**40),
            ValueRecord(data=b"traceback", type_name="builtins.KeyError", is_exception=True),
        ],
    )
    def test_values_of_all_sorts_come_back(self, store: RunStore, value: ValueRecord) -> None:
        """Nothing and no value, an empty one and none, are not the same."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal, value=value)
        succeed(journal, node=1)
        journal.flush()
        assert only(store, run.id).value == value
        assert only(store, run.id, 1).value is None

    @pytest.mark.parametrize("text", _TEXTS, ids=range(len(_TEXTS)))
    def test_texts_of_all_sorts_come_back(self, store: RunStore, text: str) -> None:
        """Messages, details and remarks are any text; a character that cannot be stored comes back as its escape."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.finished(0, UNMAPPED, 1, "Failed", text, None, 11.0, None, text)
        journal.noted(0, UNMAPPED, "cache", text)
        journal.ended("Failed", text, 12.0)
        found = only(store, run.id)
        assert found.message in {text, text.translate(_ESCAPED)}
        assert (found.details, store.run(run.id).message) == (found.message, found.message)
        assert list(store.notes(run.id, 0)) == [NoteRecord(0, UNMAPPED, "cache", found.message)]

    def test_a_large_value_comes_back(self, store: RunStore) -> None:
        """A value of several megabytes is taken down as a whole."""
        run, data = a_run(), bytes(range(256)) * 20_000
        journal = store.begin(run, [a_task()])
        succeed(journal, value=ValueRecord(data=data))
        succeed(journal, node=1)
        journal.flush()
        assert only(store, run.id).value == ValueRecord(data=data)
        assert shown(store, run.id) == [(0, UNMAPPED, "Success"), (1, UNMAPPED, "Success")]

    def test_a_task_run_that_waits_says_until_when(self, store: RunStore) -> None:
        """``waiting`` records the next attempt and the moment, or that there is none."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 10.0)
        journal.waiting(0, UNMAPPED, 2, "Retrying", "in a while", 11.0, 71.0)
        journal.waiting(1, UNMAPPED, 1, "Paused", None, 11.0)
        journal.flush()
        retrying, paused = only(store, run.id), only(store, run.id, 1)
        assert (retrying.attempt, retrying.state, retrying.until) == (2, "Retrying", 71.0)
        assert (paused.state, paused.until, paused.is_finished) == ("Paused", None, False)

    def test_a_loop_keeps_what_it_came_to(self, store: RunStore) -> None:
        """A Looped task run is not finished, and has a value and details."""
        run, value = a_run(), ValueRecord(data=b"41")
        journal = store.begin(run, [a_task()])
        journal.waiting(0, UNMAPPED, 1, "Looped", None, 11.0, None, value, '{"loop_count": 3}')
        journal.flush()
        found = only(store, run.id)
        assert (found.state, found.value, found.details, found.is_finished) == (
            "Looped",
            value,
            '{"loop_count": 3}',
            False,
        )

    def test_earlier_attempts_are_listed_in_order(self, store: RunStore) -> None:
        """``attempted`` records how an attempt ended, with what it raised."""
        run, error = a_run(), ValueRecord(data=b"oh", is_exception=True)
        journal = store.begin(run, [a_task()])
        for attempt in (1, 2):
            journal.began(0, 3, attempt, 10.0 * attempt)
            journal.attempted(0, 3, attempt, "TimedOut", f"number {attempt}", 10.0 * attempt, 15.0 * attempt, error)
            journal.waiting(0, 3, attempt + 1, "Retrying", None, 15.0 * attempt)
        journal.flush()
        found = store.attempts(run.id, 0, 3)
        assert [(each.attempt, each.state, each.message) for each in found] == [
            (1, "TimedOut", "number 1"),
            (2, "TimedOut", "number 2"),
        ]
        assert [(each.started, each.ended, each.value) for each in found] == [(10.0, 15.0, error), (20.0, 30.0, error)]
        assert list(store.attempts(run.id, 0)) == []

    def test_remarks_are_kept_in_order(self, store: RunStore) -> None:
        """``noted`` adds a remark and leaves the task run as it is."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
        for text in ("second", "first", "second"):
            journal.noted(0, UNMAPPED, "trigger", text)
        journal.flush()
        assert [note.text for note in store.notes(run.id, 0)] == ["second", "first", "second"]
        assert only(store, run.id).state == "Success"

    def test_the_number_of_children_is_known_before_the_first_one(self, store: RunStore) -> None:
        """A map that was expanded has a count; nobody knows how many children one has that was not."""
        run = a_run()
        journal = store.begin(run, [a_task(node) for node in range(3)])
        journal.expanded(0, 7, 10.0)
        journal.expanded(1, 0, 10.0)
        journal.began(2, UNMAPPED, 1, 10.0)
        journal.flush()
        assert [each.child_count for each in store.task_runs(run.id)] == [7, 0, None]
        assert only(store, run.id).state == "Running"

    @pytest.mark.parametrize("at_once", [True, False])
    def test_what_was_said_once_stays_until_the_end(self, store: RunStore, *, at_once: bool) -> None:
        """The number of children outlasts later states."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.began(0, UNMAPPED, 1, 10.0)
        journal.expanded(0, 2, 10.0)
        if not at_once:
            journal.flush()
        journal.finished(0, UNMAPPED, 1, "Mapped", None, None, 12.0)
        journal.flush()
        found = only(store, run.id)
        assert (found.state, found.child_count) == ("Mapped", 2)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_a_task_run_that_finished_stays_so(self, store: RunStore, *, at_once: bool) -> None:
        """What is said of a finished task run is not taken, at once or later."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal, value=ValueRecord(data=b"first"))
        if not at_once:
            journal.flush()
        before = TaskRunRecord(0, UNMAPPED, 1, "Success", None, 10.0, 11.0, value=ValueRecord(data=b"first"))
        journal.began(0, UNMAPPED, 2, 20.0)
        journal.waiting(0, UNMAPPED, 2, "Retrying", "late", 21.0)
        journal.expanded(0, 9, 21.0)
        journal.finished(0, UNMAPPED, 2, "Failed", "late", 20.0, 22.0)
        journal.flush()
        assert only(store, run.id) == before
        assert store.run(run.id).counts == {"Success": 1}

    @pytest.mark.parametrize("at_once", [True, False])
    def test_task_runs_are_counted_by_state(self, store: RunStore, *, at_once: bool) -> None:
        """``RunRecord.counts`` says how many are in each state now."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for number in range(7):
            journal.began(0, number, 1, 10.0)
        if not at_once:
            journal.flush()
        for number in range(3):
            journal.finished(0, number, 1, "Success", None, 10.0, 11.0)
        journal.finished(0, 3, 1, "Failed", None, 10.0, 11.0)
        journal.waiting(0, 4, 2, "Retrying", None, 11.0)
        journal.flush()
        assert store.run(run.id).counts == {"Success": 3, "Failed": 1, "Retrying": 1, "Running": 2}

    def test_a_run_knows_its_tasks(self, store: RunStore, other: RunStore) -> None:
        """Tasks come back as they were given, in the order of the plan."""
        tasks = [
            a_task(0, name="extract", source_digest="abc", tags=("db", "slow"), details={"max_retries": 3}),
            a_task(1, mapped=True, kind="adapter", trigger="all_done", resume="ask"),
            a_task(2, upstream=(EdgeRecord(0, "x", mapped=True), EdgeRecord(1, None), EdgeRecord(1, "y", False, True))),
        ]
        run = a_run(task_count=3)
        store.begin(run, tasks)
        assert list(other.tasks(run.id)) == tasks

    def test_many_task_runs_are_all_there(self, store: RunStore) -> None:
        """Nothing is lost or taken twice when entries come faster than they are written."""
        run, count = a_run(), self.task_count
        journal = store.begin(run, [a_task()])
        journal.expanded(0, count, 10.0)
        for number in range(count):
            succeed(journal, map_index=number)
        journal.ended("Success", None, 12.0)
        found = store.task_runs(run.id, TaskRunQuery(children=True))
        assert [each.map_index for each in found] == list(range(count))
        assert store.run(run.id).counts == {"Success": count, "Running": 1}

    def test_an_unknown_state_is_refused_where_it_is_said(self, store: RunStore) -> None:
        """The name of a state is that of a class of headrace."""
        journal = store.begin(a_run(), [a_task()])
        with pytest.raises(HistoryError, match="Sulking"):
            journal.finished(0, UNMAPPED, 1, "Sulking", None, None, 11.0)
        succeed(journal)
        journal.ended("Success", None, 12.0)
