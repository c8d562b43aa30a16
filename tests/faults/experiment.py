"""What an experiment is, and one trial of it."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from tests.faults.findings import Findings
from tests.faults.platforms import make_executor
from tests.faults.sidelog import SideLog

from headrace import Engine, Flow
from headrace.abc import Executor
from headrace.states import State


@dataclass(kw_only=True, slots=True)
class Trial:
    """One trial, in a process of its own. What it does follows from ``seed``, apart from who is how fast."""

    executor: str
    seed: int
    folder: Path
    findings: Findings = field(default_factory=Findings)

    @property
    def log(self) -> SideLog:
        """What tasks write to."""
        return SideLog(self.folder / "side.log")

    def random(self) -> Random:
        """Return a new source of the trial's random numbers."""
        return Random(self.seed)

    def choose(self, kinds: Sequence[str]) -> str:
        """Return one of the kinds of fault; trials with consecutive seeds have them in turn."""
        return kinds[self.seed % len(kinds)]

    def make_executor(self, workers: int, **options: Any) -> Executor:
        """Return a new executor of the kind under test."""
        return make_executor(self.executor, workers, **options)

    def run(self, flow: Flow, executor: Executor, engine: Engine | None = None) -> State:
        """Run to the end, also if a task interrupts the run; keep all results."""
        ended: list[State] = []

        def note(_: Flow, __: State, new: State) -> State:
            ended.append(new)
            return new

        flow.state_handlers.append(note)
        with suppress(KeyboardInterrupt):
            return flow.run(executor=executor, engine=engine, keep_results="all")
        return ended[-1]


class Experiment(ABC):
    """A fault, and what must hold all the same.

    Attributes:
        name: its number in the list of experiments.
        title: what is done.
        executors: those it makes sense for, the first of them unless another is asked for.
        seconds: after how long a trial counts as hanging.
        settle: how long processes of a trial may take to be gone after the process that drove the run has ended, in
            seconds, by executor.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    executors: ClassVar[Sequence[str]] = ("processes",)
    seconds: ClassVar[float] = 60.0
    settle: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    def inside(self, trial: Trial) -> None:
        """Do it, in the process of the trial, and note what was found."""

    def outside(self, trial: Trial, process: subprocess.Popen[bytes]) -> int:
        """Do meanwhile what has to be done to the process of the trial, and return its exit code.

        Raises subprocess.TimeoutExpired if it does not end in time.
        """
        code = process.wait(self.seconds)
        trial.findings.expect(code == 0, f"the process that drove the run ended with {code}")
        return code
