"""A3: the processes that resume a run are killed as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.experiments.a1 import go_on
from tests.faults.recorded import Recorded

_SECONDS = 0.4
_MOST = 5


class KillAgain(Experiment):
    name = "A3"
    title = "the process that drives a run is killed, and up to five that resume it, one after the other"
    executors = ("local", "threads", "processes", "dask", "ray")
    seconds = 240.0
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0, "dask": 20.0, "ray": 20.0}

    def inside(self, trial: Trial) -> None:
        recorded, random = Recorded(trial), trial.random()
        for number in range(1 + random.randint(1, _MOST)):
            early = random.random() < 0.2
            with recorded.resuming() if number else recorded.running() as process:
                # One that is killed early may die while it looks at what the one before left.
                seconds = random.uniform(0.2, 0.8) if early else random.uniform(0, _SECONDS)
                alive = recorded.kill_after(process, seconds, from_start=early and number > 0)
            trial.findings.count("kills", alive)
        go_on(recorded)
        recorded.judge()
