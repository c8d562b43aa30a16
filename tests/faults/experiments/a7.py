"""A7: the place of the history is not what it should be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.experiment import Experiment, Trial
from tests.faults.small_flow import Small


def _file_for_folder(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("a file", encoding="utf-8")


def _folder_for_file(place: Path) -> None:
    (place / "runs.db").mkdir(parents=True)


def _empty(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "runs.db").touch()


def _text(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "runs.db").write_text("no database at all\n" * 500, encoding="utf-8")


def _other(place: Path) -> None:
    place.mkdir(parents=True)
    with sqlite3.connect(place / "runs.db") as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")


def _link_to_nowhere(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "runs.db").symlink_to(place / "nowhere" / "runs.db")


def _device(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "runs.db").symlink_to("/dev/full")


_PLACES: Mapping[str, Callable[[Path], None]] = {
    "a file in place of the folder": _file_for_folder,
    "a folder in place of the file": _folder_for_file,
    "an empty file": _empty,
    "a text": _text,
    "another program's database": _other,
    "a link to nowhere": _link_to_nowhere,
    "a device": _device,
}


class Places(Experiment):
    name = "A7"
    title = "the history is a folder, an empty file, a text, another program's database, or cannot be there at all"
    executors = ("local",)

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        kind = trial.choose(list(_PLACES))
        place = trial.folder / ".headrace" / "history"
        _PLACES[kind](place)
        before = _content(place)
        for command in (["runs"], ["show"], ["resume"], ["doctor"]):
            self._ask(trial, kind, command)
        small = Small(trial.folder, trial.findings)
        state = small.run()
        good = state is not None and state.is_successful()
        trial.findings.none_of("runs that failed for it", [] if good else [f"{kind}: {state}"])
        trial.findings.none_of("replaced without a word", [] if _content(place) == before else [kind])

    def _ask(self, trial: Trial, kind: str, command: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "headrace", *command], capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout + done.stderr
        what = f"{kind}, {' '.join(command)}: {done.returncode} {said[-300:]}"
        trial.findings.none_of("tracebacks", [what] if "Traceback" in said else [])
        # To one there is nothing to say where nothing is.
        silent = done.returncode == 0 and kind != "a link to nowhere"
        trial.findings.none_of("passed over in silence", [what] if silent else [])


def _content(place: Path) -> object:
    file = place / "runs.db"
    if place.is_file():
        return place.read_bytes()
    return file.read_bytes() if file.is_file() else (file.is_dir(), file.is_symlink())
