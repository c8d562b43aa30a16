"""``headrace diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import error_text, plain, traceback_option
from headrace.cli.histories import (
    Styled,
    can_show,
    history,
    json_option,
    moment,
    print_json,
    print_rows,
    say,
    state_cell,
)
from headrace.cli.looks import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.cli.histories import Row
    from headrace.history.comparing import Change, Comparison, TaskComparison
    from headrace.history.records import RunRecord

__all__ = ["diff"]

_NAMED = 3


@click.command(short_help="Compare two runs.")
@click.argument("before")
@click.argument("after", default="latest")
@json_option
@traceback_option
@click.pass_context
def diff(ctx: click.Context, /, before: str, after: str, as_json: bool) -> None:
    """Compare two runs: parameters, versions, tasks and their code, how they ended, and what came of them.

    The second one is the last run by default. Results are compared by digest, and mapped children are counted. Tasks
    that took half as long again, and at least a tenth of a second longer, are listed too, but times make no difference.

    The exit code is 0 if nothing differs, 1 if something does, and 2 for an error.
    """
    from headrace.history.comparing import compare  # noqa: PLC0415 - `headrace --help` needs no history

    with history() as store:
        runs = store.run(before), store.run(after)
        comparison = compare(store, *runs, (_parameters(store, runs[0]), _parameters(store, runs[1])))
    if as_json:
        print_json(_document(comparison))
    else:
        _print(comparison)
    ctx.exit(0 if comparison.is_same else 1)


def _parameters(store: RunStore, run: RunRecord) -> Mapping[str, str] | None:
    from headrace.engine.recorded_parameters import recorded_parameters  # noqa: PLC0415 - as above
    from headrace.exceptions import HistoryError  # noqa: PLC0415
    from headrace.history.sealing import Sealer, project_key  # noqa: PLC0415
    from headrace.history.shown_values import shown_values  # noqa: PLC0415
    from headrace.project import project_folder  # noqa: PLC0415

    names = {task.name for task in store.tasks(run.id) if task.kind == "parameter"}
    lost = run.details.get("parameters_not_kept")
    why = {name: f"(not kept: {reason})" for name, reason in lost.items()} if isinstance(lost, dict) else {}
    try:
        sealer = Sealer(project_key(project_folder() / "history", make=False))
        return {**shown_values(recorded_parameters(run, sealer, names, why)), **why}
    except HistoryError as error:
        click.echo(f"Parameters are not compared: {plain(error.message)}", err=True)
    except Exception as error:  # noqa: BLE001 - a class may have moved, and its __setstate__ may raise anything
        click.echo(f"Parameters are not compared: those of {run.name} cannot be read: {error_text(error)}", err=True)
    return None


def _print(comparison: Comparison) -> None:
    arrow = " → " if can_show("→") else " -> "
    before, after = comparison.before, comparison.after
    say(f"{before.name} ({moment(before.created)}){arrow}{after.name} ({moment(after.created)})")
    for title, changes in (("parameters", comparison.parameters), ("runs", comparison.facts)):
        if changes:
            say(f"\n{title}", "bold")
            print_rows([["", each.name, _change(each, arrow)] for each in changes])
    rows = [_row(each, arrow) for each in comparison.tasks if each.differs or each.is_slower_or_faster]
    if rows:
        say("\ntasks", "bold")
        print_rows(rows)
    if comparison.is_same:
        say("Nothing differs.")


def _change(each: Change, arrow: str) -> str:
    before = "(none)" if each.before is None else each.before
    return f"{before}{arrow}{'(none)' if each.after is None else each.after}"


def _row(each: TaskComparison, arrow: str) -> Row:
    if "added" in each.differs:
        return [Styled("+", "green"), each.slug, _state(each.states[1]), "", "added"]
    if "removed" in each.differs:
        return [Styled("-", "red"), each.slug, _state(each.states[0]), "", "removed"]
    before, after = (_state(state) for state in each.states)
    state = before if each.states[0] == each.states[1] else Styled(f"{before.text}{arrow}{after.text}", after.style)
    took = ""
    if each.is_slower_or_faster:
        took = arrow.join("" if span is None else duration(span) for span in each.took)
    return [Styled("~", "yellow"), each.slug, state, took, "; ".join(_words(each))]


def _state(state: str | None) -> Styled:
    return Styled("not begun", "dim") if state is None else state_cell(state)


def _words(each: TaskComparison) -> Sequence[str]:
    children = each.children
    found = [_WORDS[word] for word in each.differs if word in _WORDS and not (children and word in {"state", "result"})]
    if children is None:
        return found
    if children.states:
        found.append(f"{children.states:,} {'child' if children.states == 1 else 'children'} ended differently")
    if children.results:
        found.append(f"{children.results:,} {'child has' if children.results == 1 else 'children have'} another result")
    if children.first:
        found[-1] += ", such as " + ", ".join(f"[{index}]" for index in children.first[:_NAMED])
    return found


_WORDS = {
    "code": "its code has changed",
    "upstream": "what it depends on has changed",
    "trigger": "its trigger has changed",
    "result": "another result",
}


# JSON


def _document(comparison: Comparison) -> dict[str, Any]:
    return {
        "before": _run(comparison.before),
        "after": _run(comparison.after),
        "same": comparison.is_same,
        "parameters": [each._asdict() for each in comparison.parameters],
        "facts": [each._asdict() for each in comparison.facts],
        "tasks": [_task(each) for each in comparison.tasks if each.differs or each.is_slower_or_faster],
    }


def _run(run: RunRecord) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "flow_name": run.flow_name, "created": run.created, "state": run.state}


def _task(each: TaskComparison) -> dict[str, Any]:
    found: dict[str, Any] = {"task": each.slug, "differs": list(each.differs)}
    found["states"], found["took"] = list(each.states), list(each.took)
    if each.children is not None:
        children = each.children
        found["children"] = {
            "before": dict(children.before),
            "after": dict(children.after),
            "states_differ": children.states,
            "results_differ": children.results,
            "first": list(children.first),
        }
    return found
