"""One run of one task in full: ``headrace show RUN TASK``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headrace.cli.histories import (
    Styled,
    moment,
    print_json,
    print_rows,
    say,
    state_cell,
)
from headrace.cli.looks import amount, duration
from headrace.cli.run_rows import child_rows, children_text, remark, took
from headrace.history.choosing import name_of
from headrace.history.documents import (
    attempt_document,
    note_document,
    task_document,
    task_run_document,
)
from headrace.history.overview import overview
from headrace.history.records import UNMAPPED, TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.cli.histories import Row
    from headrace.history.overview import TaskOverview
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord, ValueRecord

__all__ = ["show_task_run"]


def show_task_run(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    chosen: tuple[TaskRecord, int],
    *,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print all there is to know of one task run; of a mapped task also its children, ``limit`` of them."""
    task, index = chosen
    record = store.task_run(run.id, task.node, index)
    if as_json:
        print_json(_document(store, run, tasks, chosen, record, limit))
        return
    whole = overview(store, run, [task])[0] if task.mapped and index == UNMAPPED else None
    _print_head(run, task, index, record, whole)
    print_rows([[Styled(name, "dim"), text] for name, text in _facts(run, tasks, task, record, whole)])
    _print_attempts(store, run, task, index)
    notes = store.notes(run.id, task.node, index)
    if notes:
        click.echo()
        print_rows([[Styled(note.kind, "dim"), note.text] for note in notes])
    if whole is not None:
        _print_children(store, run, whole, limit)


def _print_head(
    run: RunRecord, task: TaskRecord, index: int, record: TaskRunRecord | None, whole: TaskOverview | None
) -> None:
    state = record.state if whole is None and record is not None else None if whole is None else whole.state
    word = "not begun" if state is None else state_cell(state).text
    say(f"{name_of(task, index)} of {run.name}: {word}")
    if record is not None and remark(record):
        # All lines of it: it may be the traceback of another process.
        for line in remark(record).splitlines():
            say(f"  {line}")
    click.echo()


def _facts(
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    task: TaskRecord,
    record: TaskRunRecord | None,
    whole: TaskOverview | None,
) -> Iterator[tuple[str, str]]:
    yield "run", f"{run.id}, flow {run.flow_name}"
    if task.name != task.slug:
        yield "task", task.name
    if task.kind != "task":
        yield "kind", task.kind
    if record is not None:
        yield from _times(record, whole)
        yield from _outcome(record) if whole is None else ()
    if whole is not None and whole.whole is not None and whole.whole.child_count is not None:
        yield "children", children_text(whole.counts, whole.whole.child_count)
    upstream = [tasks[edge.upstream] for edge in task.upstream]
    seen = dict.fromkeys(each.slug for each in upstream if each.kind == "task")
    if seen:
        yield "after", ", ".join(seen)
    if task.trigger:
        yield "trigger", task.trigger
    if task.tags:
        yield "tags", ", ".join(task.tags)


def _times(record: TaskRunRecord, whole: TaskOverview | None) -> Iterator[tuple[str, str]]:
    began = record.started if whole is None else whole.began
    if began is not None:
        yield "began", moment(began, "%Y-%m-%d %H:%M:%S%z")
    span = took(record) if whole is None else "" if whole.took is None else duration(whole.took)
    if span:
        yield "took", span
    if record.until is not None and not record.is_finished:
        yield "until", moment(record.until)
    if record.attempt > 1:
        yield "attempt", str(record.attempt)


def _outcome(record: TaskRunRecord) -> Iterator[tuple[str, str]]:
    if record.value is not None:
        yield ("error" if record.value.is_exception else "result"), _value(record.value)
    if record.taken_from:
        yield "taken over", f"from run {record.taken_from}"


def _value(value: ValueRecord) -> str:
    size = "" if value.size is None else f", {amount(value.size)}"
    if value.data is not None:
        # What is small is recorded without its type, which is in the pickle.
        return f"{value.type_name or 'a pickle'}{size}, in the history"
    if value.location is not None:
        return f"{value.type_name or 'a pickle'}{size}, at {value.location}"
    return value.type_name or "" if value.is_exception else f"{value.type_name or 'a value'}, not kept"


def _print_attempts(store: RunStore, run: RunRecord, task: TaskRecord, index: int) -> None:
    attempts = store.attempts(run.id, task.node, index)
    if not attempts:
        return
    rows: list[Row] = [[Styled(word, "dim") for word in ("EARLIER", "STATE", "TOOK", "")]]
    for each in attempts:
        span = "" if each.started is None else duration(each.ended - each.started)
        rows.append([str(each.attempt), state_cell(each.state), span, each.message or ""])
    click.echo()
    print_rows(rows)


def _print_children(store: RunStore, run: RunRecord, whole: TaskOverview, limit: int | None) -> None:
    rows = child_rows(store, run, whole.task, limit)
    if not rows:
        return
    click.echo()
    print_rows(rows)
    left = sum(whole.counts.values()) - len(rows)
    if left > 0:
        say(f"and {left:,} more: --all lists them", "dim")


def _document(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    chosen: tuple[TaskRecord, int],
    record: TaskRunRecord | None,
    limit: int | None,
) -> dict[str, Any]:
    task, index = chosen
    slugs = {each.node: each.slug for each in tasks}
    found: dict[str, Any] = {"run": {"id": run.id, "name": run.name}, "task": task_document(task, slugs)}
    found["task_run"] = None if record is None else task_run_document(record, task.slug)
    found["attempts"] = [attempt_document(each, task.slug) for each in store.attempts(run.id, task.node, index)]
    found["notes"] = [note_document(each, task.slug) for each in store.notes(run.id, task.node, index)]
    if task.mapped and index == UNMAPPED:
        query = TaskRunQuery(node=task.node, children=True, limit=limit)
        found["children"] = [task_run_document(each, task.slug) for each in store.task_runs(run.id, query)]
    return found
