"""A8: bytes of the history are changed, or its end is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.faults.experiment import Experiment, Trial
from tests.faults.small_flow import Small

from headrace.exceptions import HistoryError
from headrace.history import Finding
from headrace_plugins.sqlite.store import SQLiteRunStore

_MUTATIONS = 25
_RUNS = 5


class Mutations(Experiment):
    name = "A8"
    title = f"bytes of a history are changed, or its end is cut off, in {_MUTATIONS} ways; then it is repaired"
    executors = ("local",)
    seconds = 180.0

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        for _ in range(_RUNS):
            Small(trial.folder, trial.findings).run()
        original = trial.folder / ".headrace" / "history" / "runs.db"
        random = trial.random()
        for number in range(_MUTATIONS):
            folder = trial.folder / str(number)
            folder.mkdir()
            shutil.copy(original, folder / "runs.db")
            _mutate(folder / "runs.db", random)
            self._look(trial, folder / "runs.db")

    def _look(self, trial: Trial, path: Path) -> None:
        data, findings = path.read_bytes(), trial.findings
        with SQLiteRunStore(f"sqlite:{path}") as store:
            read = _all(store)
            findings.none_of("replaced without a word", [] if path.read_bytes() == data else [path])
            found = _tried(store.check)
            sound = not found and read == _RUNS
            findings.count("noticed" if not sound else "of no consequence")
            if not found:
                return
            _tried(store.repair)
            aside = [each.name for each in path.parent.iterdir() if each.name != "runs.db"]
            again = _tried(store.check)
            good = not again or not all(isinstance(each, Finding) and each.repairable for each in found)
            findings.none_of("not repaired", [] if good else [again])
            findings.count("runs saved", _all(store) or 0)
            findings.count("copies kept", len([name for name in aside if "damaged" in name or "aside" in name]))


def _all(store: SQLiteRunStore) -> int | None:
    """Read everything, and return how many runs there are, or None if that cannot be told."""
    try:
        return sum(1 for run in store.runs() if list(store.task_runs(run.id)) is not None)
    except HistoryError:
        return None


def _tried(look: Callable[[], Sequence[Finding]]) -> list[Finding | HistoryError]:
    try:
        return list(look())
    except HistoryError as error:
        return [error]


def _mutate(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    kind = random.choice(["bit", "bytes", "cut", "page"])
    place = random.choice([random.randrange(100), random.randrange(len(data))])
    if kind == "bit":
        data[place] ^= 1 << random.randrange(8)
    elif kind == "bytes":
        data[place : place + 16] = random.randbytes(len(data[place : place + 16]))
    elif kind == "page":
        start = place // 4096 * 4096
        data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    else:
        del data[random.randrange(len(data)) :]
    path.write_bytes(data)
