"""``headrace show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import traceback_option
from headrace.cli.histories import (
    history,
    json_option,
    moment,
    print_json,
    print_rows,
    say,
    state_cell,
    state_of_run,
)
from headrace.cli.looks import duration
from headrace.cli.values import chosen_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.abc import RunStore
    from headrace.history.overview import TaskOverview
    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord

__all__ = ["show"]

# More children than that are listed only if somebody asks for all.
_MANY: Final = 50


@click.command(short_help="Show a run that was recorded, task by task.")
@click.argument("run", default="latest")
@click.argument("task", required=False)
@click.option("--task", "chosen", metavar="TASK", help="The same as TASK, for the last run: it needs no RUN.")
@click.option("--all", "everything", is_flag=True, help="List every mapped child, and constants and parameters too.")
@json_option
@traceback_option
def show(run: str, task: str | None, chosen: str | None, everything: bool, as_json: bool) -> None:
    """Show RUN, the last one by default, as a tree of its tasks: states, times, attempts, and what went wrong.

    Of a mapped task the children that failed or go on are listed, a few of them, and the slowest are named. With TASK,
    such as `load` or `load[3]`, one task run is shown in full: its attempts, where its result is, and remarks on it.

    RUN is its name, or the beginning of its id.
    """
    from headrace.history.choosing import choose_task  # noqa: PLC0415 - `headrace --help` needs no history

    named = chosen_task(task, chosen)
    with history() as store:
        found = store.run(run)
        tasks = store.tasks(found.id)
        if named is not None:
            from headrace.cli.task_runs import show_task_run  # noqa: PLC0415 - each view imports what it needs

            node, index = choose_task(store, found, tasks, named)
            limit = None if everything else _MANY
            show_task_run(store, found, tasks, (node, index), limit=limit, as_json=as_json)
            return
        visible = [each for each in tasks if everything or each.kind == "task"]
        if as_json:
            print_json(_document(store, found, tasks, visible, everything=everything))
        else:
            _print_run(store, found, visible, everything=everything)


def _print_run(store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord], *, everything: bool) -> None:
    from headrace.cli import run_rows  # noqa: PLC0415 - as above
    from headrace.history.overview import overview  # noqa: PLC0415
    from headrace.history.records import RunQuery  # noqa: PLC0415

    _print_head(run)
    rows = [run_rows.HEAD]
    for each in overview(store, run, tasks):
        rows.append(run_rows.task_row(each, run))
        rows += run_rows.child_rows(store, run, each.task) if everything else run_rows.few_child_rows(each)
    print_rows(rows)
    inside = list(store.runs(RunQuery(parent=run.id)))
    if inside:
        click.echo("\nRuns inside of its tasks")
        print_rows([[each.name, each.flow_name, state_cell(each.state, state_of_run(each))] for each in inside])


def _print_head(run: RunRecord) -> None:
    message = f": {run.message}" if run.message else ""
    say(f"{run.name} of flow {run.flow_name}: {state_of_run(run)}{message}")
    took = "" if run.ended is None else f", took {duration(run.ended - run.created)}"
    say(f"id {run.id}, begun {moment(run.created, '%Y-%m-%d %H:%M:%S%z')}{took}", "dim")
    for word, other in (
        ("goes on from", run.resumed_from),
        ("gone on with by", run.resumed_by),
        ("inside of a task of", run.parent),
    ):
        if other:
            say(f"{word} {other}", "dim")
    click.echo()


# JSON


def _document(
    store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord], visible: Sequence[TaskRecord], *, everything: bool
) -> dict[str, Any]:
    from headrace.history.documents import run_document, task_document  # noqa: PLC0415 - as above
    from headrace.history.overview import overview  # noqa: PLC0415

    slugs = {task.node: task.slug for task in tasks}
    listed = []
    for each in overview(store, run, visible):
        found = {**task_document(each.task, slugs), **_task_run(each.task, each.whole, each.state, each.took)}
        if each.task.mapped:
            children = _children_of(store, run, each) if everything else each.trouble
            found["children"] = {
                "total": None if each.whole is None else each.whole.child_count,
                "states": dict(each.counts),
                "listed": [_child(each.task, child) for child in children],
                "slowest": [_child(each.task, child) for child in each.slowest],
            }
        listed.append(found)
    return {**run_document(run), "tasks": listed}


def _children_of(store: RunStore, run: RunRecord, each: TaskOverview) -> Iterable[TaskRunRecord]:
    from headrace.history.records import TaskRunQuery  # noqa: PLC0415 - as above

    return store.task_runs(run.id, TaskRunQuery(node=each.task.node, children=True))


def _task_run(task: TaskRecord, record: TaskRunRecord | None, state: str | None, took: float | None) -> dict[str, Any]:
    if record is None:
        return {"state": None}
    from headrace.history.documents import task_run_document  # noqa: PLC0415 - as above

    found = task_run_document(record, task.slug)
    del found["task"], found["map_index"], found["children"], found["details"]
    return {**found, "state": state, "took": took}


def _child(task: TaskRecord, record: TaskRunRecord) -> dict[str, Any]:
    took = None if record.started is None or not record.is_finished else record.entered - record.started
    return {"map_index": record.map_index, **_task_run(task, record, record.state, took)}
