"""A recorded run at a glance: each task once, and of a map with 100,000 children how they did and a few of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headrace.history.records import FINISHED_STATES, TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord, Tally, TaskRecord, TaskRunRecord

__all__ = ["GOOD_STATES", "TaskOverview", "beginning_here", "overview", "state_of_map"]

GOOD_STATES: Final = frozenset({"Success", "Cached", "Skipped", "Mapped", "Finished"})
"""The states in which what follows by default runs, or is skipped as well."""

_BROKEN: Final = frozenset({"Failed", "TimedOut", "Crashed", "ValidationFailed"})
_HELD_UP: Final = frozenset({"TriggerFailed", "Cancelled"})
_GROUPS: Final = (_BROKEN, None, _HELD_UP)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOverview:
    """A task of a run, and how far it has come.

    Attributes:
        task: the task.
        whole: its run, or None if nothing was said of it; of a mapped task the one that stands for all children.
        counts: how many children are in each state. Those of which nothing was said yet are not among them.
        began: when the first child began, if one did; in a resumed run in which any began, not before that run.
        ended: when the last child came into its state.
        trouble: the first few children that are not well, those that failed before those that go on or were not run.
        slowest: the few children that took longest.
    """

    task: TaskRecord
    whole: TaskRunRecord | None
    counts: Mapping[str, int] = field(default_factory=dict)
    began: float | None = None
    ended: float | None = None
    trouble: Sequence[TaskRunRecord] = ()
    slowest: Sequence[TaskRunRecord] = ()

    @property
    def state(self) -> str | None:
        """The state it is in, or None if it has not begun; of a map, one that says how its children ended."""
        if self.whole is None:
            return None
        return state_of_map(self.counts) if self.whole.state == "Mapped" else self.whole.state

    @property
    def took(self) -> float | None:
        """How many seconds it took: its last attempt, or from the beginning of the first child to the last change."""
        if self.began is not None and self.ended is not None:
            return self.ended - self.began
        if self.whole is None or self.whole.started is None or not self.whole.is_finished:
            return None
        return self.whole.entered - self.whole.started


def state_of_map(counts: Mapping[str, int]) -> str:
    """Return the state that says how a map ended whose own state only says that all of its children have."""
    for group in (_BROKEN | {"TriggerFailed"}, frozenset({"Cancelled"})):
        found = sorted(state for state in counts if state in group)
        if found:
            return found[0] if len(found) == 1 else "Failed"
    return "Skipped" if set(counts) == {"Skipped"} else "Success"


def beginning_here(began: float | None, ended: float, run: RunRecord) -> float | None:
    """Return when a map began in ``run``, where children of it may have been taken over from the run before."""
    return began if began is None or ended < run.created else max(began, run.created)


def overview(store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord], few: int = 5) -> list[TaskOverview]:
    """Return an overview of each of ``tasks``, with at most ``few`` children each."""
    wholes = {record.node: record for record in store.task_runs(run.id, TaskRunQuery(children=False))}
    tallies: dict[int, list[Tally]] = defaultdict(list)
    if any(task.mapped for task in tasks):
        for each in store.tally(run.id):
            tallies[each.node].append(each)
    return [
        _of_map(store, run, task, wholes.get(task.node), tallies[task.node], few)
        if task.node in tallies
        else TaskOverview(task=task, whole=wholes.get(task.node))
        for task in tasks
    ]


def _of_map(
    store: RunStore, run: RunRecord, task: TaskRecord, whole: TaskRunRecord | None, tallies: list[Tally], few: int
) -> TaskOverview:
    counts = {each.state: each.children for each in tallies}
    starts = [each.started for each in tallies if each.started is not None]
    ended = max(each.entered for each in tallies)
    return TaskOverview(
        task=task,
        whole=whole,
        counts=counts,
        began=beginning_here(min(starts, default=None), ended, run),
        ended=ended,
        trouble=_trouble(store, run, task, counts, few),
        slowest=store.slowest(run.id, task.node, few) if sum(counts.values()) > few else (),
    )


def _trouble(
    store: RunStore, run: RunRecord, task: TaskRecord, counts: Mapping[str, int], few: int
) -> list[TaskRunRecord]:
    found: list[TaskRunRecord] = []
    for group in _GROUPS:
        states = counts.keys() - FINISHED_STATES if group is None else counts.keys() & group
        if states and len(found) < few:
            query = TaskRunQuery(node=task.node, children=True, states=frozenset(states), limit=few - len(found))
            found += store.task_runs(run.id, query)
    return found
