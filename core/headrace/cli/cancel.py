"""``headrace cancel``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from headrace.cli.failures import exit_code, show_failure, traceback_option
from headrace.cli.histories import history, say, state_of_run
from headrace.cli.looks import duration
from headrace.cli.values import Amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunRecord

__all__ = ["cancel"]

_PAUSE: Final = 0.05


@click.command(short_help="End a run that goes on in another process.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="What the run is to say why it was cancelled.")
@click.option(
    "--wait",
    "seconds",
    type=Amount(),
    metavar="SECONDS",
    help="Wait until the runs have ended, but no longer than this.",
)
@traceback_option
@click.pass_context
def cancel(ctx: click.Context, runs: Sequence[str], reason: str, seconds: float | None) -> None:
    """End RUN in order, wherever its process is, as the first Ctrl-C there would.

    Nothing new begins. Tasks that run are asked to end and, after the setting `engine.cancel_grace`, killed where that
    can be done. What cleans up runs. RUN is its name, or the beginning of its id; `headrace runs` lists them.

    Exit codes: 0 the runs were asked to end and, with --wait, have ended; 1 one had not ended in time; 2 one cannot be
    cancelled: it has ended already, its process is dead, or there is no such run. The others are asked all the same.
    """
    began, code = time.monotonic(), 0
    asked: list[RunRecord] = []
    with history() as store:
        for name in runs:
            code = max(code, _ask(store, name, reason, asked))
        if seconds is not None:
            code = max(code, _wait(store, asked, began, seconds))
    ctx.exit(code)


def _ask(store: RunStore, name: str, reason: str, asked: list[RunRecord]) -> int:
    """Ask a run to end, and return the exit code."""
    from headrace.exceptions import HistoryError, RunEndedError  # noqa: PLC0415 - `headrace cancel --help` needs none

    try:
        run = store.run(name)
        try:
            store.request_cancel(run.id, reason)
        except RunEndedError as error:
            word = state_of_run(store.run(run.id))
            raise HistoryError(f"Run {run.name!r} has ended already: it is {word}.", hint=error.hint) from error
    except HistoryError as error:
        show_failure(error, tracebacks=False)
        return exit_code(error)
    asked.append(run)
    host = run.owner.host if run.owner is not None and store.is_alive(run.id) is None else None
    where = f" Its process is on {host}, and there is no telling from here whether it lives." if host else ""
    say(f"Asked {run.name} to end.{where}")
    return 0


def _wait(store: RunStore, asked: Sequence[RunRecord], began: float, seconds: float) -> int:
    left = list(asked)
    while left:
        for run in list(left):
            if store.is_alive(run.id) is False:
                # It may have died instead, and its end is to be written then.
                store.sweep()
                left.remove(run)
                say(f"{run.name} is {state_of_run(store.run(run.id))} after {duration(time.monotonic() - began)}.")
        if left and time.monotonic() - began >= seconds:
            for run in left:
                click.echo(f"{run.name} has not ended within {seconds:g} s.", err=True)
            return 1
        if left:
            time.sleep(_PAUSE)
    return 0
