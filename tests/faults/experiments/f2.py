"""F2: a task kills every worker that it is given to."""

from __future__ import annotations

import os
import signal
import time

from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task, unmapped
from headrace.exceptions import WorkerCrashedError
from headrace.states import Crashed

_OTHERS = 20
_RETRIES = 2


def poison(log: SideLog) -> None:
    log.write("begin", "poison")
    os.kill(os.getpid(), signal.SIGKILL)


def other(log: SideLog, number: int) -> int:
    log.write("begin", "other", number)
    time.sleep(0.1)
    return number


class Poison(Experiment):
    name = "F2"
    title = "a task kills every worker it runs on, and is tried twice again, or not at all"
    executors = ("processes", "dask", "ray")
    seconds = 120.0

    def inside(self, trial: Trial) -> None:
        retries = {"max_retries": _RETRIES, "retry_delay": 0.1} if trial.choose(["tried again", "not"]) != "not" else {}
        with Flow("poison") as flow:
            doomed = task(poison, **retries)(trial.log)
            again = {"max_retries": 10, "retry_delay": 0.1, "retry_on": WorkerCrashedError}
            others = task(other, **again).map(unmapped(trial.log), list(range(_OTHERS)))
            after = task(other)(trial.log, _OTHERS, upstream_tasks=[others])
        states = trial.run(flow, trial.make_executor(workers=2)).result
        findings = trial.findings
        right = isinstance(states[doomed], Crashed) and isinstance(states[doomed].result, WorkerCrashedError)
        findings.none_of("wrong verdicts", [] if right else [states[doomed]])
        begun = trial.log.count("begin")
        tries = begun["poison", 0]
        findings.count("workers killed", tries)
        findings.none_of("tried too often", [tries] if tries != 1 + retries.get("max_retries", 0) else [])
        lost = [each for each in [*states[others].map_states, states[after]] if not each.is_successful()]
        findings.none_of("lost", lost)
        findings.none_of("collateral", [run for run, times in begun.items() if run[0] == "other" and times > 1])
