"""Keeping a history small: which runs leave it, with their results, and what crashes have left behind."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from headrace.exceptions import HeadraceError, RunNotFoundError, RunOwnedError
from headrace.history.records import RunQuery
from headrace.history.result_files import RecordedFiles, leftovers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord

__all__ = ["Collected", "Limits", "Removal", "collect", "collect_if_due"]

_DAY: Final = 86_400.0
_MEGABYTE: Final = 1_000_000
_MARK: Final = "last-gc"
# How often sizes are measured at most while room is made.
_MEASUREMENTS: Final = 20

Why: TypeAlias = Literal["age", "number", "space"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much of a history stays; 0 is no limit.

    Attributes:
        keep_days: how many days after its end a run stays.
        keep_runs: how many runs stay, the last ones.
        max_mb: how many megabytes the history and its results may take; the oldest runs go first, and the last one
            stays.
    """

    keep_days: float = 0.0
    keep_runs: int = 0
    max_mb: float = 0.0

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Limits:
        """Return the limits that ``[history]`` of the configuration sets."""
        return cls(
            keep_days=float(section["keep_days"]), keep_runs=int(section["keep_runs"]), max_mb=float(section["max_mb"])
        )

    def __bool__(self) -> bool:
        return self.keep_days > 0 or self.keep_runs > 0 or self.max_mb > 0


class Removal(NamedTuple):
    """A run that is gone, and why: its age, the number of runs, or the space they take."""

    run: RunRecord
    why: Why


@dataclass(kw_only=True, slots=True)
class Collected:
    """What was removed, or would be.

    Attributes:
        runs: the runs.
        results: how many files with results; those of the runs, and those that no run refers to.
        leftovers: temporary files that a process that was killed had left behind.
        before: how many bytes the history and its results took.
        after: how many they take now; of what would be removed, an estimate.
        damaged: what was set aside because it could not be understood, and is left to people.
    """

    runs: list[Removal] = field(default_factory=list)
    results: int = 0
    leftovers: Sequence[Path] = ()
    before: int = 0
    after: int = 0
    damaged: Sequence[Path] = ()


def collect(store: RunStore, project: Path, limits: Limits, now: float, *, dry_run: bool = False) -> Collected:
    """Remove the runs that ``limits`` do not allow, with what is theirs alone, and what crashes have left behind.

    Runs that go on stay, whatever their age, and so do those that they go on from. A paused one that nobody has gone on
    with leaves for its age only. What another run has taken over from one that is removed stays. Several processes may
    do this at once, and while runs go on; one that is killed amid it leaves nothing that the next one does not remove.
    What nobody refers to is removed once it is a day old, since somebody may be about to refer to it. Raises
    HistoryError.

    ``project`` is the project's folder, with the results. With ``dry_run`` nothing is removed. Where there is no
    run, no result is: the history may be in a place that is not there just now.
    """
    store.sweep()
    return _Collection(store, project, limits, now, dry_run=dry_run).run()


def collect_if_due(store: RunStore, project: Path, limits: Limits, now: float) -> None:
    """Do the same quietly, unless it was done within the last day; log what goes wrong instead of raising it."""
    mark = project / "history" / _MARK
    try:
        with contextlib.suppress(FileNotFoundError):
            if 0 <= now - mark.stat().st_mtime < _DAY:
                return
        mark.touch()
        collect(store, project, limits, now)
    except (HeadraceError, OSError) as error:
        from headrace.log import get_logger  # noqa: PLC0415 - only where something is wrong

        get_logger("history").warning("Old runs could not be removed: %s", error)


