"""What differs between two runs: parameters, versions, tasks, their code, how they ended and what came of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.history.documents import digest_of
from headrace.history.overview import beginning_here, state_of_map
from headrace.history.records import TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord

__all__ = ["Change", "ChildrenComparison", "Comparison", "TaskComparison", "compare"]

# What counts as another duration: so many times as long, and so many seconds longer.
_TIMES: Final = 1.5
_SECONDS: Final = 0.1
_NAMED: Final = 10
# Everything there is in the details of a run but what differs from run to run.
_NOT_COMPARED: Final = frozenset({"may_stay", "parameters", "parameters_not_kept"})
# A resumed run says the date of the run before; one that was given none says nothing, and it is when it began.
_DATES: Final = frozenset({"settings.context.date", "settings.scheduled_start_time"})


class Change(NamedTuple):
    """Something with a name that is different; None where it is not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildrenComparison:
    """How the children of a map compare, index by index.

    Attributes:
        before: how many there are in each state.
        after: the same of the other run.
        states: how many with the same index ended differently, were added or were taken away.
        results: how many with the same index ended alike with other results.
        first: the first few of those.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    states: int = 0
    results: int = 0
    first: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskComparison:
    """How a task compares; ``differs`` is of "added", "removed", "code", "upstream", "trigger", "state", "result".

    States are None where there is no such task, or it has not begun; durations are in seconds.
    """

    slug: str
    differs: Sequence[str] = ()
    states: tuple[str | None, str | None] = (None, None)
    took: tuple[float | None, float | None] = (None, None)
    children: ChildrenComparison | None = None

    @property
    def is_slower_or_faster(self) -> bool:
        """Whether the durations differ by half and by a tenth of a second."""
        before, after = self.took
        if before is None or after is None:
            return False
        return max(before, after) >= _TIMES * min(before, after) and abs(before - after) >= _SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How two runs compare. ``tasks`` are all tasks that somebody wrote, in the order of the later run."""

    before: RunRecord
    after: RunRecord
    facts: Sequence[Change] = ()
    parameters: Sequence[Change] = ()
    tasks: Sequence[TaskComparison] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether nothing differs but times."""
        return not self.facts and not self.parameters and not any(task.differs for task in self.tasks)


def compare(
    store: RunStore,
    before: RunRecord,
    after: RunRecord,
    parameters: tuple[Mapping[str, str] | None, Mapping[str, str] | None],
) -> Comparison:
    """Compare two runs; ``parameters`` are the values of theirs as texts, or None where they were not kept."""
    return Comparison(
        before=before,
        after=after,
        facts=[*_facts(before, after)],
        parameters=[*_changes(parameters[0] or {}, parameters[1] or {})] if None not in parameters else [],
        tasks=[*_tasks(store, before, after)],
    )


def _facts(before: RunRecord, after: RunRecord) -> Iterator[Change]:
    changes = _changes(
        {"flow": before.flow_name, "state": before.state, **_details(before)},
        {"flow": after.flow_name, "state": after.state, **_details(after)},
    )
    for change in changes:
        if change.name not in _DATES or None not in change[1:]:
            yield change


def _details(run: RunRecord) -> dict[str, str]:
    """Return the details of a run by name; the file that the flow came from is named in full."""
    found = dict(_flat(run.details))
    if found.get("origin.module") == "False":
        found["origin.target"] = str(Path(found["origin.folder"]) / found["origin.target"])
    return found


def _flat(details: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in details.items():
        if f"{prefix}{name}" in _NOT_COMPARED:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


# Tasks


class _End(NamedTuple):
    """What is compared of a task run; the digest is None if the value was not kept."""

    state: str
    digest: bytes | None
    type_name: str | None
    took: float | None


def _end(record: TaskRunRecord) -> _End:
    value = record.value
    took = None if record.started is None or not record.is_finished else record.entered - record.started
    if value is None:
        return _End(record.state, None, None, took)
    return _End(record.state, digest_of(value), value.type_name, took)


class _Side:
    """One of the runs."""

    def __init__(self, store: RunStore, run: RunRecord) -> None:
        self.run = run
        self.all = store.tasks(run.id)
        self.tasks = {task.slug: task for task in self.all if task.kind == "task"}
        self.ends: dict[str, _End] = {}
        for record in store.task_runs(run.id, TaskRunQuery(children=False, data=True)):
            slug = self.all[record.node].slug
            if slug in self.tasks:
                self.ends[slug] = _end(record)
        self.counts: dict[str, dict[str, int]] = defaultdict(dict)
        self.spans: dict[str, tuple[float | None, float]] = {}
        for each in store.tally(run.id):
            self._count(self.all[each.node].slug, each.state, each.children, each.started, each.entered)

    def _count(self, slug: str, state: str, count: int, started: float | None, entered: float) -> None:
        self.counts[slug][state] = count
        earliest, latest = self.spans.get(slug, (None, entered))
        starts = [moment for moment in (earliest, started) if moment is not None]
        self.spans[slug] = (min(starts, default=None), max(latest, entered))

    def state(self, slug: str) -> str | None:
        end = self.ends.get(slug)
        if end is None:
            return None
        return state_of_map(self.counts[slug]) if end.state == "Mapped" else end.state

    def took(self, slug: str) -> float | None:
        if slug in self.spans:
            first, last = self.spans[slug]
            first = beginning_here(first, last, self.run)
            return None if first is None else last - first
        return self.ends[slug].took if slug in self.ends else None

    def upstream(self, task: TaskRecord) -> list[tuple[Any, ...]]:
        return [(self.all[edge.upstream].slug, *edge[1:]) for edge in task.upstream]


def _tasks(store: RunStore, before: RunRecord, after: RunRecord) -> Iterator[TaskComparison]:
    sides = _Side(store, before), _Side(store, after)
    for slug in {**sides[1].tasks, **sides[0].tasks}:
        old, new = (side.tasks.get(slug) for side in sides)
        children = None
        if old is not None and new is not None and old.mapped and new.mapped:
            children = _children(store, sides, slug, (old.node, new.node))
        yield TaskComparison(
            slug=slug,
            differs=[*_differences(sides, old, new, slug, children)],
            states=(sides[0].state(slug), sides[1].state(slug)),
            took=(sides[0].took(slug), sides[1].took(slug)),
            children=children,
        )


def _differences(
    sides: tuple[_Side, _Side],
    old: TaskRecord | None,
    new: TaskRecord | None,
    slug: str,
    children: ChildrenComparison | None,
) -> Iterator[str]:
    if old is None or new is None:
        yield "added" if old is None else "removed"
        return
    if old.source_digest != new.source_digest:
        yield "code"
    if sides[0].upstream(old) != sides[1].upstream(new) or old.mapped != new.mapped:
        yield "upstream"
    if old.trigger != new.trigger:
        yield "trigger"
    if sides[0].state(slug) != sides[1].state(slug) or (children is not None and children.states):
        yield "state"
    if children is not None:
        if children.results:
            yield "result"
    elif _other_result(sides[0].ends.get(slug), sides[1].ends.get(slug)):
        yield "result"


def _other_result(before: _End | None, after: _End | None) -> bool:
    """Tell whether what came of two task runs is known to differ."""
    if before is None or after is None or (before.type_name is None) != (after.type_name is None):
        # Small values are recorded without a type, and of others the digest counts.
        return before is not None and after is not None and _other_digest(before, after)
    return before.type_name != after.type_name or _other_digest(before, after)


def _other_digest(before: _End, after: _End) -> bool:
    return before.digest is not None and after.digest is not None and before.digest != after.digest


# Children


def _children(store: RunStore, sides: tuple[_Side, _Side], slug: str, nodes: tuple[int, int]) -> ChildrenComparison:
    states = results = 0
    first: list[int] = []
    for index, before, after in _pairs(
        *(_child_ends(store, side, node) for side, node in zip(sides, nodes, strict=True))
    ):
        if before is None or after is None or before.state != after.state:
            states += 1
        elif _other_result(before, after):
            results += 1
        else:
            continue
        if len(first) < _NAMED:
            first.append(index)
    return ChildrenComparison(
        before=sides[0].counts[slug], after=sides[1].counts[slug], states=states, results=results, first=first
    )


def _child_ends(store: RunStore, side: _Side, node: int) -> Iterator[tuple[int, _End]]:
    for record in store.task_runs(side.run.id, TaskRunQuery(node=node, children=True, data=True)):
        yield record.map_index, _end(record)


def _pairs(
    before: Iterator[tuple[int, _End]], after: Iterator[tuple[int, _End]]
) -> Iterator[tuple[int, _End | None, _End | None]]:
    """Yield what two sorted iterators have under each index."""
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield old[0], old[1], None
            old = next(before, None)
        elif old is None or new[0] < old[0]:
            yield new[0], None, new[1]
            new = next(after, None)
        else:
            yield old[0], old[1], new[1]
            old, new = next(before, None), next(after, None)
