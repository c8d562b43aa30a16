"""B1: many processes record runs in one history, while others read it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

from tests.faults import hammer
from tests.faults.experiment import Experiment, Trial

from headrace_plugins.sqlite.store import SQLiteRunStore

_PROCESSES = 8
_RUNS = 50
_TASKS = 40


class Many(Experiment):
    name = "B1"
    title = f"{_PROCESSES} processes record {_RUNS} runs of {_TASKS} tasks each in one history, which is read meanwhile"
    executors = ("local",)
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        url = f"sqlite:{trial.folder}/runs.db"
        said, looks, errors = hammered(url, _PROCESSES, _RUNS, _TASKS)
        findings = trial.findings
        findings.none_of("errors of writers", [error for each in said for error in each["errors"]])
        findings.none_of("errors of readers", errors)
        findings.count("looks", looks)
        commits = sorted(second for each in said for second in each["commits"])
        findings.time("99th percentile of a commit", commits[int(0.99 * (len(commits) - 1))])
        check(trial, url, said, _TASKS)


def hammered(url: str, processes: int, runs: int, tasks: int) -> tuple[list[dict[str, Any]], int, list[str]]:
    """Let so many processes record; return what they said, how often somebody looked meanwhile, and his errors."""
    command = [sys.executable, "-m", hammer.__name__, url, str(runs), str(tasks)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    over, looks, errors = threading.Event(), [0], list[str]()

    def look() -> None:
        with SQLiteRunStore(url) as store:
            while not over.is_set():
                try:
                    sum(1 for run in store.runs() for _ in store.task_runs(run.id))
                except Exception as error:
                    errors.append(repr(error))
                looks[0] += 1
                time.sleep(0.01)

    reader = threading.Thread(target=look)
    reader.start()
    said = [json.loads(child.communicate()[0]) for child in children]
    over.set()
    reader.join()
    return said, looks[0], errors


def check(trial: Trial, url: str, said: list[dict[str, Any]], tasks: int) -> None:
    """Compare the history with what the processes have said."""
    with SQLiteRunStore(url) as store:
        trial.findings.none_of("corrupted", store.check())
        found = {run.id: dict(run.counts) for run in store.runs()}
    wanted = [run for each in said for run in each["runs"]]
    trial.findings.count("runs", len(wanted))
    trial.findings.none_of("lost", [run for run in wanted if found.get(run) != {"Success": tasks}])
