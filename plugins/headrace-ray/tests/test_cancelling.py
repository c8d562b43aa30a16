"""Cancelling: what waits is taken back, what runs is interrupted, what does not listen is killed."""

from __future__ import annotations

import ctypes
import time

import pytest

from headrace import Flow, context, task
from headrace.states import Cancelled


def test_python_code_is_interrupted_and_cleans_up(desk, tmp_path):
    def careful():
        (tmp_path / "begun").touch()
        try:
            while True:
                time.sleep(0.05)
        finally:
            (tmp_path / "clean").touch()

    desk.submit(careful)
    _wait_for(tmp_path / "begun")
    desk.executor.cancel(force=False)
    (state,) = desk.collect(1)
    assert isinstance(state, Cancelled)
    assert not isinstance(state.result, KeyboardInterrupt)
    assert (tmp_path / "clean").exists()


def test_what_does_not_listen_is_killed(desk, tmp_path):
    def deaf():
        (tmp_path / "begun").touch()
        ctypes.PyDLL(None).sleep(60)

    desk.submit(deaf)
    _wait_for(tmp_path / "begun")
    desk.executor.cancel(force=False)
    time.sleep(0.3)
    desk.executor.cancel(force=True)
    began = time.monotonic()
    (state,) = desk.collect(1)
    assert isinstance(state, Cancelled)
    assert time.monotonic() - began < 5


def test_what_has_not_begun_is_cancelled_at_once(desk, tmp_path):
    def note(number):
        (tmp_path / str(number)).touch()
        time.sleep(0.3)

    for number in range(30):
        desk.submit(note, number=number)
    _wait_for(tmp_path / "0")
    began = time.monotonic()
    desk.executor.cancel(force=False)
    states = desk.collect(30)
    assert time.monotonic() - began < 5
    assert sum(isinstance(state, Cancelled) for state in states) >= 20
    assert len(list(tmp_path.iterdir())) < 10


def test_the_executor_goes_on_after_that(desk):
    desk.submit(lambda: time.sleep(60))
    time.sleep(0.5)
    desk.executor.cancel(force=True)
    desk.collect(1)
    (state,) = desk.outcomes(lambda: "works")
    assert state.result == "works"


def test_a_run_that_is_to_stop_at_its_first_failure_raises_that(tmp_path):
    @task
    def fail():
        _wait_for(tmp_path / "begun")
        raise ValueError("first")

    @task
    def endless():
        (tmp_path / "begun").touch()
        while True:
            time.sleep(0.05)

    with Flow("first failure") as flow:
        fail()
        endless()
    with context(raise_on_exception=True), pytest.raises(ValueError, match="first"):
        flow.run(executor="ray")


def _wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
