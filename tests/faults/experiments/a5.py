"""A5: the first write, fsync, rename or commit fails, the second, and so on, until a run gets through untouched."""

from __future__ import annotations

import os
from itertools import count, product

from tests.faults.experiment import Experiment, Trial
from tests.faults.small_flow import Small

from headrace.fault_points import VARIABLE

_POINTS = ("file.*", "database.begin", "database.begun", "database.commit", "journal.*")
_WAYS = list(product(_POINTS, ("ENOSPC", "EIO", "EROFS", "EMFILE", "EACCES")))
_MOST = 400


class NthCall(Experiment):
    name = "A5"
    title = "the Nth write, fsync, rename or commit fails with ENOSPC, EIO, EROFS, EMFILE or EACCES, for every N"
    executors = ("local", "threads")
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        points, error = trial.choose([f"{points} {error}" for points, error in _WAYS]).split()
        os.environ["HOME"] = str(trial.folder)
        os.environ["HEADRACE__ENGINE__EXECUTOR"] = trial.executor
        for number in count(1):
            folder = trial.folder / str(number)
            folder.mkdir()
            fired = folder / "fired"
            os.environ[VARIABLE] = f"{points}=note:{fired}@{number},{points}={error}@{number}"
            small = Small(folder, trial.findings)
            state = small.run()
            del os.environ[VARIABLE]
            if not fired.exists():
                break
            trial.findings.count("calls that failed")
            small.judge(state)
            trial.findings.expect(number < _MOST, "it goes on for ever")
        trial.findings.none_of("untouched runs that fail", [] if state and state.is_successful() else [state])
