"""What is compared before a finished task run stays in a run that goes on, task run by task run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from headrace.history import UNMAPPED, EdgeRecord, TaskRecord, TaskRunRecord, ValueRecord
from headrace.history.choices import Found
from headrace.history.staying import Before, Part, Staying, parts_that_may_stay
from headrace.states import State, Success

SMALL = ValueRecord(data=b"sealed")
LARGE = ValueRecord(location="there", digest=b"digest")


class Values:
    """Values that can all be had, but for what is in ``problems``."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, *_: Any, **__: Any) -> str:
        return "".join(self.problems)


def ended(node: int, value: ValueRecord | None, state: str = "Success", index: int = UNMAPPED) -> TaskRunRecord:
    return TaskRunRecord(node, index, 1, state, value=value)


def two(value: ValueRecord | None, *, key: str | None = "x", trigger: str | None = None, **first: Any) -> list[Found]:
    """Return a task that came to ``value`` and runs again, and one that has finished after it."""
    tasks = [
        TaskRecord(node=0, slug="first", name="first"),
        TaskRecord(node=1, slug="second", name="second", trigger=trigger, upstream=(EdgeRecord(0, key),)),
    ]
    return [
        Found(now=tasks[0], before=tasks[0], whole=ended(0, value, **first)),
        Found(now=tasks[1], before=tasks[1], whole=ended(1, SMALL)),
    ]


def made(task: Found, record: TaskRunRecord) -> State:
    return Success(task.now.slug)


def staying(found: list[Found], values: Values | None = None, before: Before | None = None) -> Staying:
    parts = {1: parts_that_may_stay(found[1], before or Before("earlier"))}
    return Staying(found, parts, values or Values(), "earlier", made)  # type: ignore[arg-type]


def stays(found: list[Found], state: str, value: ValueRecord | None) -> bool:
    """Tell whether the second task stays if the first one comes to a value in this run."""
    asked = staying(found)
    asked.finished(0, UNMAPPED, state, value)
    return asked.state_of(1, UNMAPPED, {}) is not None


@pytest.mark.parametrize("value", [SMALL, LARGE])
def test_the_same_bytes_are_the_same(value: ValueRecord) -> None:
    assert stays(two(value), "Success", value)
    assert stays(two(value), "Success", value._replace(location="elsewhere" if value.location else None))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (SMALL, ValueRecord(data=b"other")),
        (LARGE, ValueRecord(location="there", digest=b"other")),
        (SMALL, LARGE),
        (LARGE, SMALL),
        (ValueRecord(), ValueRecord()),
        (ValueRecord(is_exception=True), ValueRecord(is_exception=True)),
        (None, SMALL),
        (SMALL, None),
    ],
    ids=str,
)
def test_everything_else_is_something_else(before: ValueRecord | None, now: ValueRecord | None) -> None:
    assert not stays(two(before), "Success", now)


@pytest.mark.parametrize(
    ("trigger", "before", "now", "same"),
    [
        (None, "Success", "Cached", True),
        (None, "Cached", "Success", True),
        (None, "Success", "Skipped", False),
        (None, "Success", "Failed", False),
        ("own", "Success", "Cached", False),
        ("own", "Success", "Success", True),
        (None, "Failed", "Failed", False),
    ],
)
def test_the_end_is_compared_as_the_trigger_sees_it(trigger: str | None, before: str, now: str, same: bool) -> None:
    assert stays(two(SMALL, trigger=trigger, state=before), now, SMALL) is same


@pytest.mark.parametrize(("trigger", "same"), [(None, True), ("own", False)])
def test_a_value_that_is_not_passed_on_matters_only_to_a_trigger(trigger: str | None, same: bool) -> None:
    assert stays(two(SMALL, key=None, trigger=trigger), "Success", LARGE) is same


def test_what_did_not_end_in_this_run_is_not_the_same() -> None:
    assert staying(two(SMALL)).state_of(1, UNMAPPED, {}) is None


def test_what_the_same_run_had_done_needs_no_comparison() -> None:
    """A task run that was taken over is the one that it was, although nothing is on record of its value."""
    found = two(ValueRecord())
    asked = staying(found)
    asked.finished(0, UNMAPPED, "Success", ValueRecord(), "earlier")
    assert asked.state_of(1, UNMAPPED, {}) is not None


def test_what_was_there_before_may_be_on_record_of_another_run() -> None:
    parts: Mapping[str, Mapping[int, TaskRunRecord]] = {"first": {UNMAPPED: ended(0, LARGE)}}
    found = two(SMALL)
    found[1].whole = None
    found[1].undecided = {UNMAPPED: Part(ended(1, SMALL), Before("long ago", parts))}
    for value, same in ((SMALL, False), (LARGE, True)):
        asked = staying(found)
        asked.finished(0, UNMAPPED, "Success", value)
        assert (asked.state_of(1, UNMAPPED, {}) is not None) is same
        assert [record.taken_from for record in asked.taken_over.values()] == (["long ago"] if same else [])


def test_what_cannot_be_had_does_not_stay() -> None:
    values = Values()
    values.problems.append("lost")
    asked = staying(two(SMALL), values)
    asked.finished(0, UNMAPPED, "Success", SMALL)
    assert asked.state_of(1, UNMAPPED, {}) is None


def test_what_has_another_fate_is_not_asked_again() -> None:
    asked = staying(two(SMALL))
    asked.finished(0, UNMAPPED, "Success", SMALL)
    asked.drop(1, UNMAPPED)
    assert asked.state_of(1, UNMAPPED, {}) is None


def test_listeners_are_told() -> None:
    heard: list[Mapping[str, State]] = []
    asked = staying(two(SMALL))
    asked.listeners.append(heard.append)
    asked.finished(0, UNMAPPED, "Success", SMALL)
    asked.state_of(1, UNMAPPED, {})
    assert [list(each) for each in heard] == [["second"]]


@pytest.mark.parametrize("what", ["forced", "anew", "resolved"])
def test_some_never_stay(what: str) -> None:
    found = two(SMALL)[1]
    setattr(found, what, True)
    assert parts_that_may_stay(found, Before("earlier")) == {}


def test_what_failed_never_stays() -> None:
    found = two(SMALL)[1]
    found.whole = ended(1, None, "Failed")
    assert parts_that_may_stay(found, Before("earlier")) == {}
