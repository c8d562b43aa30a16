"""Experiments that go wrong on purpose, for the tests of what runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.faults.experiment import Experiment, Trial


class Fine(Experiment):
    name = "FINE"
    title = "nothing"

    def inside(self, trial: Trial) -> None:
        trial.findings.count("apples", trial.seed)
        trial.findings.time("waited", trial.seed / 10)


class Broken(Experiment):
    name = "BROKEN"
    title = "an odd seed is a fault"

    def inside(self, trial: Trial) -> None:
        print("what it printed")
        trial.findings.none_of("odd", [trial.seed] if trial.seed % 2 else [])


class Raising(Experiment):
    name = "RAISING"
    title = "the process that drives the run ends in an error"

    def inside(self, trial: Trial) -> None:
        raise RuntimeError("out of luck")


class Hanging(Experiment):
    name = "HANGING"
    title = "the process that drives the run never ends"
    seconds = 1.0

    def inside(self, trial: Trial) -> None:
        time.sleep(60)


class Leaving(Experiment):
    name = "LEAVING"
    title = "a process without parent is left in a session of its own"

    def inside(self, trial: Trial) -> None:
        if os.fork() == 0:
            os.setsid()
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            os._exit(0)
        time.sleep(0.3)


KNOWN = {each.name: each for each in (Fine(), Broken(), Raising(), Hanging(), Leaving())}
