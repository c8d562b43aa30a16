"""Timeouts in the main thread and in any other."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from headrace import Flow, context, task
from headrace.engine.timeouts import call_in_time
from headrace.exceptions import TaskTimeoutError
from headrace.run_context import RunFrame, current_frame
from headrace.states import TimedOut
from headrace_plugins.threads import ThreadsExecutor

needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")


def in_a_thread(function: Any) -> Any:
    """Return what ``function()`` returns, or the exception it raises, in a thread of its own."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return found[0]


def here(function: Any) -> Any:
    try:
        return function()
    except BaseException as error:
        return error


@pytest.fixture(params=[pytest.param(here, marks=needs_timer), in_a_thread], ids=["main thread", "other thread"])
def where(request: pytest.FixtureRequest) -> Any:
    return request.param


def late(seconds: float = 0.05) -> Any:
    return call_in_time(time.sleep, {"secs": 5}, seconds, "t")


def sleep_long() -> None:
    time.sleep(5)


@pytest.mark.parametrize("seconds", [1e10, 1e300])
def test_a_timeout_may_be_longer_than_any_wait_of_the_system(where, seconds):
    assert where(lambda: call_in_time(lambda: time.sleep(0.05), {}, seconds, "t")) is None


def test_what_ends_in_time_returns_its_value(where):
    assert where(lambda: call_in_time(lambda x: x + 1, {"x": 1}, 5, "t")) == 2


def test_what_is_raised_in_time_is_raised(where):
    def fail() -> None:
        raise KeyError("odd")

    assert isinstance(where(lambda: call_in_time(fail, {}, 5, "t")), KeyError)


def test_what_takes_longer_raises_after_that_time(where):
    began = time.monotonic()
    error = where(lambda: call_in_time(sleep_long, {}, 0.05, "t"))
    assert isinstance(error, TaskTimeoutError)
    assert 0.05 <= time.monotonic() - began < 2


def test_the_message_names_the_task_and_the_limit(where):
    error = where(lambda: call_in_time(sleep_long, {}, 0.05, "fetch[3]"))
    assert "'fetch[3]'" in str(error)
    assert "0.05 s" in str(error)


def test_the_call_sees_the_context_of_its_caller(where):
    def call() -> Any:
        token = current_frame.set(RunFrame({"flow_name": "around"}))
        try:
            return call_in_time(lambda: context.flow_name, {}, 5, "t")
        finally:
            current_frame.reset(token)

    assert where(call) == "around"


@pytest.fixture
def no_alarm() -> Iterator[None]:
    """Put the alarm of the test runner aside."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)


@needs_timer
class TestMainThread:
    def test_the_code_is_stopped(self):
        ended = []

        def run() -> None:
            try:
                time.sleep(5)
            finally:
                ended.append(1)

        assert isinstance(here(lambda: call_in_time(run, {}, 0.05, "t")), TaskTimeoutError)
        assert ended == [1]

    def test_the_tasks_own_except_exception_does_not_swallow_it(self):
        def run() -> int:
            try:
                time.sleep(5)
            except Exception:
                return 1
            return 0

        assert isinstance(here(lambda: call_in_time(run, {}, 0.05, "t")), TaskTimeoutError)

    def test_a_busy_loop_is_stopped_too(self):
        def run() -> None:
            while True:
                pass

        assert isinstance(here(lambda: call_in_time(run, {}, 0.05, "t")), TaskTimeoutError)

    def test_the_handler_and_the_alarm_of_the_user_are_put_back(self, no_alarm):
        def handler(*_: object) -> None: ...

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 60)
        try:
            call_in_time(lambda: 1, {}, 5, "t")
            assert signal.getsignal(signal.SIGALRM) is handler
            assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_no_alarm_is_left_behind(self, no_alarm):
        call_in_time(lambda: 1, {}, 5, "t")
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class TestOtherThreads:
    def test_code_that_goes_on_is_reported(self, caplog):
        go_on = threading.Event()
        with caplog.at_level(logging.WARNING, "headrace"):
            in_a_thread(lambda: call_in_time(go_on.wait, {}, 0.02, "t"))
        go_on.set()
        assert ["goes on in thread" in message for message in caplog.messages] == [True]

    def test_the_thread_that_goes_on_keeps_no_process_alive(self):
        daemons: list[bool] = []
        go_on = threading.Event()

        def run() -> None:
            daemons.append(threading.current_thread().daemon)
            go_on.wait()

        in_a_thread(lambda: call_in_time(run, {}, 0.02, "t"))
        go_on.set()
        assert daemons == [True]


@pytest.mark.parametrize("executor", ["local", ThreadsExecutor(2)], ids=["local", "threads"])
def test_a_task_that_takes_too_long_is_timed_out_while_the_rest_goes_on(executor):
    with Flow("timeouts") as flow:
        slow = task(lambda: time.sleep(2), name="slow", timeout=0.05)()
        quick = task(lambda: 1, name="quick")()
    began = time.monotonic()
    states = flow.run(executor=executor).result
    assert type(states[slow]) is TimedOut
    assert isinstance(states[slow].result, TaskTimeoutError)
    assert states[quick].result == 1
    assert time.monotonic() - began < 1.5


def test_a_timed_out_task_is_retried():
    def run() -> int:
        if context.task_run_count == 1:
            time.sleep(2)
        return context.task_run_count

    with Flow("again") as flow:
        last = task(run, name="slow", timeout=0.1, max_retries=1, retry_delay=0)()
    assert flow.run(executor="local").result[last].result == 2


def test_each_child_of_a_map_has_the_timeout_for_itself():
    @task(timeout=0.1)
    def slow(x):
        time.sleep(x)

    with Flow("children") as flow:
        last = slow.map([0, 2, 0.01])
    states = flow.run(executor="local").result[last].map_states
    assert [type(state) is TimedOut for state in states] == [False, True, False]
