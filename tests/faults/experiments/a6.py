"""A6: the disk that the project is on fills up amid a run, and has space again later."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.recorded import Recorded, now

_SIZE = 2_000_000


class Full(Experiment):
    name = "A6"
    title = "the disk with the history and the results, of 2 MB, fills up amid a run; then there is space again"
    executors = ("local", "threads", "processes")
    seconds = 180.0
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0}

    def inside(self, trial: Trial) -> None:
        recorded, place = Recorded(trial), trial.folder / ".headrace"
        place.mkdir()
        with _small_disk(place) as mounted:
            if not mounted:
                trial.findings.count("left out, since it takes root")
                return
            filler = place / "filler"
            filler.write_bytes(b"x" * (_SIZE - trial.random().randint(300_000, 900_000)))
            output = trial.folder / "said"
            with recorded.running(output=output) as process:
                code = process.wait(120)
            # Nothing can be written on it before that, not even what became of the run.
            filler.unlink()
            died = recorded.wait(process)
            trial.findings.none_of("killed", [code] if died else [])
            trial.findings.count("runs that were stopped", code != 0)
            with recorded.store() as store:
                run = recorded.last_run(store)
                untrue = run is not None and code > 0 and run.cause == "died"
                trial.findings.none_of("said to have died", [run] if untrue else [])
            said = output.read_text(encoding="utf-8", errors="replace")
            unnamed = code != 0 and str(place) not in said
            trial.findings.none_of("stopped without naming the place", [said[-500:]] if unnamed else [])
            began = now()
            with recorded.resuming() as process:
                recorded.finish(process, began)
            recorded.judge()


@contextmanager
def _small_disk(place: Path) -> Iterator[bool]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(place)]
    mounted = subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)
