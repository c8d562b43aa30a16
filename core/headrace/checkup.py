"""A look at all that runs depend on here: what ``headrace doctor`` shows, and what it puts right."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import stat
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import headrace
from headrace.envelope import digest_in, unseal
from headrace.exceptions import ConfigError, HeadraceError, ResultError, SealError
from headrace.history.records import FINISHED_STATES, Finding, RunQuery
from headrace.history.result_files import RecordedFiles, leftovers
from headrace.history.sealing import KEY_FILE, KEY_VARIABLE, Sealer, has_key, project_key
from headrace.project import project_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.abc import RunStore
    from headrace.config import Config
    from headrace.engine import Engine
    from headrace.history.records import RunRecord

__all__ = ["Checkup", "check_up", "end_foreign_runs", "put_right"]

_LITTLE_SPACE: Final = 100_000_000
_DAY: Final = 86_400.0
_PLUGINS_AT_ONCE: Final = 4
# How many results are named that are not as they should be.
_MOST: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """What was seen: ``facts`` by name, the names of runs that go on, and ``findings``, which are what is wrong."""

    facts: Mapping[str, str]
    live: Sequence[str]
    findings: Sequence[Finding]

    @property
    def repairable(self) -> Sequence[Finding]:
        """The findings that `put_right` is for."""
        return [finding for finding in self.findings if finding.repairable]


def check_up(*, deep: bool = False) -> Checkup:
    """Look through the installation, the configuration, the project's folder and the history; change nothing.

    With ``deep`` every result that a run refers to is read and compared with its digest, which may take long.
    """
    look = _Look(project_folder(), deep=deep)
    look.at_all()
    return Checkup(facts=look.facts, live=look.live, findings=look.findings)


def put_right() -> list[Finding]:
    """Put right what `check_up` finds repairable, and return what was done. Raises HistoryError if a run goes on."""
    from headrace.engine import Engine  # noqa: PLC0415 - brings pluggy
    from headrace.engine.recorded_runs import open_history  # noqa: PLC0415 - as above

    project = project_folder()
    done: list[Finding] = []
    with Engine() as engine, open_history(True, engine) as store:
        done += store.repair()
    key = project / "history" / KEY_FILE
    if _is_open_to_others(key):
        key.chmod(0o600)
        done.append(Finding(place=str(key), what="Nobody else can read it any more."))
    for path in leftovers(project, time.time() - _DAY):
        path.unlink(missing_ok=True)
        done.append(Finding(place=str(path), what="Removed what a process that was killed had left behind."))
    return done


def end_foreign_runs() -> list[Finding]:
    """Record runs of other machines as Crashed, of which nothing can be told from here, and return which those are."""
    from headrace.engine import Engine  # noqa: PLC0415 - brings pluggy
    from headrace.engine.histories import open_history  # noqa: PLC0415 - as above

    with Engine() as engine, open_history(True, engine) as store:
        return [Finding(place=run.name, what=f"Is recorded as {run.state}.") for run in store.sweep(foreign=True)]


class _Look:
    """One look; each step adds what it sees, and none keeps another from looking."""

    def __init__(self, project: Path, *, deep: bool) -> None:
        self.facts: dict[str, str] = {}
        self.live: list[str] = []
        self.findings: list[Finding] = []
        self._project = project
        self._deep = deep

    def at_all(self) -> None:
        self._at_installation()
        self._at_folder()
        self._at_key()
        config = self._at_configuration()
        with self._caught("the plugins"):
            from headrace.engine import Engine  # noqa: PLC0415 - brings pluggy

            engine = Engine(config=config)
            self._at_plugins(engine)
            self._at_history(engine)

    def _find(self, place: object, what: str, hint: str | None = None, *, repairable: bool = False) -> None:
        """Add a finding, unless somebody has said the same."""
        if not any(each.what == what for each in self.findings):
            self.findings.append(Finding(place=str(place), what=what, hint=hint, repairable=repairable))

    @contextlib.contextmanager
    def _caught(self, place: object) -> Iterator[None]:
        try:
            yield
        except HeadraceError as error:
            self._find(place, error.message, error.hint)
        except OSError as error:
            what = f"{error.filename or place} cannot be read: {error.strerror or error}."
            self._find(place, what, "Check the permissions.")

    # -- around the history --------------------------------------------------------------------------------------

    def _at_installation(self) -> None:
        self.facts["headrace"] = headrace.__version__
        self.facts["Python"] = f"{platform.python_version()}, {sys.executable}"

    def _at_folder(self) -> None:
        project = self._project
        self.facts["project folder"] = str(project) if project.is_dir() else f"{project}, which is not there yet"
        there = next(path for path in (project, *project.parents) if path.exists())
        free = shutil.disk_usage(there).free
        self.facts["free space"] = f"{free / 1e9:.1f} GB"
        if free < _LITTLE_SPACE:
            self._find(there, f"There are only {free / 1e6:.0f} MB left on this disk.", "Free some space.")
        if not there.is_dir():
            self._find(there, "This should be a folder, and is a file.", "Remove it, or set HEADRACE_HOME.")
        elif not os.access(there, os.W_OK | os.X_OK):
            self._find(
                there,
                "Nothing can be written here, so runs are not recorded.",
                "Check the permissions, or name another folder with HEADRACE_HOME.",
            )
        for path in leftovers(project, time.time() - _DAY):
            self._find(path, f"A process was killed while it wrote {path.name}.", repairable=True)

    def _at_key(self) -> None:
        folder = self._project / "history"
        path = folder / KEY_FILE
        if os.environ.get(KEY_VARIABLE):
            self.facts["key"] = f"the variable {KEY_VARIABLE}"
            with self._caught("the environment"):
                project_key(folder)
            return
        with self._caught(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.facts["key"] = f"{path}, mode {stat.S_IMODE(path.stat().st_mode):o}"
            if _is_open_to_others(path):
                self._find(
                    path,
                    "Others may read the key of this project, and so make results that it takes for its own.",
                    repairable=True,
                )
            project_key(folder, make=False)

    def _at_configuration(self) -> Config:
        from headrace.config import Config, load  # noqa: PLC0415 - read when it is looked at
        from headrace.config._defaults import defaults  # noqa: PLC0415 - as above
        from headrace.config._files import locate, read_toml  # noqa: PLC0415 - as above

        with self._caught("the configuration"):
            files = locate(os.environ, None, None)
            self.facts["configuration"] = ", ".join(files) or "defaults only"
            for path in files:
                with self._caught(path):
                    read_toml(path)
        try:
            return load()
        except ConfigError as error:
            self._find("the configuration", error.message, error.hint)
        return Config(defaults())

    def _at_plugins(self, engine: Engine) -> None:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only for plugins of others

        from headrace.hooks.doctor import examine  # noqa: PLC0415 - as above
        from headrace.hooks.scan import normalize, scan  # noqa: PLC0415 - reads metadata

        for failure in scan().failures:
            self._find(failure.location, f"The plugin metadata cannot be read: {failure.reason}.", "Install it again.")
        records = [record for record in engine.registry.records() if engine.registry.policy.allows(record)]
        others = [record for record in records if normalize(record.distribution) != "headrace"]
        self.facts["plugins"] = f"{len(records)}, of which {len(others)} do not come with headrace"
        with ThreadPoolExecutor(_PLUGINS_AT_ONCE) as pool:
            for each in pool.map(examine, others):
                for problem in each.problems:
                    name = f"{each.record.kind}:{each.record.name}"
                    hint = f"Update or remove {each.record.distribution}; `headrace plugins doctor` says more."
                    self._find(f"plugin {name}", problem, hint)

    # -- the history ---------------------------------------------------------------------------------------------

    def _at_history(self, engine: Engine) -> None:
        from headrace.engine.recorded_runs import open_history  # noqa: PLC0415 - brings the engine

        with self._caught("the history"), open_history(True, engine) as store:
            for found in store.check():
                self._find(found.place, found.what, found.hint, repairable=found.repairable)
            for name, text in store.facts().items():
                self.facts["history" if name == "file" else name] = text
            key = self._project / "history" / KEY_FILE
            if not has_key(key.parent) and any(store.runs(RunQuery(limit=1))):
                with self._caught(key):
                    project_key(key.parent, make=False)
            self._at_sealed(store)
            self._at_open_runs(store)
            self._at_results(store)

    def _at_sealed(self, store: RunStore) -> None:
        """Look whether the key is the one that runs were recorded with, which the parameters of each of them tell."""
        folder = self._project / "history"
        if not has_key(folder):
            return
        try:
            sealer = Sealer(project_key(folder, make=False))
        except HeadraceError:
            # It has been said.
            return
        strange = [run.name for run in store.runs(RunQuery(nested=True)) if not _can_unseal(sealer, run)]
        if strange:
            more = "" if len(strange) == 1 else f", and of {len(strange) - 1} earlier ones"
            self._find(
                folder / KEY_FILE,
                f"What was recorded of run {strange[0]!r}{more} is not sealed with this key, so it cannot be read.",
                f"Put back the key that was there before, or set the variable {KEY_VARIABLE} to it.",
            )

    def _at_open_runs(self, store: RunStore) -> None:
        from headrace import states  # noqa: PLC0415 - only here

        going_on = frozenset(states.__all__) - FINISHED_STATES
        for run in store.runs(RunQuery(states=going_on, nested=True)):
            if run.ended is not None:
                continue
            alive = store.is_alive(run.id)
            if alive:
                self.live.append(run.name)
            elif alive is False and not any(run.id in each.what for each in self.findings):
                what = f"The process that drove run {run.name!r} is dead, and the end of the run is not written."
                self._find(run.id, what, repairable=True)
            elif alive is None:
                host = "another machine" if run.owner is None else f"machine {run.owner.host!r}"
                self._find(
                    run.id,
                    f"Run {run.name!r} belongs to a process on {host}, and nobody can tell from here whether it lives.",
                    "If that machine is gone for good, `headrace doctor --foreign` has the run end as Crashed.",
                )

    def _at_results(self, store: RunStore) -> None:
        files = RecordedFiles(store, self._project)
        if self._deep:
            wrong = list(self._damaged(store, files))
        else:
            wrong = [(location, "is missing") for location in store.locations() if not _is_there(files, location)]
        hint = "A run that is resumed makes it again."
        for location, how in wrong[:_MOST]:
            self._find(files.path_of(location) or location, f"The result at {location!r} {how}.", hint)
        if len(wrong) > _MOST:
            self._find(self._project / "results", f"{len(wrong) - _MOST} more results are missing or damaged.", hint)

    def _damaged(self, store: RunStore, files: RecordedFiles) -> Iterator[tuple[str, str]]:
        """Yield the locations of results that are not as they were recorded, and how they are."""
        key = self._project / "history"
        sealer = Sealer(project_key(key, make=False)) if has_key(key) else None
        seen = set()
        for run in store.runs(RunQuery(nested=True)):
            for location, digest in _kept(store, run):
                path = files.path_of(location)
                if (location, digest) in seen or path is None:
                    continue
                seen.add((location, digest))
                try:
                    stored = path.read_bytes()
                    unseal(stored, location)
                    if sealer is not None and sealer.unseal(digest or b"", "Its digest") != digest_in(stored):
                        yield location, "is not the one that its run recorded"
                except OSError as error:
                    yield location, f"cannot be read: {error.strerror or error}"
                except ResultError:
                    yield location, "is damaged: its digest does not match"
                except SealError as error:
                    yield location, f"cannot be trusted: {error.message.rstrip('.')}"


def _kept(store: RunStore, run: RunRecord) -> Iterable[tuple[str, bytes | None]]:
    for record in store.task_runs(run.id):
        if record.value is not None and record.value.location is not None:
            yield record.value.location, record.value.digest


def _can_unseal(sealer: Sealer, run: RunRecord) -> bool:
    if not run.parameters:
        return True
    try:
        sealer.unseal(run.parameters, "It")
    except SealError:
        return False
    return True


def _is_there(files: RecordedFiles, location: str) -> bool:
    path = files.path_of(location)
    return path is None or path.is_file()


def _is_open_to_others(key: Path) -> bool:
    try:
        return os.name == "posix" and bool(key.stat().st_mode & 0o077)
    except FileNotFoundError:
        return False
