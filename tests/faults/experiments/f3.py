"""F3: the scheduler of the cluster dies, or falls silent."""

from __future__ import annotations

import signal
import threading
import time

from tests.faults.dask_cluster import Cluster, make_executor
from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task, unmapped
from headrace.states import Crashed

_TASKS = 100
_LINK_TIMEOUT = 5.0
_SILENCE = 2.0
_SLACK = 10.0


def nap(log: SideLog, number: int) -> int:
    log.write("begin", "nap", number)
    time.sleep(0.1)
    return number


class Scheduler(Experiment):
    name = "F3"
    title = "the scheduler of the cluster is killed, stops for ever, or stops for a while"
    executors = ("dask",)
    seconds = 120.0

    def inside(self, trial: Trial) -> None:
        kind = trial.choose(["killed", "stopped", "silent for a while"])
        with Cluster(trial.folder) as cluster:
            cluster.add_workers(2)
            self._run(trial, cluster, kind)

    def _run(self, trial: Trial, cluster: Cluster, kind: str) -> None:
        with Flow("scheduler") as flow:
            naps = task(nap).map(unmapped(trial.log), list(range(_TASKS)))
        fault = _Fault(trial, cluster, kind)
        state = trial.run(flow, make_executor(cluster, link_timeout=_LINK_TIMEOUT))
        ended = time.monotonic()
        fault.join()
        findings, states = trial.findings, state.result[naps].map_states
        findings.none_of("run twice", [run for run, times in trial.log.count("begin").items() if times > 1])
        findings.none_of(
            "false states", [each for each in states if not isinstance(each, Crashed) and each.is_failed()]
        )
        crashed = [each for each in states if isinstance(each, Crashed)]
        if kind == "silent for a while":
            findings.none_of("false crashes", crashed)
            return
        findings.none_of(
            "crashes without an address", [each for each in crashed if cluster.address not in str(each.message)]
        )
        findings.none_of("wrong verdicts", [] if state.is_failed() and crashed else [state])
        findings.time("over after", ended - fault.moment, _LINK_TIMEOUT + _SLACK)


class _Fault(threading.Thread):
    """Does it to the scheduler once the run is under way."""

    def __init__(self, trial: Trial, cluster: Cluster, kind: str) -> None:
        super().__init__(daemon=True)
        self.moment = 0.0
        self._trial = trial
        self._process = cluster.scheduler
        self._kind = kind
        self.start()

    def run(self) -> None:
        self._trial.log.wait("begin", 10, 60)
        time.sleep(self._trial.random().uniform(0, 1))
        self.moment = time.monotonic()
        self._process.send_signal(signal.SIGKILL if self._kind == "killed" else signal.SIGSTOP)
        if self._kind == "silent for a while":
            time.sleep(_SILENCE)
            self._process.send_signal(signal.SIGCONT)
