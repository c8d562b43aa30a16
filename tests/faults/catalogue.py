"""All experiments, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.experiment import Experiment
from tests.faults.experiments.a1 import Kill
from tests.faults.experiments.a2 import Point
from tests.faults.experiments.a3 import KillAgain
from tests.faults.experiments.a4 import PowerCut
from tests.faults.experiments.a5 import NthCall
from tests.faults.experiments.a6 import Full
from tests.faults.experiments.a7 import Places
from tests.faults.experiments.a8 import Mutations
from tests.faults.experiments.a9 import Migration
from tests.faults.experiments.b1 import Many
from tests.faults.experiments.b2 import Rivals
from tests.faults.experiments.b3 import Liveness
from tests.faults.experiments.b4 import Hammer
from tests.faults.experiments.b5 import Forks
from tests.faults.experiments.b6 import Slots
from tests.faults.experiments.b7 import Race
from tests.faults.experiments.c1 import Crash
from tests.faults.experiments.c2 import Memory
from tests.faults.experiments.c3 import Deadline
from tests.faults.experiments.c4 import Offspring
from tests.faults.experiments.c5 import Transfer
from tests.faults.experiments.c6 import Misdeeds
from tests.faults.experiments.c7 import Loud
from tests.faults.experiments.c8 import Signals
from tests.faults.experiments.e2 import LargeHistory
from tests.faults.experiments.e4 import LargeValue
from tests.faults.experiments.f1 import Killing
from tests.faults.experiments.f2 import Poison
from tests.faults.experiments.f3 import Scheduler
from tests.faults.experiments.f4 import Difference
from tests.faults.experiments.g2 import Planted
from tests.faults.experiments.g9 import Canary

EXPERIMENTS: Mapping[str, Experiment] = {
    each.name: each
    for each in (
        Kill(),
        Point(),
        KillAgain(),
        PowerCut(),
        NthCall(),
        Full(),
        Places(),
        Mutations(),
        Migration(),
        Many(),
        Rivals(),
        Liveness(),
        Hammer(),
        Forks(),
        Slots(),
        Race(),
        Crash(),
        Memory(),
        Deadline(),
        Offspring(),
        Transfer(),
        Misdeeds(),
        Loud(),
        Signals(),
        LargeHistory(),
        LargeValue(),
        Killing(),
        Poison(),
        Scheduler(),
        Difference(),
        Planted(),
        Canary(),
    )
}
