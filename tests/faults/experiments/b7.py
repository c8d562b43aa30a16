"""B7: many processes want the same result of a cached task."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, Parameter, task

_PROCESSES = 8
_SIZE = 200_000


@task(cache_for=3600)
def compute(folder: str) -> bytes:
    log = SideLog(Path(folder) / "side.log")
    log.write("begin", "compute")
    time.sleep(0.2)
    return b"x" * _SIZE


@task
def length(folder: str, data: bytes) -> None:
    SideLog(Path(folder) / "side.log").write("length", "length", len(data))


with Flow("cached") as flow:
    where = Parameter("folder")
    length(where, compute(where))


class Race(Experiment):
    name = "B7"
    title = f"{_PROCESSES} processes want the same result of a cached task at the same moment"
    executors = ("local", "threads")
    seconds = 120.0

    def inside(self, trial: Trial) -> None:
        command = [sys.executable, "-m", "headrace", "run", "-m", f"{__name__}:flow", "-p", f"folder={trial.folder}"]
        command += ["--executor", trial.executor]
        children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(_PROCESSES)]
        codes = [child.wait(100) for child in children]
        trial.findings.none_of("runs that failed", [code for code in codes if code])
        computed = sum(trial.log.count("begin").values())
        trial.findings.none_of("computed again", range(computed - 1))
        lengths = trial.log.count("length")
        right = lengths == {("length", _SIZE): _PROCESSES}
        trial.findings.none_of("partial results", [] if right else [lengths])
