"""``headrace runs``."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from headrace import states
from headrace.cli.failures import traceback_option
from headrace.cli.histories import (
    Styled,
    history,
    json_option,
    moment,
    print_json,
    print_rows,
    state_cell,
    state_of_run,
)
from headrace.cli.looks import duration, look_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.cli.histories import Row
    from headrace.history.records import RunRecord

__all__ = ["run_rows", "runs"]

_HEAD: Final = ("RUN", "FLOW", "STATE", "TASKS", "STARTED", "TOOK")


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


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the moment that was typed: as ISO 8601 has it, in local time if it names no zone, or so long ago."""
    if value is None:
        return None
    from headrace.cli.moments import moment_from_text  # noqa: PLC0415 - only where it is asked for

    try:
        return moment_from_text(value, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


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
@click.option(
    "--since",
    metavar="WHEN",
    callback=_since,
    help="Only runs begun since then: 2026-01-31, 2026-01-31T18:00, or 90min, 12h, 7d ago.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--watch", is_flag=True, help="Go on showing them as they change, until Ctrl-C.")
@json_option
@traceback_option
def runs(
    flow_name: str | None, wanted: frozenset[str], since: float | None, limit: int, watch: bool, as_json: bool
) -> None:
    """List the runs that were recorded in this project, the last one first.

    A run whose process has died is recorded as Crashed by this command, if no other has done so.

    With --watch the list is drawn anew when something changes, at most once a second. Where standard output is no
    terminal, there is a line for each run and then one for each change; with --json each is a JSON document.
    """
    from headrace.history.records import RunQuery  # noqa: PLC0415 - `headrace --help` needs no history

    query = RunQuery(flow_name=flow_name, states=wanted or None, since=since, limit=limit)
    if watch:
        from headrace.cli.watching import watch_runs  # noqa: PLC0415 - only where it is asked for

        watch_runs(query, as_json=as_json)
        return
    with history() as store:
        found = list(store.runs(query))
    if as_json:
        print_json([_document(run) for run in found])
    elif found:
        print_rows(run_rows(found))
    else:
        filtered = query != replace(query, flow_name=None, states=None, since=None)
        click.echo("No such run was recorded here." if filtered else "No run was recorded here.", err=True)


def _document(run: RunRecord) -> dict[str, Any]:
    from headrace.history.documents import run_document  # noqa: PLC0415 - each form of output imports what it needs

    return run_document(run)


def run_rows(found: Sequence[RunRecord], now: float | None = None) -> list[Row]:
    """Return runs as rows of a table; with ``now``, of those that go on also for how long they have."""
    return [[Styled(cell, "dim") for cell in _HEAD], *(_row(run, now) for run in found)]


def _row(run: RunRecord, now: float | None) -> Row:
    took = "" if run.ended is None else duration(run.ended - run.created)
    if now is not None and run.ended is None:
        took = duration(now - run.created, live=True)
    state = state_cell(run.state, state_of_run(run))
    return [run.name, run.flow_name, state, str(run.task_count), moment(run.created), took]
