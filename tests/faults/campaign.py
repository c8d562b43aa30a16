"""Many trials of one experiment: each in a process of its own, which is watched, and what all of them found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.faults import leftovers
from tests.faults.experiment import Experiment, Trial
from tests.faults.findings import Findings
from tests.faults.trial import FINDINGS

_ROOT = Path(__file__).parents[2]
_LINES = 12
_SETTLE = 0.5
_SECONDS_TO_SAY_WHERE = 5.0
LEFT = "left processes"
HANGS = "hangs"


@dataclass(kw_only=True, slots=True)
class Tally:
    """What all trials of an experiment found; ``failed`` counts those in which an invariant broke."""

    experiment: str
    executor: str
    trials: int = 0
    failed: int = 0
    findings: Findings = field(default_factory=Findings)


def run_trials(experiment: Experiment, executor: str, *, seed: int, count: int, say: Callable[[str], None]) -> Tally:
    """Run ``count`` trials with the seeds from ``seed`` on; say what broke in each, and how to see it again."""
    tally = Tally(experiment=experiment.name, executor=executor)
    for each in range(seed, seed + count):
        trial, output = run_trial(experiment, executor, each)
        tally.trials += 1
        tally.findings.add(trial.findings)
        if trial.findings.broken:
            tally.failed += 1
            say(f"{experiment.name} on {executor} broke: {'; '.join(trial.findings.broken)}")
            say("".join(f"    {line}\n" for line in output.splitlines()[-_LINES:]).rstrip())
            say(f"    again: python -m tests.faults {experiment.name} --executor {executor} --seed {each} --count 1")
    return tally


def run_trial(experiment: Experiment, executor: str, seed: int) -> tuple[Trial, str]:
    """Run one trial; return it with what its process printed."""
    with tempfile.TemporaryDirectory(prefix="headrace-faults-", ignore_cleanup_errors=True) as name:
        trial = Trial(executor=executor, seed=seed, folder=Path(name))
        output = trial.folder / "output.txt"
        with _process(experiment, trial, output) as (process, mark):
            _watch(experiment, trial, process)
            _look_for_processes(experiment, trial, mark)
        found = trial.folder / FINDINGS
        if found.exists():
            trial.findings.add(Findings.from_json(json.loads(found.read_text(encoding="utf-8"))))
        return trial, output.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _process(experiment: Experiment, trial: Trial, output: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start the process of a trial; in the end, kill it and all that it has started."""
    mark = uuid4().hex
    place = f"{type(experiment).__module__}:{type(experiment).__qualname__}"
    command = ["-m", "tests.faults.trial", place, trial.executor, str(trial.seed), str(trial.folder)]
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=trial.folder,
            env={**os.environ, "PYTHONPATH": paths, leftovers.MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            # As a terminal would: it leads a process group, which Ctrl-C goes to.
            start_new_session=True,
        )
    try:
        yield process, mark
    finally:
        leftovers.kill(leftovers.marked(mark))
        process.kill()
        process.wait()


def _watch(experiment: Experiment, trial: Trial, process: subprocess.Popen[bytes]) -> None:
    trial.findings.count(HANGS, 0)
    try:
        experiment.outside(trial, process)
    except subprocess.TimeoutExpired:
        trial.findings.none_of(HANGS, [f"not over after {experiment.seconds:g} s"])
        process.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_SAY_WHERE)
        process.kill()
        process.wait()


def _look_for_processes(experiment: Experiment, trial: Trial, mark: str) -> None:
    began = time.monotonic()
    left = leftovers.left(mark, experiment.settle.get(trial.executor, _SETTLE))
    trial.findings.none_of(LEFT, map(leftovers.shown, left))
    trial.findings.time("all gone after", time.monotonic() - began)
