"""Timeouts: what is late counts as TimedOut, and is killed where that can be done."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from headrace import Flow, task
from headrace.abc import Capability
from headrace.exceptions import TaskTimeoutError
from headrace.states import State, TimedOut
from headrace.testing.executors._base import ExecutorTests
from headrace.testing.executors._leftovers import alive

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Timeouts"]

_LIMIT = 0.5


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return "ended by itself"


def _wait_and_tell(seconds: float, path: Path) -> str:
    time.sleep(seconds)
    path.touch()
    return "ended by itself"


def _work_in_one_c_call(path: Path) -> str:
    path.write_text(str(os.getpid()))
    # Runs no Python code meanwhile, in which a signal could be handled, and keeps the interpreter to itself.
    deque(itertools.repeat(None, 6_000_000_000), maxlen=0)
    return "ended by itself"


def _refuse_to_end(path: Path) -> str:
    path.write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    time.sleep(60)
    return "ended by itself"


class Timeouts(ExecutorTests):
    """What becomes of work that takes longer than it may."""

    def test_work_that_is_late_counts_as_timed_out(self) -> None:
        """The state is TimedOut soon after the timeout has passed, and everything else goes on."""
        late, state, good, took = self._late(_wait, 4.0)
        assert isinstance(state, TimedOut)
        assert isinstance(state.result, TaskTimeoutError)
        assert late.name in str(state.result)
        assert good.result == "ended by itself"
        assert took < 4.0 + self.kill_seconds

    def test_work_that_is_in_time_is_not_disturbed(self) -> None:
        """A timeout that does not pass changes nothing; those of the next tasks begin anew."""
        with Flow("in time") as flow:
            children = task(_wait, name="wait", timeout=30).map([0.05] * 6)
        assert self.run(flow).result[children].result == ["ended by itself"] * 6

    def test_work_that_is_late_is_tried_again(self) -> None:
        """Retries apply to what timed out."""
        with Flow("retried") as flow:
            late = task(_wait, name="wait", timeout=_LIMIT, max_retries=1, retry_delay=0)(3.0)
        state = self.run(flow).result[late]
        assert [type(each) for each in (*state.attempts, state)] == [TimedOut, TimedOut]

    def test_work_that_waits_does_not_go_on_when_it_is_late(self, tmp_path: Path) -> None:
        """With HARD_TIMEOUT a task that sleeps does not wake up after its timeout."""
        self.needs(Capability.HARD_TIMEOUT)
        self._is_killed(_wait_and_tell, 2.0, tmp_path / "woken")
        # It began before now, however long it took to get that far.
        time.sleep(2.0)
        assert not (tmp_path / "woken").exists()

    def test_one_long_call_of_c_code_is_killed_when_it_is_late(self, tmp_path: Path) -> None:
        """With HARD_TIMEOUT a task ends that runs no Python code in which it could be interrupted."""
        self.needs(Capability.HARD_TIMEOUT)
        self._is_killed(_work_in_one_c_call, tmp_path / "pid")
        self._are_gone(tmp_path / "pid")

    def test_work_that_ignores_signals_is_killed_when_it_is_late(self, tmp_path: Path) -> None:
        """With HARD_TIMEOUT a task ends that has masked every signal that can be masked."""
        self.needs(Capability.HARD_TIMEOUT)
        self._is_killed(_refuse_to_end, tmp_path / "pid")
        self._are_gone(tmp_path / "pid")

    def test_processes_that_late_work_has_started_are_killed_with_it(self, tmp_path: Path) -> None:
        """With HARD_TIMEOUT nothing that a task has started goes on after its timeout."""
        self.needs(Capability.HARD_TIMEOUT)
        path = tmp_path / "pid"

        def start() -> None:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            path.write_text(str(child.pid))
            child.wait()

        self._is_killed(start)
        self._are_gone(path)

    def _is_killed(self, function: Any, *args: Any) -> None:
        _, state, good, took = self._late(function, *args)
        assert isinstance(state, TimedOut), f"it became {state!r}: {state.result!r}"
        assert good.result == "ended by itself"
        assert took < _LIMIT + self.kill_seconds

    def _are_gone(self, pids: Path) -> None:
        deadline = time.monotonic() + self.kill_seconds
        while alive(int(pids.read_text())):
            assert time.monotonic() < deadline, "the process of the task goes on"
            time.sleep(0.05)

    def _late(self, function: Any, *args: Any) -> tuple[Any, State, State, float]:
        """Run late work beside other work; return its task, both states, and how long it all took."""
        with Flow("late") as flow:
            late = task(function, name="late", timeout=_LIMIT)(*args)
            good = task(_wait, name="good")(0.1)
        began = time.monotonic()
        states = self.run(flow).result
        return late, states[late], states[good], time.monotonic() - began
