"""Where a result that an executor has lost is read back from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from headrace import task
from headrace.engine.worker import Work
from headrace.locations import located
from headrace.remote import reader_of
from headrace.states import State, Success


def make_work(keeper: Any = None) -> Work:
    return Work(7, task(lambda: 5, name="t"), "t-1", {}, -1, 1, None, False, None, keeper)


def at(location: str | None) -> State:
    state = Success()
    state.location = location
    return state


def test_a_result_that_its_task_has_stored_is_read_by_the_task():
    owner: Any = SimpleNamespace(reload=lambda *arguments: ("read", arguments))
    read = reader_of(make_work(), at(located("x", owner, 1, 2, kind="target", digest=b"")))
    assert read is not None
    assert read() == ("read", (1, 2))


def test_a_result_that_its_run_keeps_is_read_by_the_keeper_of_the_run():
    read = reader_of(make_work(SimpleNamespace(load=lambda location: ("kept", location))), at("place"))
    assert read is not None
    assert read() == ("kept", "place")


def test_a_result_that_nobody_keeps_cannot_be_read_back():
    assert reader_of(make_work(), at(None)) is None
    assert reader_of(make_work(), at("place")) is None
