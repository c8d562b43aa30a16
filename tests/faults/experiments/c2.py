"""C2: a task eats memory, up to a limit of its own or until the kernel kills it."""

from __future__ import annotations

import os
import subprocess
import time

from tests.faults import memory_group
from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task
from headrace.exceptions import WorkerCrashedError
from headrace.states import Crashed, State

_BLOCK = 1_000_000
_WORKER_LIMIT = 700_000_000
_GROUP_LIMIT = 500_000_000
_PATIENCE = 20.0


def eater(log: SideLog) -> None:
    log.wait("begin", 3, _PATIENCE)
    held = []
    while True:
        held.append(b"x" * _BLOCK)


def sibling(log: SideLog, number: int) -> int:
    log.write("begin", "sibling", number)
    time.sleep(0.5)
    log.write("end", "sibling", number)
    return number


def follower() -> int:
    return os.getpid()


class Memory(Experiment):
    name = "C2"
    title = "one task eats memory, until RLIMIT_AS or the kernel stops it"

    def inside(self, trial: Trial) -> None:
        kind = trial.choose(["kernel", "limit"])
        if kind == "kernel" and not memory_group.enter(_group(trial), _GROUP_LIMIT):
            trial.findings.count("without the right to limit memory")
            return
        with Flow("memory") as flow:
            siblings = [task(sibling)(trial.log, number) for number in range(3)]
            doomed = task(eater)(trial.log)
            after = task(follower)(upstream_tasks=siblings)
        limit = _WORKER_LIMIT if kind == "limit" else None
        states = trial.run(flow, trial.make_executor(workers=4, memory_limit=limit)).result
        findings = trial.findings
        findings.count(f"stopped by the {kind}", int(_is_right(kind, states[doomed])))
        findings.none_of("wrong verdicts", [] if _is_right(kind, states[doomed]) else [f"{kind}: {states[doomed]!r}"])
        findings.none_of("collateral", [str(states[each]) for each in siblings if not states[each].is_successful()])
        findings.none_of("lost", [] if states[after].is_successful() else [states[after]])

    def outside(self, trial: Trial, process: subprocess.Popen[bytes]) -> int:
        try:
            return super().outside(trial, process)
        finally:
            memory_group.remove(_group(trial))


def _group(trial: Trial) -> str:
    return trial.folder.name


def _is_right(kind: str, state: State) -> bool:
    error = state.result
    if kind == "limit":
        return state.is_failed() and not isinstance(state, Crashed) and isinstance(error, MemoryError)
    killed = isinstance(error, WorkerCrashedError) and error.signal == "SIGKILL"
    return isinstance(state, Crashed) and killed and "ran out of memory" in str(error)
