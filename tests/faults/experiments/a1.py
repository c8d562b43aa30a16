"""A1: the process that drives a recorded run is killed, and the run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.recorded import Recorded, now

_SECONDS = 0.9


class Kill(Experiment):
    name = "A1"
    title = "the process that drives a run of 474 tasks is killed at a random moment, and the run is resumed"
    executors = ("local", "threads", "processes", "dask", "ray")
    seconds = 180.0
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0, "dask": 20.0, "ray": 20.0}

    def inside(self, trial: Trial) -> None:
        recorded, random = Recorded(trial), trial.random()
        # Once in a while it dies before its first task, or amid the beginning of the run.
        early = trial.seed % 10 == 0
        with recorded.running() as process:
            alive = recorded.kill_after(process, random.uniform(0, 0.8 if early else _SECONDS), from_start=early)
        trial.findings.count("kills", alive)
        go_on(recorded)
        recorded.judge()


def go_on(recorded: Recorded) -> None:
    """Resume the last run, or run the flow if it was killed before there was one, and wait for the end."""
    with recorded.store() as store:
        is_there = recorded.last_run(store) is not None
    began = now()
    with recorded.resuming() if is_there else recorded.running() as process:
        recorded.finish(process, began)
