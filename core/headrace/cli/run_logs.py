"""``headrace logs``."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import plain, traceback_option
from headrace.cli.histories import history, moment
from headrace.cli.values import chosen_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import LogQuery, LogRecord, RunRecord, TaskRecord

__all__ = ["logs"]

_PAUSE: Final = 0.3
_STREAMS: Final = frozenset({"stdout", "stderr"})
_STYLES: Final[dict[int, dict[str, Any]]] = {
    logging.CRITICAL: {"fg": "red", "bold": True},
    logging.ERROR: {"fg": "red"},
    logging.WARNING: {"fg": "yellow"},
    logging.INFO: {},
}


def _level(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return the number of a level that is given by its name or its number."""
    if value is None:
        return None
    names = logging.getLevelNamesMapping()
    if value.isdecimal():
        return int(value)
    if value.upper() not in names:
        from headrace.exceptions import nearest  # noqa: PLC0415 - only for a mistake

        raise click.BadParameter(f"There is no level {value!r}. {nearest(value.upper(), names)}", ctx, param)
    return names[value.upper()]


@click.command(short_help="Show what the tasks of a run have logged and printed.")
@click.argument("run", default="latest")
@click.argument("task", required=False)
@click.option("--task", "chosen", metavar="TASK", help="The same as TASK, for the last run: it needs no RUN.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on, until the run ends.")
@click.option(
    "--level", metavar="LEVEL", callback=_level, help="Only records of this level, such as WARNING, or above."
)
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each record.")
@traceback_option
@click.pass_context
def logs(
    ctx: click.Context,
    /,
    run: str,
    task: str | None,
    chosen: str | None,
    follow: bool,
    level: int | None,
    **others: Any,
) -> None:
    """Show what RUN, the last one by default, has logged and printed, or only TASK of it.

    RUN is its name, or the beginning of its id. TASK is the name or the slug of a task; a mapped one has all of its
    children, and `load[3]` is one of them. What went to standard output has level INFO, standard error WARNING.
    """
    named = chosen_task(task, chosen)
    try:
        with history() as store:
            _show(store, run, named, follow=follow, level=level, **others)
    except KeyboardInterrupt:
        ctx.exit(130)


def _show(
    store: RunStore, run: str, task: str | None, *, follow: bool, level: int | None, tail: int | None, as_json: bool
) -> None:
    from headrace.history.choosing import choose_task  # noqa: PLC0415 - `headrace --help` needs no history
    from headrace.history.records import UNMAPPED, LogQuery  # noqa: PLC0415

    found = store.run(run)
    tasks = store.tasks(found.id)
    query, earlier = LogQuery(level=level), None
    if task is not None:
        node, index = choose_task(store, found, tasks, task)
        query = LogQuery(level=level, node=node.node, map_index=None if index == UNMAPPED else index)
        record = store.task_run(found.id, node.node, index)
        earlier = None if record is None else record.taken_from
    said = False
    for line in _lines(store, found, tasks, query, follow=follow, tail=tail, as_json=as_json):
        click.echo(line, color=_color())
        said = True
    if not said and not follow and tail != 0:
        whose = f"Run {found.name!r}" if task is None else f"Task {task!r} of run {found.name!r}"
        which = "nothing" if level is None else f"nothing of level {logging.getLevelName(level)} or above"
        click.echo(f"{whose} has logged {which}.", err=True)
    if earlier is not None:
        click.echo(f"It was taken over: see `headrace logs {earlier[:8]} {task}`.", err=True)


def _lines(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    query: LogQuery,
    *,
    follow: bool,
    tail: int | None,
    as_json: bool,
) -> Iterator[str]:
    """Yield what is to be printed: what there is, and then, if that is wanted, what is added."""
    from headrace.exceptions import HistoryError  # noqa: PLC0415 - as above

    slugs = {each.node: each.slug for each in tasks}
    last = _Last()
    ended = run.ended is not None
    lines = _written(last.of(store.logs(run.id, query)), slugs, as_json=as_json)
    yield from lines if tail is None else deque(lines, maxlen=tail)
    while follow and not ended:
        sys.stdout.flush()
        time.sleep(_PAUSE)
        with suppress(HistoryError):  # what cannot be written can be read all the same
            store.sweep()
        ended = store.run(run.id).ended is not None
        more = store.logs(run.id, last.after(query))
        yield from _written(last.of(more), slugs, as_json=as_json)


class _Last:
    """Remembers how far records have been read."""

    def __init__(self) -> None:
        self._position: int | None = None

    def of(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        for record in records:
            self._position = record.position
            yield record

    def after(self, query: LogQuery) -> LogQuery:
        from dataclasses import replace  # noqa: PLC0415 - only for those who follow

        return replace(query, after=self._position)


def _written(records: Iterable[LogRecord], slugs: dict[int, str], *, as_json: bool) -> Iterator[str]:
    for record in records:
        slug = slugs.get(record.node)
        if as_json:
            from headrace.history.documents import log_document  # noqa: PLC0415 - only where it is asked for

            # In ASCII, so that no encoding is in the way.
            yield json.dumps(log_document(record, slug))
        else:
            yield from _for_people(record, slug)


def _for_people(record: LogRecord, slug: str | None) -> Iterator[str]:
    name = "-" if slug is None else slug if record.map_index < 0 else f"{slug}[{record.map_index}]"
    level = record.logger if record.logger in _STREAMS else logging.getLevelName(record.level)
    style = next((_STYLES[each] for each in _STYLES if record.level >= each), {"dim": True})
    head = f"{click.style(moment(record.at), dim=True)} {click.style(f'{level:<8}', **style)} "
    head += f"{click.style(plain(name), fg='cyan')}: "
    for line in record.text.replace("\r\n", "\n").split("\n"):
        # A line that was drawn over shows what was drawn last.
        yield head + plain(line.rstrip("\r").rpartition("\r")[2].expandtabs())


def _color() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
