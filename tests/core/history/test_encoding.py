from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.exceptions import HistoryError
from headrace.history import TaskRunRecord, ValueRecord
from headrace.history.encoding import (
    ATTEMPTED,
    BEGAN,
    ENDED,
    ENTERED,
    EXPANDED,
    FINISHED,
    LOGGED,
    NO_VALUE,
    NOTED,
    TAKEN_OVER,
    WAITING,
    as_text,
    encode_began,
    encode_entered,
    encode_expanded,
    encode_logged,
    encode_noted,
    encode_state,
    encode_taken_over,
    entries,
)
from headrace.states import State

numbers = st.integers(0, 2**31 - 1)
indexes = st.integers(-1, 2**31 - 1)
moments = st.floats(allow_nan=False, allow_infinity=False)
# Lone surrogates come back as their escapes, which is tested below.
texts = st.text()
maybe = st.one_of


def named_states() -> list[str]:
    return [cls.__name__ for cls in State.children() if cls.__module__ == "headrace.states"]


values = st.builds(
    ValueRecord,
    data=maybe(st.none(), st.binary()),
    location=maybe(st.none(), texts),
    digest=maybe(st.none(), st.binary()),
    serializer=maybe(st.none(), texts),
    type_name=maybe(st.none(), texts),
    size=maybe(st.none(), st.integers(0, 2**62)),
    is_exception=st.booleans(),
)


def read(data: bytes) -> list[tuple[int, Any]]:
    return [(kind, said) for kind, _, said in entries(data)]


@given(numbers, indexes, st.integers(1, 2**32 - 1), moments)
def test_a_beginning_comes_back(node, map_index, attempt, at):
    assert read(encode_began(node, map_index, attempt, at)) == [(BEGAN, (node, map_index, attempt, at))]


@given(numbers, numbers, moments)
def test_a_number_of_children_comes_back(node, count, at):
    assert read(encode_expanded(node, count, at)) == [(EXPANDED, (node, count, at))]


@given(numbers, indexes, texts, texts)
def test_a_remark_comes_back(node, map_index, kind, text):
    assert read(encode_noted(node, map_index, kind, text)) == [(NOTED, (node, map_index, kind, text))]


@given(
    st.integers(-1, 2**31 - 1), indexes, st.integers(0, 2**31), moments, st.integers(-(2**31), 2**31 - 1), texts, texts
)
def test_what_was_logged_comes_back(node, map_index, attempt, at, level, logger, text):
    said = node, map_index, attempt, at, level, logger, text
    assert read(encode_logged(*said)) == [(LOGGED, said)]


@given(st.sampled_from([ENTERED, ENDED]), st.sampled_from(named_states()), maybe(st.none(), texts), moments)
def test_a_state_of_the_run_comes_back(kind, state, message, at):
    assert read(encode_entered(kind, state, message, at)) == [(kind, (state, message, at))]


@given(
    st.sampled_from([WAITING, ATTEMPTED, FINISHED]),
    numbers,
    indexes,
    st.sampled_from(named_states()),
    maybe(st.none(), texts),
    maybe(st.none(), moments),
    moments,
    maybe(st.none(), moments),
    maybe(st.none(), values),
    maybe(st.none(), texts),
)
def test_a_state_of_a_task_run_comes_back(kind, node, map_index, state, message, started, at, until, value, details):
    entry = encode_state(kind, node, map_index, 1, state, message, started, at, until, value, details)
    ((found, said),) = read(entry)
    assert found == kind
    assert said[:7] == (node, map_index, 1, state, message, started, at)
    assert said[7] == (kind == FINISHED)
    assert said[15:] == (until, None, details)
    if value is None:
        assert said[8:15] == NO_VALUE
    else:
        data, size, is_exception, serializer, type_name, location, digest = said[8:15]
        assert ValueRecord(data, location, digest, serializer, type_name, size, bool(is_exception)) == value


def test_every_state_of_headrace_has_a_place():
    for state in named_states():
        assert read(encode_entered(ENTERED, state, None, 1.0)) == [(ENTERED, (state, None, 1.0))]


def test_a_state_that_nobody_knows_is_refused():
    with pytest.raises(HistoryError, match="'Sulking'"):
        encode_entered(ENTERED, "Sulking", None, 1.0)


