"""C4: a task leaves processes behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, NoReturn

from tests.faults import leftovers
from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task

_LIFE = 60.0
_TIMEOUT = 1.0
_GRACE = 0.5


def _in_a_new_process(call: Callable[[], object]) -> None:
    if os.fork() == 0:
        try:
            call()
        finally:
            os._exit(0)


def _live() -> None:
    time.sleep(_LIFE)


def _child() -> None:
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({_LIFE})"])


def _session() -> None:
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({_LIFE})"], start_new_session=True)


def _daemon() -> None:
    """Leave a process without parent, in a session of its own."""

    def fork_again() -> None:
        os.setsid()
        _in_a_new_process(_live)

    _in_a_new_process(fork_again)


def _stubborn() -> None:
    """Leave one that ignores and blocks whatever can be."""

    def refuse() -> None:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _live()

    _in_a_new_process(refuse)


def _family() -> None:
    """Leave a process that goes on having children."""

    def breed() -> None:
        os.setsid()
        for _ in range(int(_LIFE / 0.02)):
            _in_a_new_process(_live)
            time.sleep(0.02)

    _in_a_new_process(breed)


def _runner() -> None:
    """Leave a process that is followed by its child every hundredth of a second."""

    def run() -> None:
        give_up_at = time.monotonic() + _LIFE
        while time.monotonic() < give_up_at:
            os.setsid()
            if os.fork():
                os._exit(0)
            time.sleep(0.01)

    _in_a_new_process(run)


_OFFSPRING: Mapping[str, Callable[[], None]] = {
    "daemon": _daemon,
    "child": _child,
    "stubborn": _stubborn,
    "session": _session,
    "family": _family,
    "runner": _runner,
}
_ENDS = ("timeout", "cancel", "crash", "return", "driver killed")


def parent(log: SideLog, offspring: str, end: str) -> None:
    mark = os.environ[leftovers.MARK]
    before = len(leftovers.marked(mark))
    _OFFSPRING[offspring]()
    # Whatever it is has moved away from here by now.
    time.sleep(0.3)
    log.write("begin", "parent", len(leftovers.marked(mark)) - before)
    if end == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if end != "return":
        _for_ever()


def _for_ever() -> NoReturn:
    while True:
        time.sleep(1)


class Offspring(Experiment):
    name = "C4"
    title = "a task leaves daemons and other processes behind, and times out, is cancelled, crashes or returns"
    # If the driver is killed, its supervisor kills the workers, and then what they leave behind.
    settle: ClassVar[Mapping[str, float]] = {"processes": 5.0}

    def inside(self, trial: Trial) -> None:
        offspring, end = _kind(trial)
        with Flow("offspring") as flow:
            task(parent, timeout=_TIMEOUT if end == "timeout" else None)(trial.log, offspring, end)
        mark = os.environ[leftovers.MARK]
        trial.run(flow, trial.make_executor(workers=2, kill_grace=_GRACE))
        left = leftovers.marked(mark)
        trial.findings.none_of("left by the run", map(leftovers.shown, left))
        trial.findings.count("left by the task", max(number for _, number in trial.log.count("begin")))

    def outside(self, trial: Trial, process: subprocess.Popen[bytes]) -> int:
        _, end = _kind(trial)
        if end not in {"cancel", "driver killed"}:
            return super().outside(trial, process)
        trial.log.wait("begin", 1, self.seconds)
        if end == "cancel":
            process.send_signal(signal.SIGINT)
            return super().outside(trial, process)
        process.kill()
        return process.wait(self.seconds)


def _kind(trial: Trial) -> tuple[str, str]:
    # All pairs come up within as many trials.
    return trial.choose(list(_OFFSPRING)), _ENDS[trial.seed % len(_ENDS)]
