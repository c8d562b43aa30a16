"""The lines of the live display: which tasks are worth one, and what each says."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from headrace.cli.failures import plain
from headrace.cli.looks import duration, look_of
from headrace.cli.plain import retry_text
from headrace.cli.progress import counts_as
from headrace.states import (
    Cancelled,
    Cancelling,
    Failed,
    Finished,
    Pending,
    Queued,
    Retrying,
    Running,
    Skipped,
    Success,
    TriggerFailed,
)

if TYPE_CHECKING:
    from headrace.cli.progress import Progress, TaskProgress

__all__ = ["chosen", "footer", "rest_line", "row"]

_TIME: Final = 8
_BAR: Final = 16
_NARROW: Final = 60
_REST: Final = (
    (Finished, "done"),
    (Failed, "of them failed"),
    (TriggerFailed, "not run"),
    (Running, "running"),
    (Pending, "waiting"),
)
_FULL, _HALF, _EMPTY = "━", "╸", "━"


def chosen(progress: Progress, room: int) -> list[TaskProgress]:
    """Return at most ``room`` tasks in the order of the flow: all of them, or else what is going on.

    Those that run or wait for a retry come first, then failed ones, then those that ended last, then what is next.
    """
    if len(progress.visible) <= room:
        return progress.visible
    ended = list(progress.recent)[::-1]
    failed = [task for task in ended if issubclass(task.kind, Failed)]
    active = list(progress.active.values())
    picked: dict[str, TaskProgress] = {}
    for group in (active, failed[: room // 3], islice(ended, room), progress.waiting(room)):
        for task in group:
            if len(picked) < room:
                picked[task.slug] = task
    return sorted(picked.values(), key=lambda task: task.position)


def row(task: TaskProgress, name_width: int, width: int, now: float) -> Text:
    """Return the line of one task, at most ``width`` cells wide."""
    look = look_of(task.kind)
    waits = type(task.state) is Pending
    line = Text(no_wrap=True, overflow="crop")
    line.append(f" {look.symbol} ", look.style)
    line.append(set_cell_size(_short(task.name, name_width), name_width), "dim" if waits else "")
    room = width - cell_len(line.plain) - _TIME - 3
    if room > 0:
        detail = _detail(task, room, now)
        detail.truncate(room, overflow="ellipsis", pad=True)
        line.append("  ").append_text(detail)
    seconds = task.duration(now)
    took = "" if seconds is None else duration(seconds, live=task.ended is None)
    line.append(f"{took:>{_TIME}}", "" if task.is_active else "dim")
    line.truncate(width)
    return line


def _detail(task: TaskProgress, room: int, now: float) -> Text:
    state = task.state
    if task.total is not None:
        return _children(task, room)
    if isinstance(state, Retrying):
        return Text(retry_text(task, state, now), "yellow")
    if isinstance(state, Queued):
        return Text(plain(state.message or "queued").partition("\n")[0], "yellow")
    if isinstance(state, Running) and task.attempt > 1:
        return Text(f"attempt {task.attempt} of {task.max_retries + 1}", "yellow")
    if isinstance(state, Failed) and not isinstance(state, TriggerFailed):
        return Text(plain(state.message or "failed").partition("\n")[0], "red")
    says_it_all = type(state) in {Pending, Running, Success}
    return Text("" if says_it_all else look_of(type(state)).word, "dim")


def _children(task: TaskProgress, room: int) -> Text:
    total, done = task.total or 0, task.finished_children
    failed = task.count(Failed)
    line = Text()
    if room >= _NARROW - 20:
        line.append_text(bar(done, total, failed, _BAR)).append("  ")
    line.append(f"{done:,}/{total:,}")
    for kind, word, style in (
        (Failed, "failed", "bold red"),
        (Retrying, "retrying", "yellow"),
        (Queued, "queued", "yellow"),
        (Running, "running", "cyan"),
        (Cancelling, "stopping", "magenta"),
        (Cancelled, "cancelled", "magenta"),
        (Skipped, "skipped", "blue"),
    ):
        count = task.count(kind, but=Cancelling if kind is Running else ())
        if count:
            line.append("  ").append(f"{count:,} {word}", style)
    return line


def bar(done: int, total: int, failed: int, width: int) -> Text:
    """Return a bar of ``width`` cells; what failed shows red, at its end."""
    full = width if total == 0 else width * done / total
    cells = int(full)
    red = min(cells, -(-width * failed // total)) if failed and total else 0
    line = Text().append(_FULL * (cells - red), "green").append(_FULL * red, "red")
    rest = width - cells
    if rest and full - cells >= 0.5:
        line.append(_HALF, "green")
        rest -= 1
    return line.append(_EMPTY * rest, "bright_black")


def rest_line(progress: Progress, shown: list[TaskProgress]) -> Text | None:
    """Return what the tasks that are not shown do, or None if all are."""
    if len(shown) == len(progress.visible):
        return None
    hidden = ((word, progress.count(kind) - sum(counts_as(task.kind, kind) for task in shown)) for kind, word in _REST)
    words = [f"{count:,} {word}" for word, count in hidden if count > 0]
    return Text(
        f" … and {len(progress.visible) - len(shown):,} more: {', '.join(words)}", "dim", no_wrap=True, overflow="crop"
    )


def footer(progress: Progress, spinner: str, note: str, width: int, now: float) -> Text:
    """Return the line below the tasks: the flow, how far it is, and for how long it has run."""
    total, done = len(progress.visible), progress.count(Finished)
    failed, blocked = progress.count(Failed), progress.count(TriggerFailed)
    line = Text(no_wrap=True, overflow="crop")
    line.append(f" {spinner} ", "cyan").append(_short(progress.flow.name, max(10, width // 3)), "bold").append("  ")
    if note:
        line.append(note, "magenta")
    else:
        if width >= _NARROW:
            line.append_text(bar(done, total, failed, _BAR)).append("  ")
        line.append(f"{done:,} of {total:,} tasks")
        if failed:
            line.append("  ").append(f"{failed:,} failed", "bold red")
        if blocked:
            line.append("  ").append(f"{blocked:,} not run", "red")
    line.truncate(max(1, width - _TIME - 1), overflow="ellipsis", pad=True)
    seconds = 0.0 if progress.started is None else now - progress.started
    line.append(f"{duration(seconds, live=True):>{_TIME}}")
    line.truncate(width)
    return line


def _short(name: str, width: int) -> str:
    name = plain(name).replace("\n", " ").replace("\t", " ")
    return name if cell_len(name) <= width else set_cell_size(name, width - 1) + "…"
