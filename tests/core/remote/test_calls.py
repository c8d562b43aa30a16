"""The journey of work in three functions."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from headrace import remote, task
from headrace.engine.worker import Work
from headrace.exceptions import TransferError, WorkerCrashedError
from headrace.states import Cancelled, Crashed, Failed


def make_work(function: Any = lambda: 5) -> Work:
    return Work(7, task(function, name="t"), "t-1", {}, -1, 1, None, False, None, None)


def ended(error: BaseException) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future


def test_the_outcome_of_a_call_is_what_the_task_returned():
    work = make_work()
    future: Future[bytes] = Future()
    future.set_result(remote.run(remote.pack(work)))
    outcome = remote.outcome(work, future)
    assert (outcome.key, outcome.state.result) == (7, 5)


def test_a_pool_that_broke_is_a_crash_of_its_work():
    state = remote.outcome(make_work(), ended(BrokenProcessPool("terminated abruptly"))).state
    assert type(state) is Crashed
    assert isinstance(state.result, WorkerCrashedError)
    assert "'t'" in str(state.result)
    assert "terminated abruptly" in str(state.result)


def test_work_that_cannot_be_read_there_has_failed_and_not_crashed():
    state = remote.outcome(make_work(), ended(TransferError("no such module"))).state
    assert type(state) is Failed


@pytest.mark.parametrize("error", [OSError("no more processes"), CancelledError()])
def test_any_other_error_befell_the_executor(error):
    state = remote.outcome(make_work(), ended(error)).state
    assert (type(state), state.result) == (Crashed, error)


def test_a_future_that_was_cancelled_is_work_that_never_began():
    future: Future[bytes] = Future()
    future.cancel()
    assert type(remote.outcome(make_work(), future).state) is Cancelled
