"""B4: writers, readers, and somebody who compacts and looks through the history all the time."""

from __future__ import annotations

import threading

from tests.faults.experiment import Experiment, Trial
from tests.faults.experiments.b1 import check, hammered

from headrace_plugins.sqlite.store import SQLiteRunStore


class Hammer(Experiment):
    name = "B4"
    title = "3 processes write, and others read, compact and check the history at the same time"
    executors = ("local",)
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        url, over = f"sqlite:{trial.folder}/runs.db", threading.Event()
        rounds, errors, damage = [0], list[str](), list[object]()

        def compact() -> None:
            with SQLiteRunStore(url) as store:
                while not over.wait(0.02):
                    try:
                        store.compact()
                        damage.extend(store.check())
                    except Exception as error:
                        errors.append(repr(error))
                    rounds[0] += 1

        others = [threading.Thread(target=compact) for _ in range(2)]
        for each in others:
            each.start()
        said, _, reading = hammered(url, 3, 60, 20)
        over.set()
        for each in others:
            each.join()
        trial.findings.none_of("errors", [*errors, *reading, *(error for each in said for error in each["errors"])])
        trial.findings.none_of("damage on the way", damage)
        trial.findings.count("compacted", rounds[0])
        check(trial, url, said, 20)
