"""A few trials of each experiment; ``python -m tests.faults`` makes as many as there is time for."""

from __future__ import annotations

import sys

import pytest
from tests.faults import platforms
from tests.faults.campaign import run_trials
from tests.faults.catalogue import EXPERIMENTS

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc"),
    pytest.mark.timeout(300),
]

# Where what is done has little to do with the executor, one is enough here.
_ONLY = {"A2": "processes", "A3": "threads", "A5": "local", "A6": "processes", "B5": "processes", "B6": "threads"}
_PAIRS = [
    (name, executor)
    for name, experiment in EXPERIMENTS.items()
    for executor in experiment.executors
    if executor == _ONLY.get(name, executor)
]
# One of those that are not listed.
_TRIALS = {
    "A7": 3,
    "A9": 2,
    "B2": 2,
    "B3": 5,
    "C1": 2,
    "C2": 2,
    "C3": 2,
    "C4": 3,
    "C5": 4,
    "C6": 4,
    "C8": 4,
    "F3": 2,
    "F4": 3,
}


@pytest.mark.parametrize(("name", "executor"), _PAIRS, ids=lambda value: value)
def test_no_invariant_breaks(name, executor, capsys):
    reason = platforms.missing(executor)
    if reason:
        pytest.skip(reason)
    tally = run_trials(EXPERIMENTS[name], executor, seed=1, count=_TRIALS.get(name, 1), say=print)
    assert tally.failed == 0, capsys.readouterr().out
