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
# So many trials see each kind of fault that is quick to see, of those that have kinds.
_TRIALS = {"C1": 4, "C2": 2, "C3": 3, "C4": 5, "C5": 6, "C6": 6, "C8": 7, "F1": 1}


@pytest.mark.parametrize(("name", "executor"), _PAIRS, ids=lambda value: value)
def test_no_invariant_breaks(name, executor, capsys):
    reason = platforms.missing(executor)
    if reason:
        pytest.skip(reason)
    tally = run_trials(EXPERIMENTS[name], executor, seed=1, count=_TRIALS.get(name, 1), say=print)
    assert tally.failed == 0, capsys.readouterr().out
