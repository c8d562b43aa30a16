"""B6: whoever holds the only slot of a limit is killed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.recorded import Recorded, now
from tests.faults.sidelog import wait_until

_WITHIN = 1.0


class Slots(Experiment):
    name = "B6"
    title = "of two runs one has the only slot of a limit, and its process is killed"
    executors = ("local", "threads", "processes")
    seconds = 120.0
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0}

    def inside(self, trial: Trial) -> None:
        recorded, log = Recorded(trial), trial.log
        (trial.folder / ".headrace" / "history").mkdir(parents=True)
        with recorded.store() as store:
            store.set_limit("only one", 1)
        target = f"{__package__.rpartition('.')[0]}.slot_flow:flow"
        with recorded.running(target) as first:
            wait_until(lambda: bool(log.count("begin")), 60)
            with recorded.running(target) as second:
                wait_until(lambda: bool(log.count("waiting")), 60)
                wait_until(lambda: False, 0.3 + trial.random().uniform(0, 0.3))
                trial.findings.none_of("more than the limit", log.read()[1:] if _begun(trial) > 1 else [])
                first.kill()
                first.wait()
                began = now()
                wait_until(lambda: _begun(trial) > 1, 30)
                trial.findings.time("next one begins after", now() - began)
                trial.findings.none_of("never began", [] if _begun(trial) > 1 else ["the second"])
                second.kill()
                second.wait()
        with recorded.store() as store:
            store.sweep()
            trial.findings.none_of("slots left", [slot for limit in store.limits() for slot in limit.holders])


def _begun(trial: Trial) -> int:
    return sum(trial.log.count("begin").values())
