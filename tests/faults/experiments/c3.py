"""C3: a task does not end when its time is up, in every way there is not to."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from tests.faults import leftovers
from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task
from headrace.states import TimedOut

_TIMEOUT = 1.0
_GRACE = 1.0
_SLACK = 0.5
_FOR_EVER = 3600


def _sleep() -> None:
    time.sleep(_FOR_EVER)


def _receive() -> None:
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def _match() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def _compute_in_c() -> None:
    max(range(10**15))


def _hold_the_interpreter_lock() -> None:
    # A mutex is all zeros, and taking it twice never returns; PyDLL does not release the lock of the interpreter.
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(256)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def _ignore_the_request() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _catch_everything()


def _catch_everything() -> None:
    while True:
        with suppress(BaseException):
            time.sleep(_FOR_EVER)


def _block_all_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(_FOR_EVER)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _wait_for_a_child() -> None:
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({_FOR_EVER})"], check=False)


def _wait_for_a_thread() -> None:
    thread = threading.Thread(target=time.sleep, args=(_FOR_EVER,))
    thread.start()
    thread.join()


_WAYS: Mapping[str, Callable[[], None]] = {
    way.__name__.strip("_").replace("_", " "): way
    for way in (
        _compute_in_c,
        _ignore_the_request,
        _hold_the_interpreter_lock,
        _block_all_signals,
        _match,
        _catch_everything,
        _stop,
        _sleep,
        _receive,
        _wait_for_a_child,
        _wait_for_a_thread,
    )
}


def hanging(log: SideLog, way: str) -> None:
    log.write("begin", "hanging")
    _WAYS[way]()


def other(number: int) -> int:
    time.sleep(0.1)
    return number


class Deadline(Experiment):
    name = "C3"
    title = "a task with a timeout of 1 s hangs, in 11 ways: in C code, with signals ignored or blocked, stopped, ..."

    def inside(self, trial: Trial) -> None:
        way = trial.choose(list(_WAYS))
        with Flow("deadline") as flow:
            late = task(hanging, timeout=_TIMEOUT)(trial.log, way)
            others = task(other).map(list(range(20)))
        watch = _Watch(trial.log)
        states = trial.run(flow, trial.make_executor(workers=2, kill_grace=_GRACE)).result
        watch.join()
        findings = trial.findings
        findings.none_of("wrong verdicts", [] if isinstance(states[late], TimedOut) else [f"{way}: {states[late]!r}"])
        findings.none_of("collateral", [each for each in states[others].map_states if not each.is_successful()])
        findings.time("process gone after", watch.seconds, _TIMEOUT + _GRACE + _SLACK)


class _Watch(threading.Thread):
    """Measures how long the process of the task that hangs exists after the task began."""

    def __init__(self, log: SideLog) -> None:
        super().__init__(daemon=True)
        self.seconds = float("inf")
        self._log = log
        self.start()

    def run(self) -> None:
        self._log.wait("begin", 1, 30)
        for entry in self._log.read():
            while leftovers.is_running(entry.pid):
                time.sleep(0.005)
            self.seconds = time.monotonic() - entry.moment
