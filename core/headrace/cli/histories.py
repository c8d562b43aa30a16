"""What the commands that look at the history have in common: opening it, words, tables and JSON."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import click

from headrace import states
from headrace.cli.failures import plain
from headrace.cli.looks import look_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.cli.looks import Look
    from headrace.history.records import RunRecord

__all__ = [
    "Row",
    "Styled",
    "can_show",
    "history",
    "json_option",
    "look_of_state",
    "moment",
    "print_json",
    "print_rows",
    "say",
    "state_cell",
    "state_of_run",
    "table_lines",
]

json_option: Final[Callable[..., Any]] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def history() -> Iterator[RunStore]:
    """Open the configured history; runs whose processes have died are over by then, unless nothing can be written."""
    from headrace.engine import Engine  # noqa: PLC0415 - `headrace --help` needs no engine
    from headrace.engine.histories import open_history  # noqa: PLC0415

    with Engine() as engine, open_history(True, engine) as store:
        _sweep(store)
        yield store


def _sweep(store: RunStore) -> None:
    from headrace.exceptions import HistoryError  # noqa: PLC0415 - as above
    from headrace.history.records import RunQuery  # noqa: PLC0415 - as above

    try:
        store.sweep()
    except HistoryError as error:
        # What cannot be written, because the disk is full for instance, can be read all the same; or it says why not.
        next(iter(store.runs(RunQuery(limit=1))), None)
        click.echo(f"Warning: runs that have died may be shown as going on. {plain(error.message)}", err=True)


def print_json(value: object) -> None:
    """Print a JSON document. Half a surrogate pair, which no encoding has, becomes the escape that JSON has for it."""
    import json  # noqa: PLC0415 - only where it is asked for

    click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode())


# Words


def look_of_state(state: str) -> Look:
    """Return how a recorded state looks."""
    return look_of(getattr(states, state, states.State))


def state_of_run(run: RunRecord) -> str:
    """Return the word for the state of a run, and why it ended if its process died."""
    word = look_of_state(run.state).word
    return f"{word} ({run.cause})" if run.cause else word


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a moment as the clock on the wall shows it."""
    return datetime.fromtimestamp(seconds).astimezone().strftime(form)


# Tables


class Styled(NamedTuple):
    """A text and how it looks, in the words of `looks.Look`."""

    text: str
    style: str


Row: TypeAlias = "list[str | Styled]"
"""The cells of one line."""


def state_cell(state: str, word: str | None = None) -> Styled:
    """Return a state as a cell of a table."""
    look = look_of_state(state)
    return Styled(look.word if word is None else word, look.style)


def say(text: str, style: str = "") -> None:
    """Print a line, in colour on a terminal."""
    click.echo(_styled(plain(text), style), color=_color())


def print_rows(rows: Sequence[Row]) -> None:
    """Print rows as a table; on a terminal, what does not fit its width is cut from the last column."""
    for line in table_lines(rows):
        click.echo(line, color=_color())


def table_lines(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines of a table, in colour."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - only where there is something to show

    cells = [[_one_line(cell) for cell in row] for row in rows]
    last = max((len(row) for row in cells), default=0) - 1
    widths = [max((cell_len(row[k].text) for row in cells if k < len(row)), default=0) for k in range(last)]
    room = max(12, shutil.get_terminal_size().columns - sum(widths) - 2 * last) if sys.stdout.isatty() else None
    lines = []
    for row in cells:
        parts = []
        for k, (text, style) in enumerate(row):
            if k < last:
                shown = set_cell_size(text, widths[k])
            elif room is not None and cell_len(text) > room:
                shown = set_cell_size(text, room - 1) + ("…" if can_show("…") else "~")
            else:
                shown = text
            parts.append(_styled(shown.rstrip(), style) + " " * (len(shown) - len(shown.rstrip())))
        lines.append("  ".join(parts).rstrip())
    return lines


def can_show(text: str) -> bool:
    """Tell whether standard output has the characters of ``text``."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _one_line(cell: str | Styled) -> Styled:
    text, style = cell if isinstance(cell, Styled) else (cell, "")
    lines = plain(text).replace("\t", " ").splitlines()
    return Styled(lines[0] if lines else "", style)


def _styled(text: str, style: str) -> str:
    words = style.split()
    color = next((word for word in words if word not in {"bold", "dim"}), None)
    if not text or not words:
        return text
    return click.style(text, fg=color, bold="bold" in words or None, dim="dim" in words or None)


def _color() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
