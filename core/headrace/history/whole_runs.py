"""What a store says of a run as a whole, for stores that have no faster way than to look at each task run."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

from headrace.history.records import Tally, TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.abc import RunStore
    from headrace.history.records import AttemptRecord, NoteRecord, TaskRunRecord

__all__ = ["attempts_of_run", "notes_of_run", "slowest", "tally"]


def tally(store: RunStore, run_id: str) -> list[Tally]:
    """Count the mapped children of a run by task and state; see `RunStore.tally`."""
    found: dict[tuple[int, str], Tally] = {}
    for record in store.task_runs(run_id, TaskRunQuery(children=True)):
        at = record.node, record.state
        before = found.get(at)
        if before is None:
            found[at] = Tally(*at, 1, record.started, record.entered)
            continue
        starts = [moment for moment in (before.started, record.started) if moment is not None]
        found[at] = Tally(*at, before.children + 1, min(starts, default=None), max(before.entered, record.entered))
    return [found[at] for at in sorted(found)]


def slowest(store: RunStore, run_id: str, node: int, limit: int) -> list[TaskRunRecord]:
    """Return the children of a task that took longest; see `RunStore.slowest`."""
    children = store.task_runs(run_id, TaskRunQuery(node=node, children=True))
    timed = (record for record in children if record.started is not None and record.is_finished)
    return nlargest(limit, timed, key=lambda record: record.entered - (record.started or 0.0))


def attempts_of_run(store: RunStore, run_id: str) -> Iterator[AttemptRecord]:
    """Yield the earlier attempts of all task runs; see `RunStore.attempts_of_run`."""
    for record in store.task_runs(run_id):
        yield from store.attempts(run_id, record.node, record.map_index)


def notes_of_run(store: RunStore, run_id: str) -> Iterator[NoteRecord]:
    """Yield the remarks on all task runs; see `RunStore.notes_of_run`."""
    for record in store.task_runs(run_id):
        yield from store.notes(run_id, record.node, record.map_index)