@given(numbers, indexes, maybe(st.none(), values), maybe(st.none(), texts), texts)
def test_what_was_taken_over_comes_back(node, map_index, value, text, origin):
    record = TaskRunRecord(node, map_index, 2, "Cached", text, 1.0, 2.0, None, None, value, text, origin)
    ((kind, (state, found)),) = read(encode_taken_over(record))
    ((_, expected),) = read(encode_state(FINISHED, node, map_index, 2, "Cached", text, 1.0, 2.0, None, value, text))
    assert (kind, state, found) == (TAKEN_OVER, expected, origin)


def test_a_location_that_is_not_unicode_is_refused():
    with pytest.raises(HistoryError, match="is not Unicode"):
        encode_state(FINISHED, 0, -1, 1, "Success", None, None, 1.0, None, ValueRecord(location="\udc80"), None)


def test_what_no_encoding_has_is_escaped():
    assert as_text("a\udc80b") == r"a\udc80b"
    ((_, said),) = read(encode_noted(0, -1, "kind", "a\udc80b"))
    assert said[3] == r"a\udc80b"


def some_entries() -> list[bytes]:
    return [
        encode_began(1, -1, 1, 10.0),
        encode_expanded(2, 5, 10.0),
        encode_state(FINISHED, 1, 3, 1, "Success", "fine", 10.0, 11.0, None, ValueRecord(b"data", "here"), "{}"),
        encode_taken_over(TaskRunRecord(1, 4, 1, "Success", taken_from="earlier")),
        encode_noted(1, -1, "cache", "missed"),
        encode_logged(1, -1, 1, 10.0, 20, "etl", "begins"),
        encode_entered(ENDED, "Success", "done", 12.0),
    ]


def test_entries_follow_each_other():
    whole = some_entries()
    kinds = [kind for kind, _, _ in entries(b"".join(whole))]
    ends = [end for _, end, _ in entries(b"".join(whole))]
    assert kinds == [BEGAN, EXPANDED, FINISHED, TAKEN_OVER, NOTED, LOGGED, ENDED]
    assert ends == list(itertools.accumulate(map(len, whole)))
    assert [kind for kind, _, _ in entries(b"".join(whole), start=ends[1])] == [
        FINISHED,
        TAKEN_OVER,
        NOTED,
        LOGGED,
        ENDED,
    ]


def test_wherever_it_is_cut_what_comes_before_is_read():
    whole = some_entries()
    data, ends = b"".join(whole), [0, *itertools.accumulate(map(len, whole))]
    for length in range(len(data) + 1):
        complete = max(place for place, end in enumerate(ends) if end <= length)
        found = list(entries(data[:length]))
        if length == ends[complete]:
            assert len(found) == complete
        else:
            assert found[complete:] == [(0, ends[complete], (ends[complete], False))]


def test_zeros_after_the_end_are_no_damage():
    """A power cut can leave a file longer than what was written to it."""
    data = some_entries()[0]
    assert list(entries(data + bytes(4096)))[1:] == [(0, len(data), (len(data), False))]


@pytest.mark.parametrize("piece", [8, 16, 32])
def test_an_entry_that_was_copied_in_part_is_no_damage(piece):
    """A journal has room for more, which is zeros, and a kill can come between any two pieces of a copy."""
    first, *_, last = some_entries()
    for there in range(0, len(last), piece):
        for part in (last[:there].ljust(len(last), b"\0"), last[there:].rjust(len(last), b"\0")):
            if part != last:
                found = list(entries(first + part + bytes(64)))
                assert found[1:] == [(0, len(first), (len(first), False))]


def test_damage_before_other_entries_is_damage_although_zeros_follow():
    whole = some_entries()
    data = bytearray(b"".join(whole) + bytes(64))
    data[len(whole[0]) + 20] ^= 1
    assert list(entries(bytes(data)))[-1][2] == (len(whole[0]), True)


def test_no_changed_bit_goes_unnoticed():
    whole = some_entries()
    data, sound = b"".join(whole), read(b"".join(whole))
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        found = read(bytes(changed))
        kept = [each for each in found if each[0]]
        assert kept == sound[: len(kept)], f"bit {position} was believed"
        assert len(kept) < len(sound)
        assert found[-1][0] == 0
        assert found[-1][1][1], f"bit {position} was taken for a cut"


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(data):
    for kind, end, _ in entries(data):
        assert 0 <= end <= len(data)
        assert kind in range(9)
