"""States as plain data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.exceptions import ResultReleasedError, SerializationError
from headrace.states import (
    Cached,
    Cancelled,
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
)

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def again(state: State) -> State:
    """Return ``state`` after a trip through JSON text."""
    return State.deserialize(json.loads(json.dumps(state.serialize())))


@pytest.mark.parametrize(
    "state",
    [
        Pending(),
        Scheduled("later", start_time=MOMENT),
        Paused("a person"),
        Resume(start_time=MOMENT),
        Retrying("again", start_time=MOMENT, run_count=3),
        Running(context={"tags": ["a"], "n": 1}),
        Looped(loop_count=4),
        Success("fine"),
        Skipped("no rows"),
        Cancelled(),
        Failed("broken"),
        TimedOut(),
        Cached(hashed_inputs={"x": "ab"}, cached_parameters={"n": (1, 2)}, cached_result_expiration=MOMENT),
    ],
)
def test_a_state_without_a_result_comes_back_equal(state):
    new = again(state)
    assert new == state
    assert (new.message, new.context, new.timestamp) == (state.message, state.context, state.timestamp)
    assert new.serialize() == state.serialize()


def test_a_result_is_never_written():
    text = json.dumps(Success("fine", "a password").serialize())
    assert "password" not in text
    assert json.loads(text)["result"] == {"type": "str", "location": None}


def test_the_location_of_a_result_is_written():
    state = Success(result=[1])
    state.location = "f/total.result"
    assert state.serialize()["result"] == {"type": "list", "location": "f/total.result"}
    assert again(state).location == "f/total.result"


def test_reading_a_result_that_was_not_written_is_an_error_that_says_where_it_is():
    state = Success(result=[1])
    state.location = "f/total.result"
    with pytest.raises(ResultReleasedError, match=r"a value of type list: it is at 'f/total\.result'"):
        _ = again(state).result


def test_the_record_of_a_deserialized_state_is_the_same():
    state = Failed("broken", ValueError("x"))
    assert again(state).serialize() == state.serialize()


def test_a_mapped_state_keeps_the_number_of_its_children_only():
    new: Any = again(Mapped(map_states=[Success(result=1), Failed()]))
    assert (new.map_states, new.n_map_states, new.result) == ([None, None], 2, [None, None])


def test_earlier_attempts_are_kept():
    state = Success("fine")
    state.attempts = (Failed("first"), Failed("second"))
    assert [attempt.message for attempt in again(state).attempts] == ["first", "second"]


def test_cached_inputs_are_written_by_type():
    record = Success(cached_inputs={"x": "secret"}).serialize()
    assert record["cached_inputs"] == {"x": {"$": "opaque", "type": "str"}}
    assert State.deserialize(record).serialize() == record


def test_a_parameter_that_cannot_be_written_is_opaque():
    record = Cached(cached_parameters={"x": object()}).serialize()
    assert record["cached_parameters"]["x"] == {"$": "opaque", "type": "object"}
    assert State.deserialize(record).serialize() == record


def test_notes_that_cannot_be_written_are_named():
    with pytest.raises(SerializationError, match=r'context\["x"\]'):
        Success(context={"x": object()}).serialize()


def test_a_state_class_of_ones_own_comes_back_as_itself():
    class Reviewed(Success):
        __slots__ = ("by",)

        def __init__(self, by: str) -> None:
            super().__init__("fine")
            self.by = by

    new: Any = again(Reviewed("me"))
    assert type(new) is Reviewed
    assert new.by == "me"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "Sucess"}, "Did you mean 'Success'"),
        ({"type": None}, "There is no state None"),
        ({"format": 99}, "Upgrade headrace"),
        ({"format": None}, "not a serialized state"),
    ],
)
def test_other_records_are_refused(change, reason):
    with pytest.raises(SerializationError, match=reason):
        State.deserialize({**Success().serialize(), **change})


def test_a_damaged_record_is_a_value_error():
    record = Success().serialize()
    del record["result"]
    with pytest.raises(ValueError, match="damaged"):
        State.deserialize(record)
