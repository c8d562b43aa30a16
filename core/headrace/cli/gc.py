"""``headrace gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import plain, traceback_option
from headrace.cli.histories import json_option, print_json
from headrace.cli.looks import amount
from headrace.cli.values import Amount

if TYPE_CHECKING:
    from headrace.history.retention import Collected, Limits

__all__ = ["gc"]

_WHY: Final = {"age": "too old", "number": "too many", "space": "to make room"}


@click.command(short_help="Remove old runs and their results.")
@click.option("--keep-days", type=Amount(), help="How many days a run stays after its end.")
@click.option("--keep-runs", type=click.IntRange(min=0), help="How many runs stay, the last ones.")
@click.option("--max-mb", type=Amount(), help="How many megabytes history and results may take.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@json_option
@traceback_option
def gc(dry_run: bool, as_json: bool, **limits: float | None) -> None:
    """Remove runs that ended long ago, are too many or take too much room, with their results.

    What is not given here is as configured, under [history]; 0 is no limit. Runs that go on stay, and so do results
    that another run has taken over. What crashes have left behind goes when it is a day old.
    """
    import time  # noqa: PLC0415 - as the rest, only when the command runs

    from headrace.engine import Engine  # noqa: PLC0415
    from headrace.engine.recorded_runs import open_history  # noqa: PLC0415
    from headrace.history.retention import Limits, collect  # noqa: PLC0415
    from headrace.project import project_folder  # noqa: PLC0415

    with Engine() as engine, open_history(True, engine) as store:
        given = {name: value for name, value in limits.items() if value is not None}
        wanted = Limits.of({**engine.config["history"], **given})
        done = collect(store, project_folder(), wanted, time.time(), dry_run=dry_run)
    if as_json:
        print_json(_document(done, dry_run))
    else:
        _print(done, wanted, dry_run)


def _document(done: Collected, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "runs": [
            {"id": run.id, "name": run.name, "flow_name": run.flow_name, "ended": run.ended, "why": why}
            for run, why in done.runs
        ],
        "results": done.results,
        "leftovers": [str(path) for path in done.leftovers],
        "bytes_before": done.before,
        "bytes_after": done.after,
        "damaged": [str(path) for path in done.damaged],
    }


def _print(done: Collected, limits: Limits, dry_run: bool) -> None:
    if dry_run:
        width = max((len(run.name) for run, _ in done.runs), default=0)
        for run, why in done.runs:
            click.echo(f"{plain(run.name):<{width}}  {_WHY[why]}")
    about, would = ("about ", "Would remove") if dry_run else ("", "Removed")
    counts = (
        (len(done.runs), "run", "runs"),
        (done.results, "result file", "result files"),
        (len(done.leftovers), "leftover", "leftovers"),
    )
    told = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
    freed = amount(max(0, done.before - done.after))
    click.echo(f"{would} {told}: {about}{freed} freed, {about}{amount(done.after)} left.")
    for path in done.damaged:
        click.echo(f"Left to you: {path}, which was set aside because it is damaged.")
    if not limits:
        click.echo("No limit is set, so every run stays: see `headrace gc --help`.", err=True)
