"""C1: one of many tasks that run at the same time takes its process with it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task
from headrace.exceptions import WorkerCrashedError
from headrace.states import Crashed, State

_SIBLINGS = 19
_PATIENCE = 30.0


def _exit() -> None:
    os._exit(7)


def _segfault() -> None:
    ctypes.string_at(0)


def _abort() -> None:
    os.abort()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_DEATHS: Mapping[str, tuple[Callable[[], None], dict[str, Any]]] = {
    "exit": (_exit, {"exit_code": 7, "signal": None}),
    "SIGSEGV": (_segfault, {"exit_code": None, "signal": "SIGSEGV"}),
    "SIGABRT": (_abort, {"exit_code": None, "signal": "SIGABRT"}),
    "SIGKILL": (_kill, {"exit_code": None, "signal": "SIGKILL"}),
}


def victim(log: SideLog, death: str, delay: float) -> None:
    log.write("begin", "victim")
    log.wait("begin", _SIBLINGS + 1, _PATIENCE)
    time.sleep(delay)
    log.write("death", "victim")
    _DEATHS[death][0]()


def sibling(log: SideLog, number: int) -> int:
    log.write("begin", "sibling", number)
    log.wait("death", 1, _PATIENCE)
    # Long enough for the news of the death to have gone round.
    time.sleep(0.2)
    log.write("end", "sibling", number)
    return number


def follower(log: SideLog, number: int) -> int:
    log.write("end", "follower", number)
    return number


class Crash(Experiment):
    name = "C1"
    title = "one of 20 tasks that run at the same time exits or dies of SIGSEGV, SIGABRT or SIGKILL"

    def inside(self, trial: Trial) -> None:
        random = trial.random()
        death = trial.choose(list(_DEATHS))
        place = random.randrange(_SIBLINGS + 1)
        with Flow("crash") as flow:
            siblings = []
            for number in range(_SIBLINGS + 1):
                if number == place:
                    doomed = task(victim)(trial.log, death, random.uniform(0, 0.1))
                else:
                    siblings.append(task(sibling)(trial.log, number))
            followers = task(follower).map([trial.log] * 20, [*siblings, 0])
        states = trial.run(flow, trial.make_executor(workers=20, kill_grace=1)).result
        _check_verdict(trial, states[doomed], death)
        findings = trial.findings
        findings.none_of("collateral", [str(states[each]) for each in siblings if not states[each].is_successful()])
        findings.none_of("lost", [str(each) for each in states[followers].map_states if not each.is_successful()])
        findings.none_of("run twice", [run for run, times in trial.log.count("begin").items() if times > 1])


def _check_verdict(trial: Trial, state: State, death: str) -> None:
    error = state.result
    named = isinstance(error, WorkerCrashedError) and {"exit_code": error.exit_code, "signal": error.signal}
    right = isinstance(state, Crashed) and named == _DEATHS[death][1]
    trial.findings.none_of("wrong verdicts", [] if right else [f"{death} was reported as {state!r}"])
