"""A recorded run as lines of JSON, each a document of its own, for other programs. The reference has their form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.history.documents import (
    attempt_document,
    log_document,
    note_document,
    run_document,
    task_document,
    task_run_document,
)
from headrace.history.records import TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord

__all__ = ["FORM", "export"]

FORM: Final = 1
"""The number of the form of these lines. A field may be added to it; what changes otherwise is another form."""


def export(store: RunStore, run: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield all that was recorded of ``run`` but values, which are pickles, without holding it in memory.

    The run comes first, then its tasks, task runs, earlier attempts, remarks and logs, and how many lines these are.
    """
    tasks = store.tasks(run.id)
    slugs = {task.node: task.slug for task in tasks}
    counts: dict[str, int] = {}
    for kind, document in _documents(store, run, slugs):
        counts[kind] = counts.get(kind, 0) + 1
        yield {"type": kind, **document}
    yield {"type": "end", "lines": counts}


def _documents(store: RunStore, run: RunRecord, slugs: dict[int, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "run", {"form": FORM, **run_document(run)}
    for task in store.tasks(run.id):
        yield "task", task_document(task, slugs)
    # The data of small values is read for their digests.
    for record in store.task_runs(run.id, TaskRunQuery(data=True)):
        yield "task_run", task_run_document(record, slugs[record.node])
    for attempt in store.attempts_of_run(run.id):
        yield "attempt", attempt_document(attempt, slugs[attempt.node])
    for note in store.notes_of_run(run.id):
        yield "note", note_document(note, slugs[note.node])
    for log in store.logs(run.id):
        yield "log", log_document(log, slugs.get(log.node))
