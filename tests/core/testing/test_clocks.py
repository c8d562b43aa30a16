from __future__ import annotations

from queue import SimpleQueue

import pytest

from headrace.testing import VirtualClock


def test_waiting_moves_the_time_by_the_timeout() -> None:
    clock = VirtualClock(100.0)
    assert clock.wait(SimpleQueue(), 50.0) is None
    assert clock.now() == 150.0


def test_what_is_there_is_returned_at_once() -> None:
    clock = VirtualClock(100.0)
    inbox: SimpleQueue[str] = SimpleQueue()
    inbox.put("here")
    assert clock.wait(inbox, 50.0) == "here"
    assert clock.now() == 100.0


def test_waiting_ends_with_the_call_that_fills_the_inbox() -> None:
    clock = VirtualClock(0.0)
    inbox: SimpleQueue[str] = SimpleQueue()
    clock.call_later(20.0, lambda: inbox.put("late"))
    clock.call_later(10.0, lambda: None)
    assert clock.wait(inbox, None) == "late"
    assert clock.now() == 20.0


def test_calls_after_the_timeout_are_not_made() -> None:
    clock = VirtualClock(0.0)
    inbox: SimpleQueue[str] = SimpleQueue()
    clock.call_later(20.0, lambda: inbox.put("late"))
    assert clock.wait(inbox, 15.0) is None
    assert clock.now() == 15.0


def test_calls_at_one_moment_are_made_in_order() -> None:
    clock = VirtualClock(0.0)
    made: list[int] = []
    for number in range(3):
        clock.call_later(5.0, lambda number=number: made.append(number))  # type: ignore[misc]
    clock.advance(5.0)
    assert made == [0, 1, 2]


def test_waiting_for_ever_for_nothing_is_an_error() -> None:
    with pytest.raises(AssertionError, match="never happen"):
        VirtualClock().wait(SimpleQueue(), None)
