"""The report after a run: a table of tasks, what went wrong, and one line that tells the truth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from headrace.cli.failures import fit, plain
from headrace.cli.looks import duration, look_of
from headrace.cli.plain import children_text
from headrace.states import Failed, Success, TriggerFailed

if TYPE_CHECKING:
    from rich.console import Console

    from headrace.cli.outcome import Failure, Outcome
    from headrace.cli.progress import TaskProgress

__all__ = ["print_summary"]

_LINES_OF_ERROR: Final = 8
_FEWEST_ROWS: Final = 5
_OTHER_LINES: Final = 8
_ROWS_IN_A_FILE: Final = 200
_ERRORS_IN_A_FILE: Final = 10


def print_summary(console: Console, outcome: Outcome) -> None:
    """Print the table, the errors and the last line; on a terminal, as much of that as fits one screen."""
    unicode = "utf" in console.encoding.lower()
    width, height = console.size
    errors = _errors(outcome, width if console.is_terminal else 0, height // 2, unicode=unicode)
    room = _ROWS_IN_A_FILE
    if console.is_terminal:
        used = sum(_lines(text, width) for text in errors)
        room = max(_FEWEST_ROWS, height - used - _OTHER_LINES)
    console.print()
    for part in (*_table(outcome, room, unicode=unicode), *errors):
        console.print(part, soft_wrap=isinstance(part, Text))
    look = outcome.look
    last = Text.assemble((f"{look.mark(unicode=unicode)} ", look.style), (outcome.last_line(), "bold"))
    console.print(last, soft_wrap=True)


def _lines(text: Text, width: int) -> int:
    return sum(max(1, -(-cell_len(line) // width)) for line in text.plain.split("\n"))


# The table


def _table(outcome: Outcome, room: int, *, unicode: bool) -> list[Table | Text]:
    tasks = list(outcome.tasks())
    shown = _worth_showing(tasks, room)
    if not shown:
        return []
    tried = any(task.attempt > 1 for task in shown)
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII2, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("  Task", overflow="fold")
    table.add_column("Result", overflow="fold")
    table.add_column("Time", justify="right", no_wrap=True)
    if tried:
        table.add_column("Attempts", justify="right")
    for task in shown:
        cells = _cells(task, unicode=unicode)
        table.add_row(*cells, *([Text(str(task.attempt) if task.attempt > 1 else "")] if tried else []))
    hidden = len(tasks) - len(shown)
    rest = [Text(f"  and {hidden:,} more", "dim")] if hidden else []
    return [table, *rest, Text()]


def _worth_showing(tasks: list[TaskProgress], room: int) -> list[TaskProgress]:
    """Return at most ``room`` tasks in order: rather those that failed, then those that did not run, then slow ones."""
    if len(tasks) <= room:
        return tasks
    now = time.time()

    def weight(task: TaskProgress) -> tuple[bool, bool, bool, float]:
        failed = issubclass(task.kind, Failed)
        blocked = task.kind is TriggerFailed
        return failed and not blocked, task.attempt > 1, task.kind is not Success, task.duration(now) or 0.0

    kept = {task.slug for task in sorted(tasks, key=weight, reverse=True)[:room]}
    return [task for task in tasks if task.slug in kept]


def _cells(task: TaskProgress, *, unicode: bool) -> list[Text]:
    look = look_of(task.kind)
    result = children_text(task) if task.state.is_mapped() else look.word
    if task.taken_over:
        result += " before"
    seconds = task.duration(time.time())
    return [
        Text.assemble((f"{look.mark(unicode=unicode)} ", look.style), plain(task.name)),
        Text(result, look.style),
        Text("" if seconds is None else duration(seconds), "dim"),
    ]


# The errors


def _errors(outcome: Outcome, width: int, height: int, *, unicode: bool) -> list[Text]:
    """Return the errors, each place in the code once; ``width`` 0 means that lines may be of any length."""
    groups = outcome.failures_by_place()
    shown: list[Text] = []
    for failure, count in groups[:_ERRORS_IN_A_FILE]:
        text = _error(failure, count, width, unicode=unicode)
        if shown and width and sum(_lines(each, width) for each in [*shown, text]) > height:
            break
        shown.append(text)
    hidden = sum(count for _, count in groups[len(shown) :])
    return [*shown, Text(f"  and {hidden:,} more failures\n", "dim")] if hidden else shown


def _error(failure: Failure, count: int, width: int, *, unicode: bool) -> Text:
    look = look_of(type(failure.state))
    more = f"  and {count - 1:,} more like it" if count > 1 else ""
    text = Text.assemble((f"{look.mark(unicode=unicode)} {plain(failure.name)}", look.style), (more, "dim"), "\n")
    for line in fit(failure.text, _LINES_OF_ERROR).splitlines():
        text.append(f"  {line}\n")
    where = failure.where
    if where is not None:
        place = Text(f"  at {where}: {where.source}" if where.source else f"  at {where}", "dim")
        if width:
            place.truncate(width, overflow="ellipsis")
        text.append_text(place).append("\n")
    return text
