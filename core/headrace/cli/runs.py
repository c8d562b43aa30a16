"""``headrace runs`` and ``headrace show``."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from headrace import states
from headrace.cli.failures import traceback_option
from headrace.cli.looks import duration, look_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord

__all__ = ["runs", "show"]

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _states(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> frozenset[str]:
    """Return the names of states; they may be typed as they are listed, such as `timed out`."""
    known = {name.lower(): name for name in states.__all__}
    words = [(look_of(getattr(states, name)).word, name) for name in states.__all__]
    found: set[str] = set()
    for value in values:
        named = {known[value.lower()]} if value.lower() in known else {name for word, name in words if word == value}
        if not named:
            from headrace.exceptions import nearest  # noqa: PLC0415 - only for a mistake

            raise click.BadParameter(f"There is no state {value!r}. {nearest(value, known.values())}", ctx, param)
        found |= named
    return frozenset(found)


@click.command(short_help="List the runs that were recorded.")
@click.option("--flow", "flow_name", metavar="NAME", help="Only runs of this flow.")
@click.option(
    "--state",
    "wanted",
    multiple=True,
    metavar="STATE",
    callback=_states,
    help="Only runs in this state, such as Failed.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@_json_option
@traceback_option
def runs(flow_name: str | None, wanted: frozenset[str], limit: int, as_json: bool) -> None:
    """List the runs that were recorded in this project, the last one first.

    A run whose process has died is recorded as Crashed by this command, if no other has done so.
    """
    from headrace.history.records import RunQuery  # noqa: PLC0415 - `headrace --help` needs no history

    query = RunQuery(flow_name=flow_name, states=wanted or None, limit=limit)
    with _history() as store:
        found = list(store.runs(query))
    if as_json:
        click.echo(json.dumps([_document(run) for run in found], indent=2))
    elif not found:
        click.echo("No such run was recorded here." if flow_name or wanted else "No run was recorded here.", err=True)
    else:
        _print_rows(["RUN", "FLOW", "STATE", "TASKS", "STARTED", "TOOK"], [_row(run) for run in found])


def _row(run: RunRecord) -> list[str]:
    began = datetime.fromtimestamp(run.created).astimezone()
    took = "" if run.ended is None else duration(run.ended - run.created)
    return [run.name, run.flow_name, _word(run), str(run.task_count), f"{began:%Y-%m-%d %H:%M:%S}", took]


def _word(run: RunRecord) -> str:
    word = _look(run.state)
    return f"{word} ({run.cause})" if run.cause else word


def _look(state: str) -> str:
    return look_of(getattr(states, state, states.State)).word


@click.command(short_help="Show a run that was recorded, task by task.")
@click.argument("run", default="latest")
@click.argument("task", required=False)
@_json_option
@traceback_option
def show(run: str, task: str | None, as_json: bool) -> None:
    """Show RUN, the last one by default, task by task: states, times, attempts, and what went wrong.

    RUN is its name, or the beginning of its id. With TASK, every child of a mapped task has a line of its own.
    """
    with _history() as store:
        found = store.run(run)
        tasks = _chosen(store, found, task)
        nodes = {each.node for each in tasks}
        records = [each for each in store.task_runs(found.id) if each.node in nodes]
        if as_json:
            click.echo(json.dumps(_whole(found, tasks, records), indent=2))
            return
        _print_run(found, tasks, records, children=task is not None)


def _chosen(store: RunStore, run: RunRecord, task: str | None) -> Sequence[TaskRecord]:
    tasks = store.tasks(run.id)
    if task is None:
        return tasks
    found = [each for each in tasks if task in {each.name, each.slug}]
    if not found:
        from headrace.exceptions import HistoryError, nearest  # noqa: PLC0415 - only for a mistake

        known = {each.slug for each in tasks} | {each.name for each in tasks}
        raise HistoryError(f"Run {run.name!r} has no task {task!r}.", hint=nearest(task, known))
    return found


def _print_run(
    run: RunRecord, tasks: Sequence[TaskRecord], records: Sequence[TaskRunRecord], *, children: bool
) -> None:
    click.echo(f"{run.name} of flow {run.flow_name}: {_word(run)}{': ' + run.message if run.message else ''}")
    click.echo(f"id {run.id}, begun {datetime.fromtimestamp(run.created).astimezone():%Y-%m-%d %H:%M:%S%z}")
    for word, other in (("goes on from", run.resumed_from), ("gone on with by", run.resumed_by)):
        if other:
            click.echo(f"{word} {other}")
    click.echo()
    rows = []
    for task in tasks:
        own = [each for each in records if each.node == task.node]
        rows.append(_task_row(task, own))
        if children:
            rows += [_child_row(task, each) for each in own if each.map_index >= 0]
    _print_rows(["TASK", "STATE", "TOOK", "ATTEMPT", "MESSAGE"], rows)


def _task_row(task: TaskRecord, records: Sequence[TaskRunRecord]) -> list[str]:
    whole = next((each for each in records if each.map_index < 0), None)
    children = [each for each in records if each.map_index >= 0]
    if whole is None:
        return [task.slug, "not begun", "", "", ""]
    if task.mapped and whole.child_count is not None:
        done = sum(getattr(states, each.state, states.State)._successful for each in children)  # noqa: SLF001 - a class's
        word = _look(_worst(children) if whole.state == "Mapped" else whole.state)
        return [task.slug, word, _took(whole), "", f"{done} of {whole.child_count} succeeded"]
    return [task.slug, *_cells(whole)]


def _worst(children: Sequence[TaskRunRecord]) -> str:
    """Return the state that says how a mapped task ended, whose own state only says that all children have."""
    found = {each.state for each in children}
    for kind in (states.Failed, states.Cancelled):
        if any(issubclass(getattr(states, name), kind) for name in found):
            return kind.__name__
    return "Skipped" if found == {"Skipped"} else "Success"


def _child_row(task: TaskRecord, record: TaskRunRecord) -> list[str]:
    return [f"  {task.name}[{record.map_index}]", *_cells(record)]


def _cells(record: TaskRunRecord) -> list[str]:
    taken = f"taken over from {record.taken_from[:8]}" if record.taken_from else record.message or ""
    return [_look(record.state), _took(record), str(record.attempt), taken.splitlines()[0] if taken else ""]


def _took(record: TaskRunRecord) -> str:
    return "" if record.started is None else duration(record.entered - record.started)


def _print_rows(head: list[str], rows: Iterable[list[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _whole(run: RunRecord, tasks: Sequence[TaskRecord], records: Iterable[TaskRunRecord]) -> dict[str, Any]:
    slugs = {task.node: task.slug for task in tasks}
    listed = [
        {
            "task": slugs[each.node],
            "map_index": None if each.map_index < 0 else each.map_index,
            "state": each.state,
            "message": each.message,
            "attempt": each.attempt,
            "started": each.started,
            "entered": each.entered,
            "children": each.child_count,
            "taken_from": each.taken_from,
        }
        for each in records
    ]
    return {**_document(run), "task_runs": listed}


def _document(run: RunRecord) -> dict[str, Any]:
    """Return what JSON can hold of a run, which is all but its parameters."""
    fields = asdict(run)
    del fields["parameters"]
    return fields


@contextmanager
def _history() -> Iterator[RunStore]:
    from headrace.engine import Engine  # noqa: PLC0415 - `headrace --help` needs no engine
    from headrace.engine.recorded_runs import open_history  # noqa: PLC0415

    with Engine() as engine, open_history(True, engine) as store:
        store.sweep()
        yield store
