"""B5: tasks fork, use multiprocessing, and open the history themselves."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial

from headrace import Flow, task
from headrace_plugins.sqlite.store import SQLiteRunStore

_COUNT = 8


def forking(number: int) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return number


def pooling(number: int) -> int:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(abs, [number, -number]))


def reading(number: int) -> int:
    with SQLiteRunStore("sqlite:.headrace/history/runs.db") as store:
        return number + len(list(store.runs())) - 1


def recording(number: int) -> int:
    with Flow("inner") as inner:
        last = task(abs, name="abs")(-number)
    return int(inner.run(record=True).result[last].result)


class Forks(Experiment):
    name = "B5"
    title = "tasks of a recorded run fork, use multiprocessing, read the history, and record runs of their own"
    executors = ("local", "threads", "processes")
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0}

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        # A fork of a process with threads may find locks held by threads that it does not have.
        kinds = [forking, reading] if trial.executor == "threads" else [forking, pooling, reading]
        with Flow("forks") as flow:
            mapped = [task(kind).map(list(range(_COUNT))) for kind in [*kinds, recording]]
        executor = trial.make_executor(4)
        final = flow.run(executor=executor, record=True, keep_results="all")
        findings = trial.findings
        states = [state for each in mapped[:-1] for state in final.result[each].map_states]
        findings.none_of("failed", [state for state in states if not state.is_successful()])
        with SQLiteRunStore(f"sqlite:{Path.cwd()}/.headrace/history/runs.db") as store:
            findings.none_of("corrupted", store.check())
            ends = [run.state for run in store.runs() if run.flow_name == "forks"]
            findings.none_of("untrue states", [] if ends == [type(final).__name__] else ends)
            findings.none_of("runs that are not over", [run for run in store.runs() if run.ended is None])
