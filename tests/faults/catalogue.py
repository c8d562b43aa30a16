"""All experiments, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.experiment import Experiment
from tests.faults.experiments.c1 import Crash
from tests.faults.experiments.c2 import Memory
from tests.faults.experiments.c3 import Deadline
from tests.faults.experiments.c4 import Offspring
from tests.faults.experiments.c5 import Transfer
from tests.faults.experiments.c6 import Misdeeds
from tests.faults.experiments.c8 import Signals
from tests.faults.experiments.f1 import Killing
from tests.faults.experiments.f2 import Poison
from tests.faults.experiments.f3 import Scheduler
from tests.faults.experiments.f4 import Difference

EXPERIMENTS: Mapping[str, Experiment] = {
    each.name: each
    for each in (
        Crash(),
        Memory(),
        Deadline(),
        Offspring(),
        Transfer(),
        Misdeeds(),
        Signals(),
        Killing(),
        Poison(),
        Scheduler(),
        Difference(),
    )
}
