"""G2: somebody who can write where headrace keeps values puts a pickle there; it is never loaded."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.faults.experiment import Experiment, Trial
from tests.faults.platforms import options

from headrace.envelope import digest_in, seal
from headrace.history import ValueRecord
from headrace.history.encoding import FINISHED, encode_state
from headrace.history.sealing import Sealer

_PATIENCE = 120
_FLOW = """
    import os, signal
    from pathlib import Path
    from headrace import Flow, Parameter, task

    @task
    def small(more):
        return [1, 2, more]

    @task
    def large(numbers):
        return "x" * 100_000

    @task(max_retries=1, retry_delay=0.01)
    def use(numbers, text):
        if Path("deadly").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if not Path("mended").exists():
            raise ValueError("not yet")
        return len(text) + sum(numbers)

    with Flow("planted") as flow:
        numbers = small(Parameter("more", default=3))
        use(numbers, large(numbers))
"""
_LOOKING = (
    ("show", "--json"),
    ("logs", "latest"),
    ("why", "latest", "use"),
    ("diff", "latest", "latest"),
    ("export", "latest"),
    ("doctor", "--deep"),
    ("gc", "--dry-run"),
    ("resume", "--dry-run"),
    ("replay", "latest", "use"),
    ("resume",),
    ("resume",),
    ("show", "--json"),
    ("doctor", "--deep", "--repair", "--yes"),
    ("gc", "--keep-runs", "1"),
)
# Runs commands one after the other in this process.
_ONE_BY_ONE = """
import json, sys
from headrace.cli import main
from headrace.cli.root import _COMMANDS
for arguments in json.loads(sys.argv[1]):
    print("-----", *arguments, flush=True)
    try:
        if arguments[0] in _COMMANDS:
            main(arguments)
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        print("[", end.code, "]", flush=True)
"""


class _Planted:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self._path),)


class _Place:
    """The project that something is planted in, and the pickle."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "loaded"
        self.pickle = pickle.dumps(_Planted(str(self.mark)))
        self.sealed = Sealer(b"k" * 32).seal(self.pickle)
        self.project = folder / ".headrace"
        self.database = self.project / "history" / "runs.db"

    def change(self, statement: str, *values: object) -> None:
        connection = sqlite3.connect(self.database)
        with connection:
            changed = connection.execute(statement, values).rowcount
        connection.close()
        assert changed > 0, statement

    def change_files(self, data: bytes) -> None:
        found = list((self.project / "results").rglob("*.result"))
        assert found
        for path in found:
            path.write_bytes(data)


def _result(place: _Place) -> None:
    place.change("UPDATE task_runs SET data = ? WHERE data IS NOT NULL", place.pickle)


def _result_with_seal(place: _Place) -> None:
    place.change("UPDATE task_runs SET data = ? WHERE data IS NOT NULL", place.sealed)


def _attempt(place: _Place) -> None:
    place.change("UPDATE attempts SET data = ?, is_exception = 0", place.pickle)


def _parameters(place: _Place) -> None:
    place.change("UPDATE runs SET parameters = ?", place.pickle)


def _parameters_with_seal(place: _Place) -> None:
    place.change("UPDATE runs SET parameters = ?", place.sealed)


def _file(place: _Place) -> None:
    place.change_files(place.pickle)


def _file_with_digest(place: _Place) -> None:
    place.change_files(seal(place.pickle))


def _file_and_row(place: _Place) -> None:
    place.change_files(seal(place.pickle))
    place.change("UPDATE task_runs SET digest = ? WHERE location IS NOT NULL", digest_in(seal(place.pickle)))


def _file_and_row_with_seal(place: _Place) -> None:
    place.change_files(seal(place.pickle))
    digest = Sealer(b"k" * 32).seal(digest_in(seal(place.pickle)))
    place.change("UPDATE task_runs SET digest = ? WHERE location IS NOT NULL", digest)


def _journal(place: _Place) -> None:
    """Say in the journal of a dead run that its task has succeeded."""
    (journal,) = place.database.with_name("runs.db.live").glob("*.journal")
    with sqlite3.connect(place.database) as connection:
        (node,) = connection.execute("SELECT node FROM tasks WHERE name = 'use'").fetchone()
    for data in (place.pickle, place.sealed):
        with journal.open("ab") as file:
            value = ValueRecord(data=data, size=len(data))
            file.write(encode_state(FINISHED, node, -1, 1, "Success", None, 1.0, 2.0, None, value, None))


_WAYS: Mapping[str, Callable[[_Place], None]] = {
    each.__name__.strip("_").replace("_", " "): each
    for each in (
        _result,
        _result_with_seal,
        _attempt,
        _parameters,
        _parameters_with_seal,
        _file,
        _file_with_digest,
        _file_and_row,
        _file_and_row_with_seal,
        _journal,
    )
}


class Planted(Experiment):
    name = "G2"
    title = "a pickle is planted in the history, in a journal or in a file with a result, and every command looks at it"
    executors = ("local", "processes")
    seconds = 240.0

    def inside(self, trial: Trial) -> None:
        way = trial.choose(list(_WAYS))
        place = _Place(trial.folder)
        (trial.folder / "planted.py").write_text(dedent(_FLOW))
        if way == "journal":
            (trial.folder / "deadly").touch()
        # A task that kills its process leaves a journal behind if that drives the run.
        executor = "local" if way == "journal" else trial.executor
        chosen = [f"-o{name}={value}" for name, value in options(executor, 2).items()]
        run = ("run", "planted.py", "--executor", executor, *chosen)
        print(_headrace(trial.folder, run))
        (trial.folder / "deadly").unlink(missing_ok=True)
        (trial.folder / "mended").touch()
        _WAYS[way](place)
        shown = _headrace(trial.folder, *_LOOKING)
        print(shown)
        trial.findings.none_of("loaded", [way] if place.mark.exists() else [])
        trial.findings.none_of("commands that broke", [way] if "did not expect" in shown else [])


def _headrace(folder: Path, *commands: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_BY_ONE, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE,
        check=False,
    )
    return done.stdout.decode(errors="replace")
