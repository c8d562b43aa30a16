"""Tasks and mapped children of a recorded run, found by what people call them: ``load``, ``load-1``, ``load[3]``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from headrace.exceptions import HistoryError, nearest
from headrace.history.records import UNMAPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord, TaskRecord

__all__ = ["choose_task", "name_of"]

_CHILD: Final = re.compile(r"(.+)\[(\d+)\]", re.DOTALL)


def choose_task(store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord], text: str) -> tuple[TaskRecord, int]:
    """Return the task that ``text`` names by its slug or its name, and which child of it, or `UNMAPPED`.

    Raises HistoryError, which lists what there is, if there is none such, or more than one.
    """
    found = _called(tasks, text)
    if found:
        return _one(found, run, text), UNMAPPED
    child = _CHILD.fullmatch(text)
    if child is not None:
        found = _called(tasks, child[1])
    if child is None or not found:
        named = text if child is None else child[1]
        known = {name for each in tasks if each.kind == "task" for name in (each.slug, each.name)}
        raise HistoryError(f"Run {run.name!r} has no task {named!r}.", hint=nearest(named, known))
    task, index = _one(found, run, child[1]), int(child[2])
    _check_index(store, run, task, index)
    return task, index


def _called(tasks: Sequence[TaskRecord], text: str) -> list[TaskRecord]:
    return [task for task in tasks if task.slug == text] or [task for task in tasks if task.name == text]


def _one(found: Sequence[TaskRecord], run: RunRecord, text: str) -> TaskRecord:
    if len(found) > 1:
        slugs = ", ".join(task.slug for task in found)
        raise HistoryError(f"Run {run.name!r} has several tasks named {text!r}.", hint=f"Name one: {slugs}.")
    return found[0]


def _check_index(store: RunStore, run: RunRecord, task: TaskRecord, index: int) -> None:
    if not task.mapped:
        raise HistoryError(
            f"Task {task.slug!r} of run {run.name!r} is not mapped, so it has no child {index}.",
            hint=f"Leave out the brackets: {task.slug}.",
        )
    whole = store.task_run(run.id, task.node)
    count = None if whole is None else whole.child_count
    if count is not None and index >= count:
        last = f"The last one is {task.slug}[{count - 1}]." if count else "It was mapped over nothing."
        raise HistoryError(f"Task {task.slug!r} of run {run.name!r} has {count} children, and none {index}.", hint=last)
    if count is None and store.task_run(run.id, task.node, index) is None:
        raise HistoryError(
            f"Task {task.slug!r} of run {run.name!r} was not expanded, so nothing is known of its child {index}.",
            hint=f"Ask about the task itself: `headrace why {run.name} {task.slug}`.",
        )


def name_of(task: TaskRecord, map_index: int) -> str:
    """Return what names a task run for people, and is understood by `choose_task`."""
    return task.slug if map_index == UNMAPPED else f"{task.slug}[{map_index}]"
