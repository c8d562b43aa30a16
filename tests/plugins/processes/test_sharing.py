"""Buffers that the children of a map have in common."""

from __future__ import annotations

import gc
import pickle

import pytest

from headrace_plugins.processes.sharing import MOST_SHARED, SharedBuffer, Sharer

LARGE = 1_048_576


@pytest.fixture
def sharer() -> Sharer:
    """Return what finds out which buffers are the same."""
    return Sharer()


def wrapped(*values: bytes | bytearray | memoryview) -> list[pickle.PickleBuffer]:
    return [pickle.PickleBuffer(value) for value in values]


def test_children_of_a_map_share_what_is_the_same_object(sharer):
    value = bytes(LARGE)
    (first,), (second,) = sharer.share("map", wrapped(value)), sharer.share("map", wrapped(value))
    assert first is second
    assert isinstance(first, SharedBuffer)
    assert first.users == 2


def test_what_is_equal_but_another_object_is_not_shared(sharer):
    (first,), (second,) = (sharer.share("map", wrapped(bytearray(LARGE))) for _ in range(2))
    assert first is not second


def test_another_map_gets_the_value_as_it_is_by_then(sharer):
    value = bytearray(LARGE)
    (first,), (second,) = sharer.share("map", wrapped(value)), sharer.share("map-2", wrapped(value))
    assert first is not second


def test_what_is_small_is_sent_as_it_is(sharer):
    (buffer,) = wrapped(bytes(LARGE - 1))
    assert sharer.share("map", [buffer]) == [buffer]


def test_two_parts_of_an_object_are_told_apart(sharer):
    value = memoryview(bytearray(b"a" * LARGE + b"b" * LARGE))
    (first,) = sharer.share("map", wrapped(value[:LARGE]))
    (second,) = sharer.share("map", wrapped(value[LARGE:]))
    assert [bytes(each.raw()[:1]) for each in (first, second)] == [b"a", b"b"]


def test_no_message_has_more_shared_buffers_than_descriptors_can_be_sent_with_it(sharer):
    found = sharer.share("map", wrapped(*(bytearray(LARGE) for _ in range(MOST_SHARED + 1))))
    assert [isinstance(each, SharedBuffer) for each in found] == [True] * MOST_SHARED + [False]


def test_a_value_that_no_child_needs_any_more_is_let_go(sharer):
    class Value(bytearray):
        def __del__(self) -> None:
            gone.append(True)

    gone: list[bool] = []
    value = Value(LARGE)
    kept = sharer.share("map", wrapped(value))
    del value
    assert gone == []
    del kept
    gc.collect()
    assert gone == [True]
