"""E2: a history with very many task runs is listed, shown and made smaller."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial

from headrace.abc import RunJournal
from headrace.engine.runs import new_run_id
from headrace.history import RunRecord, TaskRecord
from headrace_plugins.sqlite.store import SQLiteRunStore

_SMALL, _LARGE = 100_000, 1_000_000
_PER_RUN = 5_000
_PRUNED = 100_000
_TRIES = 5
# In seconds: `headrace runs` beyond its start-up, and removing as many task runs as `_PRUNED`.
_LISTING, _PRUNING = 0.150, 5.0


class LargeHistory(Experiment):
    name = "E2"
    title = "a history of 100,000 task runs, or with every tenth seed a million, is listed and made smaller"
    executors: ClassVar[Sequence[str]] = ("local",)
    seconds: ClassVar[float] = 300.0

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        small, large = _project(trial.folder / "small"), _project(trial.folder / "large")
        with SQLiteRunStore(f"sqlite:{small}") as store:
            _begin(store, "only").ended("Success", None, 12.0)
        runs = list(_fill(large, _SMALL if trial.seed % 10 else _LARGE))
        beyond = _fastest(trial.folder / "large", "runs") - _fastest(trial.folder / "small", "runs")
        trial.findings.time("listed beyond start-up in", max(0.0, beyond))
        trial.findings.expect(beyond < _LISTING, f"`headrace runs` took {1000 * beyond:.0f} ms beyond its start-up")
        trial.findings.time("shown in", _fastest(trial.folder / "large", "show", "latest"))
        with SQLiteRunStore(f"sqlite:{large}") as store:
            began = time.monotonic()
            pruned = runs[: _PRUNED // _PER_RUN]
            for run_id in pruned:
                store.delete(run_id)
            took = time.monotonic() - began
            trial.findings.time(f"{_PRUNED:,} pruned in", took)
            trial.findings.expect(took < _PRUNING, f"pruning {_PRUNED:,} task runs took {took:.1f} s")
            trial.findings.none_of("corrupted", store.check())
            left = len(list(store.runs()))
            trial.findings.expect(left == len(runs) - len(pruned), f"{left} of {len(runs)} runs are left")


def _project(folder: Path) -> Path:
    """Make a project, and return where its history is."""
    history = folder / ".headrace" / "history"
    history.mkdir(parents=True)
    return history / "runs.db"


def _begin(store: SQLiteRunStore, name: str) -> RunJournal:
    run = RunRecord(id=new_run_id(), name=name, flow_name="etl", created=time.time())
    return store.begin(run, [TaskRecord(node=0, slug="task-1", name="task", mapped=True)])


def _fill(path: Path, count: int) -> Iterator[str]:
    """Write runs with ``count`` task runs in all, and yield their ids."""
    with SQLiteRunStore(f"sqlite:{path}") as store:
        for number in range(count // _PER_RUN):
            journal = _begin(store, f"run {number}")
            journal.finished(0, -1, 1, "Mapped", None, 10.0, 11.0)
            journal.ended("Success", None, 12.0)
        ids = [run.id for run in store.runs()]
    # Task runs themselves in the fastest way there is: how they come there is not what this is about.
    connection = sqlite3.connect(path)
    with connection:
        for (key,) in connection.execute("SELECT key FROM runs").fetchall():
            connection.executemany(
                "INSERT INTO task_runs (run, node, map_index, attempt, state, started, entered, finished, data, size,"
                " is_exception) VALUES (?, 0, ?, 1, 'Success', 10.0, 11.0, 1, ?, 40, 0)",
                ((key, index, b"x" * 40) for index in range(_PER_RUN - 1)),
            )
            connection.execute("INSERT INTO counts VALUES (?, 'Success', ?)", (key, _PER_RUN - 1))
    connection.close()
    yield from ids


def _fastest(folder: Path, *arguments: str) -> float:
    """Return how many seconds a command took when nothing was in its way."""
    found = []
    for _ in range(_TRIES):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "headrace", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        found.append(time.monotonic() - began)
    return min(found)
