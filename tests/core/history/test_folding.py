from __future__ import annotations

import pytest

from headrace.history import TaskRunRecord, ValueRecord
from headrace.history.encoding import (
    ATTEMPTED,
    ENDED,
    ENTERED,
    FINISHED,
    NO_VALUE,
    WAITING,
    encode_began,
    encode_entered,
    encode_expanded,
    encode_logged,
    encode_noted,
    encode_state,
    encode_taken_over,
)
from headrace.history.folding import FINISHED_COLUMN, RARE, STARTED, STATE, fold

BEGAN = encode_began(1, -1, 1, 10.0)


def state(kind, name="Success", node=1, attempt=1, at=11.0, value=None):
    return encode_state(kind, node, -1, attempt, name, None, 10.0, at, None, value, None)


def test_a_task_run_that_began_and_finished_is_one_row():
    data = BEGAN + state(FINISHED, value=ValueRecord(b"v", "here", b"d", "pickle", "int", 4, True))
    batch = fold("run", 100, data)
    value = (b"v", 4, 1, "pickle", "int", "here", b"d")
    expected = (1, -1, 1, "Success", None, 10.0, 11.0, 1, *value, None, None, None)
    assert batch.rows == {(1, -1): expected}
    assert (batch.run_id, batch.start, batch.end) == ("run", 100, 100 + len(data))
    assert (expected[STATE], expected[STARTED], expected[FINISHED_COLUMN]) == ("Success", 10.0, 1)
    assert expected[RARE:] == ("pickle", "int", "here", b"d", None, None, None)


def test_a_task_run_that_began_is_running():
    expected = (1, -1, 1, "Running", None, 10.0, 10.0, 0, *NO_VALUE, None, None, None)
    assert fold("run", 0, BEGAN).rows == {(1, -1): expected}


def test_what_comes_after_the_end_is_left_out():
    data = state(FINISHED, "Failed") + BEGAN + state(WAITING, "Retrying") + encode_expanded(1, 3, 12.0)
    assert fold("run", 0, data + state(FINISHED)).rows == fold("run", 0, state(FINISHED, "Failed")).rows


def test_the_number_of_children_stays():
    data = BEGAN + encode_expanded(1, 3, 10.0) + state(WAITING, "Retrying") + encode_began(1, -1, 2, 12.0)
    (row,) = fold("run", 0, data + state(FINISHED, "Mapped", attempt=2)).rows.values()
    assert (row[2], row[STATE], row[16]) == (2, "Mapped", 3)


@pytest.mark.parametrize("value", [None, ValueRecord(b"v", "here", b"d", "pickle", "int", 4, True)])
def test_who_did_the_work_is_known_of_what_was_taken_over(value):
    record = TaskRunRecord(1, -1, 2, "Success", "fine", 10.0, 11.0, 12.0, value=value, taken_from="earlier")
    batch = fold("run", 0, encode_taken_over(record))
    assert (batch.taken_over, batch.rows) == ([record], {})


def test_a_map_runs_once_it_is_expanded():
    (row,) = fold("run", 0, encode_expanded(1, 0, 10.0)).rows.values()
    assert (row[STATE], row[16]) == ("Running", 0)


def test_attempts_and_remarks_are_listed():
    data = state(ATTEMPTED, "Failed") + encode_noted(1, -1, "cache", "missed") + state(ATTEMPTED, "TimedOut", attempt=2)
    batch = fold("run", 0, data)
    assert [(row[2], row[3], row[6]) for row in batch.attempts] == [(1, "Failed", 11.0), (2, "TimedOut", 11.0)]
    assert len(batch.attempts[0]) == 14
    assert batch.notes == [(1, -1, "cache", "missed")]
    assert batch.rows == {}


def test_logs_are_listed_with_their_positions():
    """They are the same wherever a journal is read from, and so is the order."""
    first, second = (encode_logged(1, -1, 1, 10.0, 20, "etl", text) for text in ("a", "b"))
    said = [(1, -1, 1, 10.0, 20, "etl", text) for text in ("a", "b")]
    ends = [100 + len(BEGAN) + len(first), 100 + len(BEGAN) + len(first) + len(second)]
    whole = fold("run", 100, BEGAN + first + second)
    assert whole.logs == [(ends[0], *said[0]), (ends[1], *said[1])]
    assert fold("run", ends[0], second).logs == [(ends[1], *said[1])]


def test_the_last_state_of_the_run_counts():
    entered = [encode_entered(ENTERED, name, None, 1.0) for name in ("Running", "Cancelling")]
    batch = fold("run", 0, b"".join(entered) + encode_entered(ENDED, "Cancelled", "asked", 2.0))
    assert (batch.entered, batch.ended) == (("Cancelling", None, 1.0), ("Cancelled", "asked", 2.0))


def test_it_ends_with_the_last_whole_entry():
    data = BEGAN + state(FINISHED)
    batch = fold("run", 50, data[:-1])
    assert (batch.end, batch.damaged) == (50 + len(BEGAN), False)
    assert [row[STATE] for row in batch.rows.values()] == ["Running"]


def test_damage_is_said():
    batch = fold("run", 0, BEGAN + b"\x05\0\0\0\xfa\xff\xff\xffabcdefghijkl")
    assert (batch.end, batch.damaged) == (len(BEGAN), True)
