"""``headrace runs --watch``: the list of runs as it changes."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from headrace.cli.histories import history, moment, say, state_of_run, table_lines
from headrace.cli.runs import run_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import RunQuery, RunRecord

__all__ = ["watch_runs"]

_PAUSE = 1.0


def watch_runs(query: RunQuery, *, as_json: bool) -> None:
    """Show the runs that ``query`` asks for, and go on until Ctrl-C, which is how this ends, or nobody reads on."""
    with history() as store:
        try:
            if sys.stdout.isatty() and not as_json:
                _draw(_looks(store, query))
            else:
                _print_changes(_looks(store, query), as_json=as_json)
        except KeyboardInterrupt:
            return


def _looks(store: RunStore, query: RunQuery) -> Iterator[list[RunRecord]]:
    """Yield the runs, once a second."""
    while True:
        store.sweep()
        yield list(store.runs(query))
        time.sleep(_PAUSE)


def _draw(looks: Iterator[Sequence[RunRecord]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        shown: list[str] = []
        for found in looks:
            # Without a run there is nothing but the head of the table.
            lines = table_lines(run_rows(found, time.time())) if found else ["Waiting for a run to be recorded."]
            if lines != shown:
                shown = lines
                live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)


def _print_changes(looks: Iterator[Sequence[RunRecord]], *, as_json: bool) -> None:
    known: dict[str, tuple[object, ...]] = {}
    for found in looks:
        # The list begins with the last run, and a log with the first.
        for run in reversed(found):
            now = (run.state, run.message, run.cause, run.ended, run.resumed_by)
            if known.get(run.id) != now:
                known[run.id] = now
                _print_change(run, as_json=as_json)
        sys.stdout.flush()


def _print_change(run: RunRecord, *, as_json: bool) -> None:
    if as_json:
        from headrace.history.documents import run_document  # noqa: PLC0415 - only where it is asked for

        click.echo(json.dumps(run_document(run)))
        return
    at = moment(run.created if run.ended is None else run.ended)
    message = f": {run.message}" if run.message and run.ended is not None else ""
    say(f"{at}  {run.name} of flow {run.flow_name}: {state_of_run(run)}{message}")
