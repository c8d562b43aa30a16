"""F1: workers are killed all the time."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from random import Random
from typing import Any

from tests.faults.experiment import Experiment, Trial
from tests.faults.leftovers import is_running
from tests.faults.sidelog import SideLog

from headrace import Engine, Flow, Task, context, task, unmapped
from headrace.exceptions import WorkerCrashedError
from headrace.plugins import TaskRunInfo, hookimpl
from headrace.states import State

_MAPPED = 400
_CHAIN = 50
# Short calls of one task, which some executors take together.
_STEPS = 300
_WORKERS = 4
# Seconds between two kills: a worker of a cluster takes as long to be replaced.
_PAUSES = {"processes": 0.1, "dask": 2.0, "ray": 2.0}
_AGAIN: dict[str, Any] = {"max_retries": 20, "retry_delay": 0.05, "retry_on": WorkerCrashedError}


def element(log: SideLog, number: int) -> int:
    return _work(log, 0.01 + number % 7 * 0.01, number)


def double(log: SideLog, number: int) -> int:
    return _work(log, 0.005, 2 * number)


def link(log: SideLog, number: int) -> int:
    return _work(log, 0.02, number + 1)


def step(log: SideLog, number: int) -> int:
    return _work(log, 0.003, number + 1)


def total(log: SideLog, numbers: list[int]) -> int:
    return _work(log, 0.02, sum(numbers))


def _work(log: SideLog, seconds: float, result: int) -> int:
    log.write("begin", _name(context.task_slug, context.map_index))
    time.sleep(seconds)
    log.write("end", _name(context.task_slug, context.map_index))
    return result


def _name(slug: str, map_index: int | None) -> str:
    return slug if map_index is None else f"{slug}[{map_index}]"


class Recorder:
    """Notes when the process that drives the run learnt that a task run had succeeded."""

    def __init__(self) -> None:
        self.moments: dict[str, float] = {}

    @hookimpl
    def headrace_task_state_changed(self, task_run: TaskRunInfo, new: State) -> None:
        if new.is_successful():
            self.moments[_name(task_run.task_slug, task_run.map_index)] = time.monotonic()


class Killer(threading.Thread):
    """Kills the process of a task that runs, again and again."""

    def __init__(self, log: SideLog, random: Random, pause: float) -> None:
        super().__init__(daemon=True)
        self.kills = 0
        self._log = log
        self._random = random
        self._pause = pause
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._pause * self._random.uniform(0.5, 1.5)):
            last = {entry.pid: entry.event for entry in self._log.read()}
            found = [pid for pid, event in last.items() if event == "begin" and is_running(pid)]
            if found:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(found), signal.SIGKILL)
                    self.kills += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


class Killing(Experiment):
    name = "F1"
    title = "the processes of tasks are killed all the time during a run of 1,151 tasks, which tries those again"
    executors = ("processes", "dask", "ray")
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        flow, elements, doubled, last, added, steps = _flow(trial.log)
        recorder, killer = Recorder(), Killer(trial.log, trial.random(), _PAUSES[trial.executor])
        killer.start()
        executor = trial.make_executor(workers=_WORKERS)
        states = trial.run(flow, executor, engine=Engine(plugins=[recorder])).result
        killer.stop()
        findings = trial.findings
        findings.count("kills", killer.kills)
        children = [*states[elements].map_states, *states[doubled].map_states]
        findings.none_of("lost", [e for e in [*children, states[last], states[steps]] if not e.is_successful()])
        expected = (_MAPPED * (_MAPPED - 1), _CHAIN, _MAPPED * (_MAPPED - 1) + _STEPS)
        found = (states[added].result, states[last].result, states[steps].result)
        findings.none_of("wrong results", [] if found == expected else [found])
        findings.count("begun again", sum(times - 1 for times in trial.log.count("begin").values()))
        late = [
            e.task for e in trial.log.read() if e.event == "begin" and e.moment > recorder.moments.get(e.task, e.moment)
        ]
        findings.none_of("begun again when finished", late)


def _flow(log: SideLog) -> tuple[Flow, Task, Task, Task, Task, Task]:
    with Flow("killing") as flow:
        elements = task(element, **_AGAIN).map(unmapped(log), list(range(_MAPPED)))
        doubled = task(double, **_AGAIN).map(unmapped(log), elements)
        last = task(link, **_AGAIN)(log, 0)
        for number in range(1, _CHAIN):
            last = task(link, name=f"link {number}", **_AGAIN)(log, last)
        added = task(total, **_AGAIN)(log, doubled)
        one_step, steps = task(step, **_AGAIN), added
        for _ in range(_STEPS):
            steps = one_step(log, steps)
    return flow, elements, doubled, last, added, steps
