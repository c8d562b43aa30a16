"""Crashes: a process that dies takes one task with it, and no more."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from headrace import Flow, context, task
from headrace.abc import Capability
from headrace.exceptions import WorkerCrashedError
from headrace.states import Crashed
from headrace.testing.executors._base import ExecutorTests, bounded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Crashes"]


def _leave() -> None:
    os._exit(3)


def _kill() -> None:
    # Where there is no SIGKILL, SIGTERM cannot be refused either.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _fault() -> None:
    # A handler of Python's own would only print, as of faulthandler.
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)


def _number(number: int) -> int:
    time.sleep(0.05)
    return number


_DEATHS: Final[dict[Callable[[], None], dict[str, Any]]] = {
    _leave: {"exit_code": 3},
    _kill: {"signal": "SIGKILL"},
    _fault: {"signal": "SIGSEGV"},
}


class Crashes(ExecutorTests):
    """What becomes of work whose process dies."""

    def test_work_whose_process_dies_is_delivered_as_crashed(self) -> None:
        """If the process of a piece of work dies, its state is Crashed, and the run ends."""
        self.needs(Capability.REMOTE)
        for death in _DEATHS:
            state = self.state_of(death)
            assert isinstance(state, Crashed), f"{death.__name__} became {state!r}"
            assert isinstance(state.result, Exception)

    @bounded
    def test_an_executor_whose_processes_have_died_still_works(self) -> None:
        """After a crash the next work is done as if nothing had happened."""
        self.needs(Capability.REMOTE)
        with self.desk() as desk:
            for number in range(5):
                desk.submit(_kill)
                (crashed,) = desk.collect(1)
                assert isinstance(crashed.state, Crashed)
                desk.submit(_number, number=number)
                (good,) = desk.collect(1)
                assert good.state.result == number

    def test_a_crash_says_how_the_process_died(self) -> None:
        """The error is a WorkerCrashedError, with the exit code or the signal where these are known."""
        self.needs(Capability.REMOTE)
        for death, known in _DEATHS.items():
            error = self.state_of(death).result
            assert isinstance(error, WorkerCrashedError)
            for name, value in known.items():
                assert getattr(error, name) in (value, None)

    def test_a_crash_harms_nobody_else(self) -> None:
        """Of many tasks at the same time only those crash whose own process died."""
        self.needs(Capability.REMOTE)
        if not self.crashes_alone:
            pytest.skip("this executor says crashes_alone = False: its processes die together")

        def maybe(number: int) -> int:
            if number % 10 == 5:
                _kill()
            return _number(number)

        with Flow("one of many") as flow:
            children = task(maybe, name="maybe").map(list(range(30)))
        states = self.run(flow).result[children].map_states
        crashed = [number for number, state in enumerate(states) if isinstance(state, Crashed)]
        assert crashed == [5, 15, 25]
        assert all(state.is_successful() for number, state in enumerate(states) if number not in crashed)

    def test_retries_apply_to_crashes(self) -> None:
        """``retry_on=WorkerCrashedError`` tries a task again whose process died."""
        self.needs(Capability.REMOTE)

        @task(max_retries=2, retry_delay=0, retry_on=WorkerCrashedError)
        def third_time() -> int:
            if context.task_run_count < 3:
                os._exit(1)
            return int(context.task_run_count)

        with Flow("retried") as flow:
            last = third_time()
        state = self.run(flow).result[last]
        assert (state.result, [type(each) for each in state.attempts]) == (3, [Crashed, Crashed])

    def test_a_task_that_kills_every_worker_it_gets_is_given_up(self) -> None:
        """A task that always dies ends as Crashed after its attempts; what waits for nothing of it goes on."""
        self.needs(Capability.REMOTE)
        with Flow("poison") as flow:
            poison = task(_kill, name="poison", max_retries=2, retry_delay=0)()
            later: Any = task(_number, name="number")(1)
            for _ in range(3):
                later = task(_number, name="number", max_retries=5, retry_delay=0.1)(later)
        states = self.run(flow).result
        assert isinstance(states[poison], Crashed)
        if self.crashes_alone:
            assert states[later].result == 1
