"""The process of one trial: ``python -m tests.faults.trial EXPERIMENT EXECUTOR SEED FOLDER``."""

from __future__ import annotations

import faulthandler
import json
import sys
from pathlib import Path

from tests.faults.catalogue import EXPERIMENTS
from tests.faults.experiment import Trial

FINDINGS = "findings.json"


def main(name: str, executor: str, seed: str, folder: str) -> None:
    experiment = EXPERIMENTS[name]
    # Where it hangs stands in the output, which is shown.
    faulthandler.dump_traceback_later(experiment.seconds * 0.9)
    trial = Trial(executor=executor, seed=int(seed), folder=Path(folder))
    experiment.inside(trial)
    (trial.folder / FINDINGS).write_text(json.dumps(trial.findings.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
