"""Timeouts, section 5.5 of the classic reference."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from headrace import Flow, context, signals, task, testing
from headrace.exceptions import TaskTimeoutError
from headrace.states import Mapped, Skipped, State, Success, TimedOut

SOON = 0.05
executors = pytest.mark.parametrize("executor", ["local", "threads"])


def run(function: Any, executor: str = "local", **options: Any) -> State:
    with Flow("f") as flow:
        last = task(function, name="t", **options)()
    state: State = flow.run(executor=executor).result[last]
    return state


def sleep() -> None:
    for _ in range(500):
        time.sleep(0.01)


# Without a timeout


def test_without_a_timeout_a_task_is_called_directly():
    assert run(threading.current_thread).result is threading.current_thread()


def test_without_a_timeout_a_task_runs_for_as_long_as_it_takes():
    began = time.monotonic()
    assert run(lambda: time.sleep(2 * SOON)).is_successful()
    assert time.monotonic() - began >= 2 * SOON


# With one


@executors
def test_what_takes_longer_is_timed_out_and_the_result_is_an_error(executor):
    state = run(sleep, executor, timeout=SOON)
    assert type(state) is TimedOut
    assert isinstance(state.result, TaskTimeoutError)
    assert isinstance(state.result, TimeoutError)
    assert state.message == "TaskTimeoutError: Task 't' took longer than its timeout of 0.05 s."


@executors
def test_what_ends_in_time_has_its_result_its_error_and_its_signals(executor):
    def fail() -> None:
        raise KeyError("odd")

    def skip() -> None:
        raise signals.SKIP("not now")

    assert run(lambda: 5, executor, timeout=5).result == 5
    assert isinstance(run(fail, executor, timeout=5).result, KeyError)
    assert type(run(skip, executor, timeout=5)) is Skipped


@executors
def test_what_cannot_be_pickled_may_come_and_go(executor):
    with Flow("f") as flow:
        lock = task(lambda: threading.Lock(), name="lock")()
        last = task(lambda lock: lock, name="last", timeout=5)(lock)
    state = flow.run(executor=executor).result[last]
    assert type(state) is Success
    assert not state.result.locked()


@pytest.mark.parametrize("timeout", [0.5, timedelta(milliseconds=500)])
def test_fractions_of_seconds_count(timeout):
    clock = testing.VirtualClock()
    with Flow("f") as flow:
        late = task(lambda: None, name="late", timeout=timeout)()
    record = testing.run(flow, clock=clock, overrides={late: testing.takes(0.6)})
    assert type(record[late]) is TimedOut
    assert record.elapsed == pytest.approx(0.5)


def test_in_the_main_thread_a_task_stays_in_it_and_its_code_is_stopped():
    went_on: list[int] = []

    def run_for_ever() -> None:
        while True:
            went_on.append(threading.get_ident())

    state = run(run_for_ever, timeout=SOON)
    count = len(went_on)
    time.sleep(SOON)
    assert type(state) is TimedOut
    assert set(went_on) == {threading.main_thread().ident}
    assert len(went_on) == count


def test_in_another_thread_the_code_goes_on_and_a_warning_says_so(caplog):
    over = threading.Event()
    with caplog.at_level(logging.WARNING, "headrace"):
        state = run(lambda: over.wait(5), "threads", timeout=SOON)
    assert type(state) is TimedOut
    assert any("the code goes on in thread" in record.getMessage() for record in caplog.records)
    over.set()


@executors
def test_one_timeout_fails_no_sibling(executor):
    def nap(seconds: float) -> None:
        time.sleep(seconds)

    with Flow("f") as flow:
        mapped = task(nap, timeout=0.5).map([0, 5, 0])
    state = flow.run(executor=executor).result[mapped]
    assert isinstance(state, Mapped)
    assert [type(child) for child in state.map_states] == [Success, TimedOut, Success]


@executors
def test_a_task_with_a_timeout_sees_its_context(executor):
    assert run(lambda: (context.task_name, context.flow_name), executor, timeout=5).result == ("t", "f")


def test_a_coroutine_is_cancelled_where_it_waits():
    went_on: list[str] = []

    async def wait() -> None:
        await asyncio.sleep(5)
        went_on.append("after")

    assert type(run(wait, timeout=SOON)) is TimedOut
    assert went_on == []


def test_a_timeout_is_over_with_each_attempt():
    with Flow("f") as flow:
        slow = task(lambda: None, name="slow", timeout=10, max_retries=2, retry_delay=60)()
    record = testing.run(flow, overrides={slow: testing.takes(60)})
    assert record.elapsed == 3 * 10 + 2 * 60


def test_the_errors_of_a_task_that_are_timeouts_are_failures():
    def fail() -> None:
        raise TimeoutError("the server did not answer")

    state = run(fail, timeout=5)
    assert state.is_failed()
    assert type(state) is not TimedOut
