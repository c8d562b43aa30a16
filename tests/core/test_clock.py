"""The machine's clock, and how it waits."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import Any

import pytest

from headrace.clock import Clock, SystemClock


def test_now_is_in_seconds_since_the_epoch():
    assert abs(SystemClock().now() - time.time()) < 5


def test_an_item_that_is_there_is_returned_at_once():
    inbox: SimpleQueue[Any] = SimpleQueue()
    inbox.put("item")
    began = time.monotonic()
    assert SystemClock().wait(inbox, 10) == "item"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("timeout", [10, None])
def test_an_item_that_comes_later_ends_the_wait(timeout):
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Timer(0.05, inbox.put, ["item"]).start()
    began = time.monotonic()
    assert SystemClock().wait(inbox, timeout) == "item"
    assert 0.03 < time.monotonic() - began < 5


def test_without_an_item_it_returns_none_after_the_timeout():
    began = time.monotonic()
    assert SystemClock().wait(SimpleQueue(), 0.05) is None
    assert 0.05 <= time.monotonic() - began < 2


def test_a_wait_longer_than_one_slice_lasts_as_long_as_it_should():
    began = time.monotonic()
    assert SystemClock().wait(SimpleQueue(), 0.7) is None
    assert 0.7 <= time.monotonic() - began < 3


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_moment_that_has_passed_is_not_waited_for(timeout):
    began = time.monotonic()
    assert SystemClock().wait(SimpleQueue(), timeout) is None
    assert time.monotonic() - began < 0.4


def test_none_as_an_item_is_returned_as_none():
    inbox: SimpleQueue[Any] = SimpleQueue()
    inbox.put(None)
    assert SystemClock().wait(inbox, 5) is None
    assert inbox.empty()


def test_a_clock_must_say_what_time_it_is_and_how_to_wait():
    with pytest.raises(TypeError, match="abstract"):
        Clock()  # type: ignore[abstract]
