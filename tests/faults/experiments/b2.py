"""B2: many processes resume the same run at the same moment."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.experiment import Experiment, Trial
from tests.faults.experiments.a1 import go_on
from tests.faults.recorded import Recorded


class Rivals(Experiment):
    name = "B2"
    title = "two or ten processes resume a run at the same moment"
    executors = ("local",)
    seconds = 180.0

    def inside(self, trial: Trial) -> None:
        recorded = Recorded(trial)
        with recorded.running() as process:
            recorded.kill_after(process, trial.random().uniform(0, 0.3))
        with recorded.store() as store:
            run = recorded.last_run(store)
        if run is None:
            go_on(recorded)
            return
        count = (2, 10)[trial.seed % 2]
        with ExitStack() as stack:
            rivals = [stack.enter_context(recorded.resuming(run.id)) for _ in range(count)]
            codes = [rival.wait(120) for rival in rivals]
        trial.findings.count("rivals", count)
        trial.findings.none_of("not one owner", [] if codes.count(0) == 1 else [codes])
        later = [entry for entry in trial.log.read()[recorded.moments[-1].length :] if entry.event == "begin"]
        names = [(entry.task, entry.number) for entry in later]
        trial.findings.none_of("run twice", {name for name in names if names.count(name) > 1})
        recorded.judge()
