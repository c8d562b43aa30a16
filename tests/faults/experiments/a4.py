"""A4: the power fails, at every moment at which something has just been flushed or renamed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

from tests.faults.experiment import Experiment, Trial
from tests.faults.findings import Findings
from tests.faults.power import Disk
from tests.faults.small_flow import Small


class PowerCut(Experiment):
    name = "A4"
    title = (
        "the power fails whenever something was flushed or renamed: what was not flushed is there, or not, or in part"
    )
    executors = ("local",)
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        command = [sys.executable, "-m", __name__, str(trial.folder), str(trial.seed)]
        # The process that was recording is dead when the others look.
        subprocess.run(command, check=True)
        for cut in sorted((trial.folder / "cuts").iterdir()):
            said = json.loads((trial.folder / "said" / cut.name).read_text(encoding="utf-8"))
            small = Small(cut, trial.findings)
            small.ended.update(said)
            trial.findings.count("power cuts")
            is_there = small.judge(None)
            trial.findings.none_of("lost", [cut.name] if said and not is_there else [])


def main(place: str, seed: str) -> None:
    """Run the flow, and leave what power cuts on the way could have left, with what tasks had ended by then."""
    root = Path(place)
    for name in ("project", "cuts", "said"):
        (root / name).mkdir()
    small = Small(root / "project", Findings())
    disk, count = Disk(root / "project", Random(seed)), Counter[str]()

    def after() -> None:
        name = f"{count['cuts']:04}"
        count["cuts"] += 1
        disk.cut(root / "cuts" / name)
        (root / "said" / name).write_text(json.dumps(dict(small.ended)), encoding="utf-8")

    with disk.watched(after):
        small.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
