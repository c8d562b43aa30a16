"""Timeouts are hard: the worker interrupts Python code at the deadline, and Ray ends the process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace import Flow, task
from headrace.exceptions import TaskTimeoutError
from headrace.states import TimedOut


def hold_the_interpreter():
    # PyDLL keeps the interpreter's lock: nothing else in the process runs Python code meanwhile.
    ctypes.PyDLL(None).sleep(60)


def mask_every_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    time.sleep(60)


def swallow_everything():
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            time.sleep(0.1)
        except BaseException:
            continue


def sleep():
    time.sleep(60)


@pytest.mark.parametrize("function", [sleep, hold_the_interpreter, mask_every_signal, swallow_everything])
def test_whatever_takes_too_long_is_ended(desk, function):
    desk.outcomes(lambda: None)
    began = time.monotonic()
    desk.submit(function, task_args={"timeout": 1})
    (state,) = desk.collect(1)
    assert isinstance(state, TimedOut)
    assert isinstance(state.result, TaskTimeoutError)
    assert "1 s" in str(state.result)
    # The mailbox has to start, which takes a second or two.
    assert time.monotonic() - began < 15


def test_the_time_in_the_queue_does_not_count(desk):
    for _ in range(6):
        desk.submit(lambda: time.sleep(0.7), task_args={"timeout": 1.5})
    assert all(state.is_successful() for state in desk.collect(6))


def test_what_a_late_task_has_started_ends_with_it(desk, tmp_path):
    path = tmp_path / "pid"

    def start():
        code = "import time; time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        path.write_text(str(child.pid))
        child.wait()

    desk.submit(start, task_args={"timeout": 1})
    (state,) = desk.collect(1)
    assert isinstance(state, TimedOut)
    deadline = time.monotonic() + 10
    while _runs(int(path.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(path.read_text()))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_code_that_listens_can_clean_up_at_the_deadline(desk, tmp_path):
    def careful():
        try:
            time.sleep(60)
        finally:
            (tmp_path / "clean").touch()

    desk.submit(careful, task_args={"timeout": 0.5})
    (state,) = desk.collect(1)
    assert isinstance(state, TimedOut)
    assert (tmp_path / "clean").exists()
    assert state.started < time.time() - 0.4


def test_lines_that_a_late_task_logged_are_not_lost(desk, caplog):
    import logging

    def talk():
        logging.getLogger("of.the.test").warning("before the deadline")
        time.sleep(60)

    desk.submit(talk, task_args={"timeout": 0.5})
    desk.collect(1)
    assert "before the deadline" in caplog.messages


def test_a_timeout_may_be_tried_again():
    @task(timeout=0.5, max_retries=1, retry_delay=0)
    def late():
        time.sleep(60)

    with Flow("late twice") as flow:
        last = late()
    state = flow.run(executor="ray").result[last]
    assert [type(each) for each in (*state.attempts, state)] == [TimedOut, TimedOut]


def test_a_crash_of_a_task_with_a_timeout_is_a_crash(desk):
    from headrace.states import Crashed

    desk.submit(lambda: os._exit(1), task_args={"timeout": 60})
    (state,) = desk.collect(1)
    assert isinstance(state, Crashed)
