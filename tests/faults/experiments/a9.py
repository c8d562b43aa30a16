"""A9: a history of a later form, and a process that is killed while it brings an earlier one up to date."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.experiment import Experiment, Trial
from tests.faults.small_flow import Small

from headrace.exceptions import HistoryVersionError
from headrace_plugins.sqlite.database import Database
from headrace_plugins.sqlite.places import places_of
from headrace_plugins.sqlite.schema import FORMS
from headrace_plugins.sqlite.store import SQLiteRunStore

_RUNS = 3
# A form that there is not, with as much to do as a real one may have.
_NEXT = (
    "ALTER TABLE runs ADD COLUMN colour TEXT",
    "UPDATE runs SET colour = 'green'",
    "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n LIMIT 60000) SELECT i FROM n",
)
_FORMS = {**FORMS, max(FORMS) + 1: _NEXT}


class Migration(Experiment):
    name = "A9"
    title = "a history of a later form is refused; a process is killed while it brings one up to date"
    executors = ("local",)

    def inside(self, trial: Trial) -> None:
        os.environ["HOME"] = str(trial.folder)
        for _ in range(_RUNS):
            Small(trial.folder, trial.findings).run()
        path = trial.folder / ".headrace" / "history" / "runs.db"
        with subprocess.Popen([sys.executable, "-m", __name__, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(trial.random().uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
        found = _form(path)
        trial.findings.count("killed before the end", found == max(FORMS))
        _bring_up_to_date(path)
        with sqlite3.connect(path) as connection:
            colours = connection.execute("SELECT colour FROM runs").fetchall()
            whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        trial.findings.none_of("lost", [] if colours == [("green",)] * _RUNS else [colours])
        trial.findings.none_of("corrupted", [] if whole else [path])
        copies = list(path.parent.glob("runs.db.form*"))
        trial.findings.none_of("without a copy", [] if copies else [path.parent])
        self._refused(trial, path)

    def _refused(self, trial: Trial, path: Path) -> None:
        before = path.read_bytes()
        try:
            with SQLiteRunStore(f"sqlite:{path}") as store:
                trial.findings.none_of("read a later form", [list(store.runs())])
        except HistoryVersionError as error:
            trial.findings.none_of("without advice", [] if error.hint else [error])
        trial.findings.none_of("changed a later form", [] if path.read_bytes() == before else [path])


def _form(path: Path) -> int:
    """Return the form of a file, whose journal SQLite rolls back first."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up_to_date(path: Path) -> None:
    Database(places_of(f"sqlite:{path}"), _FORMS).writer().close()


if __name__ == "__main__":
    print("ready", flush=True)
    _bring_up_to_date(Path(sys.argv[1]))
