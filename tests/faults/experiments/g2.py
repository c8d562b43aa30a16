"""G2: somebody who can write where headrace keeps values puts a pickle there; it is never loaded."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.faults.experiment import Experiment, Trial
from tests.faults.platforms import options

from headrace.caching._entries import Entry
from headrace.envelope import digest_in, digest_of, seal
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

    @task(result="file:kept")
    def elsewhere(numbers):
        return "y" * 1000

    @task(cache_for=3600, tags=["few"])
    def cached(numbers):
        return 10

    @task(cache_for=3600)
    def cached_apart(numbers):
        return "z" * 100_000

    def fits(state, inputs, parameters):
        return state.cached_parameters == dict(parameters)

    @task(cache_for=3600, cache_validator=fits)
    def chosen(numbers):
        return 20

    @task(max_retries=1, retry_delay=0.01)
    def use(numbers, texts, ten, twenty):
        if Path("deadly").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if not Path("mended").exists():
            raise ValueError("not yet")
        return sum(map(len, texts)) + sum(numbers) + ten + twenty

    with Flow("planted") as flow:
        numbers = small(Parameter("more", default=3))
        texts = [large(numbers), elsewhere(numbers), cached_apart(numbers)]
        use(numbers, texts, cached(numbers), chosen(numbers))
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
_LOOKING_AT_THE_CACHE = (
    ("cache", "ls"),
    ("cache", "why", "cached"),
    ("cache", "why", "planted.py", "cached"),
    ("why", "latest", "cached"),
    ("run", "planted.py"),
    ("cache", "ls"),
    ("cache", "prune"),
    ("cache", "rm", "cached"),
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
        pickle.loads(self.pickle)
        self.text = self.pickle.decode("latin-1")
        self.is_harmful = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        self.sealed = Sealer(b"k" * 32).seal(self.pickle)
        self.project = folder / ".headrace"
        self.database = self.project / "history" / "runs.db"

    def planted_in(self, entry: Entry) -> Entry:
        """Return an entry in which it is both the value and the parameters that were cached."""
        size = len(self.pickle)
        return replace(entry, data=self.pickle, cached_parameters=self.pickle, size=size, value_at=None)

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

    def change_entries(self, change: Callable[[Entry], Entry], sealer: Sealer | None) -> None:
        found = list((self.project / "cache").rglob("*.entry"))
        assert found
        for path in found:
            entry = change(Entry.peek(path.read_bytes(), f"{path.parent.name}/{path.name}"))
            path.write_bytes(entry.encode(sealer))


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


def _store(place: _Place) -> None:
    """Plant it in the store that a task named."""
    for data in (place.pickle, seal(place.pickle)):
        for path in (place.project.parent / "kept").rglob("*.result"):
            path.write_bytes(data)


def _cache_file(place: _Place) -> None:
    for path in (place.project / "cache").rglob("*.*"):
        if path.is_file():
            path.write_bytes(place.pickle)


def _cache_value(place: _Place) -> None:
    """Plant it as the large value of an entry that is left as it is."""
    (path,) = (place.project / "cache").rglob("*.value")
    path.write_bytes(seal(place.pickle))


def _cache_entry(place: _Place) -> None:
    place.change_entries(place.planted_in, None)


def _cache_entry_with_seal(place: _Place) -> None:
    place.change_entries(place.planted_in, Sealer(b"k" * 32))


def _cache_value_and_entry(place: _Place) -> None:
    _cache_value(place)
    digest = digest_of(place.pickle).hex()
    place.change_entries(lambda entry: replace(entry, digest=digest), Sealer(b"k" * 32))


def _logs(place: _Place) -> None:
    place.change("UPDATE logs SET logger = ?, text = ?", place.text, place.text)


def _notes(place: _Place) -> None:
    place.change("UPDATE notes SET text = ?", place.text)


def _limits(place: _Place) -> None:
    place.change("UPDATE limits SET tag = ?", place.text)


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
        _store,
        _cache_file,
        _cache_value,
        _cache_entry,
        _cache_entry_with_seal,
        _cache_value_and_entry,
        _logs,
        _notes,
        _limits,
        _journal,
    )
}


class Planted(Experiment):
    name = "G2"
    title = "a pickle is planted in the history, a journal, a result or the cache, and every command looks at it"
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
        print(_headrace(trial.folder, ("limits", "set", "few", "1"), run))
        (trial.folder / "deadly").unlink(missing_ok=True)
        (trial.folder / "mended").touch()
        _WAYS[way](place)
        shown = _headrace(trial.folder, *_LOOKING)
        if "cache" in way:
            _WAYS[way](place)
            shown += _headrace(trial.folder, *_LOOKING_AT_THE_CACHE)
        print(shown)
        trial.findings.expect(place.is_harmful, "what is planted does no harm even where it is loaded")
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