class _Collection:
    """One time that things are removed. ``Collected.after`` is an estimate until `_settle` measures it."""

    def __init__(self, store: RunStore, project: Path, limits: Limits, now: float, *, dry_run: bool) -> None:
        self._store = store
        self._project = project
        self._limits = limits
        self._now = now
        self._dry = dry_run
        self._files = RecordedFiles(store, project)
        self._done = Collected()
        # The sizes of the files that each run has alone, and how many bytes of the history a task run takes on average.
        self._own: dict[str, list[int]] = {}
        self._share = 0.0
        # Runs that others go on from right now: these may still take something over.
        self._needed: Collection[str] = ()

    def run(self) -> Collected:
        done = self._done
        # What a run was called with is not needed here, and may be large.
        runs = [replace(run, parameters=None) for run in self._store.runs(RunQuery(nested=True))]
        self._needed = _origins(runs)
        self._measure_each(runs)
        done.before = done.after = self._measured()
        self._share = self._store.size() / max(1, sum(map(_weight, runs)))
        kept = list(self._apply_rules([run for run in runs if run.parent is None]))
        self._settle()
        if self._limits.max_mb > 0:
            self._make_room(kept)
        if runs:
            self._remove_orphans({run.id for run in runs if run.ended is None})
        self._remove_leftovers()
        self._settle()
        return done

    # -- runs ----------------------------------------------------------------------------------------------------

    def _apply_rules(self, runs: Sequence[RunRecord]) -> Iterator[RunRecord]:
        """Remove the runs that are too old or too many; yield the others, the last one first."""
        for place, run in enumerate(runs):
            why = self._rule_against(run, place)
            if why is None or not self._remove(run, why):
                yield run

    def _rule_against(self, run: RunRecord, place: int) -> Why | None:
        limits = self._limits
        if run.ended is None or run.id in self._needed:
            return None
        if 0 < limits.keep_days < (self._now - run.ended) / _DAY:
            return "age"
        return "number" if 0 < limits.keep_runs <= place and not _waits(run) else None

    def _make_room(self, kept: Sequence[RunRecord]) -> None:
        """Remove the oldest of the runs that are left, but for the last one, until the rest has room."""
        done, most = self._done, self._limits.max_mb * _MEGABYTE
        may_go = [run for run in kept[1:] if run.ended is not None and run.id not in self._needed and not _waits(run)]
        oldest_first = list(reversed(may_go))
        # Measuring takes its time, and an estimate may be far off.
        step = max(1, len(oldest_first) // _MEASUREMENTS)
        for number, run in enumerate(oldest_first, 1):
            if done.after <= most:
                return
            self._remove(run, "space")
            if done.after <= most or number % step == 0:
                self._settle()

    def _remove(self, run: RunRecord, why: Why) -> bool:
        if not self._dry:
            try:
                self._done.results += self._forget(run)
            except RunOwnedError:
                return False
        else:
            self._done.results += len(self._own.get(run.id, ()))
        self._done.runs.append(Removal(run, why))
        self._done.after -= round(_weight(run) * self._share) + sum(self._own.get(run.id, ()))
        return True

    def _forget(self, run: RunRecord) -> int:
        """Remove a run with those inside of it, and return how many files were removed."""
        inside = sum(self._forget(each) for each in list(self._store.runs(RunQuery(parent=run.id))))
        try:
            locations = self._store.delete(run.id)
        except RunNotFoundError:
            # Somebody else was faster.
            return inside
        # Elsewhere they are somebody else's.
        own = locations if run.results is None else ()
        return inside + sum(self._files.remove(location) for location in own)

    # -- files ---------------------------------------------------------------------------------------------------

    def _remove_orphans(self, going_on: Collection[str]) -> None:
        """Remove files that no run refers to: of runs that are gone, and of task runs that were killed."""
        # In this order: a file that is referred to later than this is not a day old yet.
        old = [file for file in self._files if file.written < self._now - _DAY and file.run_id not in going_on]
        known = set(self._store.locations()) if old else set()
        for file in old:
            if file.location not in known and (self._dry or self._files.remove(file.location)):
                self._done.results += 1
        if not self._dry:
            self._files.remove_empty_folders(self._now - _DAY)

    def _remove_leftovers(self) -> None:
        self._done.leftovers = leftovers(self._project, self._now - _DAY)
        self._done.damaged = sorted((self._project / "history").rglob("*.damaged*"))
        if not self._dry:
            for path in self._done.leftovers:
                path.unlink(missing_ok=True)

    # -- sizes ---------------------------------------------------------------------------------------------------

    def _measure_each(self, runs: Sequence[RunRecord]) -> None:
        files = list(self._files)
        shared: set[str] = set()
        for run in runs if files else ():
            if run.resumed_from is not None:
                taken = (each.value for each in self._store.task_runs(run.id) if each.taken_from)
                shared.update(value.location for value in taken if value is not None and value.location is not None)
        for file in files:
            if file.location not in shared:
                self._own.setdefault(file.run_id, []).append(file.size)

    def _settle(self) -> None:
        """Give back the space of what was removed, and see how much is left."""
        if not self._dry:
            if self._done.runs:
                self._store.compact()
            self._done.after = self._measured()

    def _measured(self) -> int:
        return self._store.size() + sum(file.size for file in self._files)


def _origins(runs: Sequence[RunRecord]) -> set[str]:
    """Return the ids of the runs that others, which have not ended, go on from, one after the other."""
    known = {run.id: run for run in runs}
    found: set[str] = set()
    for run in runs:
        origin = run.resumed_from if run.ended is None else None
        while origin is not None and origin not in found:
            found.add(origin)
            origin = known[origin].resumed_from if origin in known else None
    return found


def _weight(run: RunRecord) -> int:
    return 1 + sum(run.counts.values())


def _waits(run: RunRecord) -> bool:
    """Tell whether a run waits for people."""
    return run.state == "Paused" and run.resumed_by is None
