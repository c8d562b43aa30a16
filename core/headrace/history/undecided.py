"""Task runs of which a run that was cut off had not found out whether they stay: the one after it may find out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.exceptions import RunNotFoundError
from headrace.history.choices import is_good, was_under_way
from headrace.history.records import UNMAPPED, TaskRunQuery
from headrace.history.staying import Before, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.history.choices import Found
    from headrace.history.records import RunRecord, TaskRunRecord

__all__ = ["MAY_STAY", "collect_undecided"]

MAY_STAY: Final = "may_stay"
"""Under which of its details a run has the slugs of tasks that may stay in it."""


def collect_undecided(store: RunStore, run: RunRecord, found: Sequence[Found]) -> None:
    """Put down what runs before ``run`` have finished, and ``run`` had not come to: see `Found.undecided`."""
    wanted = {task.now.slug: task for task in found if task.before is not None and task.now.slug in _listed(run)}
    decided = {slug: _decided(task.parts) for slug, task in wanted.items()}
    while wanted and run.resumed_from is not None:
        try:
            run = store.run(run.resumed_from)
        except RunNotFoundError:
            return
        needed = {found[edge.upstream].now.slug for task in wanted.values() for edge in task.now.upstream}
        parts, before = _records(store, run, needed | wanted.keys())
        for slug, task in wanted.items():
            for index, record in parts.get(slug, {}).items():
                if index not in decided[slug] and is_good(record) and task.before is not None:
                    own = record._replace(node=task.before.node, taken_from=record.taken_from or run.id)
                    task.undecided[index] = Part(own, before)
            decided[slug] |= _decided(parts.get(slug, {}))
        wanted = {slug: task for slug, task in wanted.items() if slug in _listed(run)}


def _listed(run: RunRecord) -> Iterable[str]:
    listed = run.details.get(MAY_STAY)
    return listed if isinstance(listed, list) else ()


def _decided(parts: Mapping[int, TaskRunRecord]) -> set[int]:
    """Return which parts stayed or ran; those that never began might have stayed."""
    return {index for index, part in parts.items() if is_good(part) or was_under_way(part)}


def _records(store: RunStore, run: RunRecord, slugs: set[str]) -> tuple[dict[str, dict[int, TaskRunRecord]], Before]:
    """Return what is on record of some tasks of ``run``, also as what was there before."""
    tasks = {task.node: task for task in store.tasks(run.id) if task.slug in slugs}
    parts: dict[str, dict[int, TaskRunRecord]] = {task.slug: {} for task in tasks.values()}
    counts: dict[str, int | None] = {}
    for record in store.task_runs(run.id, TaskRunQuery(data=True)):
        task = tasks.get(record.node)
        if task is None:
            continue
        if record.map_index == UNMAPPED:
            counts[task.slug] = record.child_count
        if task.mapped == (record.map_index != UNMAPPED):
            parts[task.slug][record.map_index] = record
    return parts, Before(run.id, parts, counts)
