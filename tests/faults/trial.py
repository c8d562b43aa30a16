"""The process of one trial: ``python -m tests.faults.trial MODULE:CLASS EXECUTOR SEED FOLDER``."""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
from importlib import import_module
from pathlib import Path

from tests.faults.experiment import Experiment, Trial

FINDINGS = "findings.json"


def main(place: str, executor: str, seed: str, folder: str) -> None:
    module, _, name = place.partition(":")
    experiment: Experiment = getattr(import_module(module), name)()
    # A shell has the commands that it runs in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # If it hangs it is aborted, and where it hung stands in its output.
    faulthandler.enable()
    trial = Trial(executor=executor, seed=int(seed), folder=Path(folder))
    experiment.inside(trial)
    (trial.folder / FINDINGS).write_text(json.dumps(trial.findings.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
