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

_PAIRS = [(name, executor) for name, experiment in EXPERIMENTS.items() for executor in experiment.executors]
# One of those that are not listed.
_TRIALS = {"C1": 2, "C2": 2, "C3": 2, "C4": 3, "C5": 4, "C6": 4, "C8": 4, "F3": 2, "F4": 3}


@pytest.mark.parametrize(("name", "executor"), _PAIRS, ids=lambda value: value)
def test_no_invariant_breaks(name, executor, capsys):
    reason = platforms.missing(executor)
    if reason:
        pytest.skip(reason)
    tally = run_trials(EXPERIMENTS[name], executor, seed=1, count=_TRIALS.get(name, 1), say=print)
    assert tally.failed == 0, capsys.readouterr().out
