"""A2: the process that drives a run dies at a fault point, at each of them in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.experiments.a1 import go_on
from tests.faults.recorded import Recorded

from headrace.fault_points import POINTS

# Those that are reached for each task run: one of the first hundreds.
_OFTEN = ("file.", "database.", "journal.append")


class Point(Experiment):
    name = "A2"
    title = f"the process that drives a run kills itself at one of {len(POINTS)} fault points, and the run is resumed"
    executors = ("local", "threads", "processes")
    seconds = 180.0
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0}

    def inside(self, trial: Trial) -> None:
        recorded, random = Recorded(trial), trial.random()
        point = trial.choose(POINTS)
        if point.startswith("sweep."):
            with recorded.running() as process:
                recorded.kill_after(process, 0.3)
        number = random.choice([1, 1, 2, random.randint(1, 600)]) if point.startswith(_OFTEN) else 1
        recorded.faults = f"{point}=kill@{number}"
        # Large results are written where tasks run: what dies there may be a worker.
        recorded.ends.add("Failed")
        with recorded.resuming() if recorded.moments else recorded.running() as process:
            died = recorded.wait(process)
        recorded.faults = ""
        trial.findings.count("died at a point", died)
        trial.findings.count("ended before it was reached", not died)
        go_on(recorded)
        recorded.judge()
