"""``headrace cache``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import traceback_option
from headrace.cli.looks import amount
from headrace.cli.values import complete_files, complete_parameters, paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.caching._entries import Entry
    from headrace.caching._explain import Explanation
    from headrace.caching._store import CacheStore
    from headrace.exceptions import ResultError

__all__ = ["cache"]

_REASONS: Final = {"expired": "expired", "old": "too old", "space": "to make room"}
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(short_help="List, explain and remove cached results.")
def cache() -> None:
    """List, explain and remove the results of tasks with `cache_for`.

    The cache is the project's, `.headrace/cache`, or the store that `url` under [cache] of the configuration names.
    """


@cache.command("ls", short_help="List what is cached.")
@click.argument("bucket", required=False)
@_json_option
@traceback_option
def list_entries(bucket: str | None, as_json: bool) -> None:
    """List what is cached, the newest first; with BUCKET, a task's name or `cache_key`, only that."""
    entries, now = _entries(_open(), bucket), time.time()
    if as_json:
        _print_json([_record(entry, now) for entry in entries])
        return
    if not entries:
        click.echo("Nothing is cached." if bucket is None else f"Nothing is cached under {bucket!r}.")
        return
    _print_entries(entries, now)


@cache.command(short_help="Explain why a task finds its result, or does not.")
@click.argument("target", metavar="FILE[:FLOW]|BUCKET", shell_complete=complete_files)
@click.argument("task", required=False)
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    shell_complete=complete_parameters,
    help="A value for a parameter of the flow.",
)
@click.option("--index", type=click.IntRange(min=0), help="Which child of a mapped task.")
@_json_option
@traceback_option
def why(target: str, task: str | None, parameters: Mapping[str, str], index: int | None, as_json: bool) -> None:
    """Explain, field by field, why a task finds its result in the cache, or does not. Nothing is run.

    With a file and the name of a task, what the task would look for is compared with what is stored; what comes from
    other tasks is not known before they run. With a bucket alone, the newest entry is compared with the one before it
    that is most like it: why was this computed again?

    \b
    headrace cache why report.py load -p day=2026-01-31
    headrace cache why load
    """  # noqa: D301 - click looks for the backspace itself
    from headrace.caching._explain import explain, explain_bucket, question_about  # noqa: PLC0415 - see `root`

    found, now = _open(), time.time()
    if task is None:
        explanation = explain_bucket(target, _entries(found, target), now)
    else:
        from headrace.flow_files import find_flow  # noqa: PLC0415 - brings everything that flows are written with
        from headrace.parameter_values import parameters_from_texts  # noqa: PLC0415

        flow = find_flow(target)
        question = question_about(flow, task, parameters_from_texts(flow, parameters), index)
        explanation = explain(question, _entries(found, question.bucket), now)
    if as_json:
        _print_json(_explained(explanation, now))
    else:
        _print_explanation(explanation, now)


@cache.command("rm", short_help="Remove what is cached for a task.")
@click.argument("buckets", metavar="BUCKET...", nargs=-1, required=True)
@traceback_option
def remove(buckets: Sequence[str]) -> None:
    """Remove everything that is cached under BUCKET, a task's name or `cache_key`."""
    from headrace.exceptions import ResultNotFoundError, nearest  # noqa: PLC0415 - only for a mistake

    found = _open()
    for bucket in buckets:
        count = found.clear(bucket)
        if not count:
            known = {entry.bucket for entry in found.entries()}
            raise ResultNotFoundError(f"Nothing is cached under {bucket!r}.", hint=nearest(bucket, known) or None)
        click.echo(f"Removed {count} from {bucket!r}.")


@cache.command(short_help="Remove what has expired, or is more than the limits allow.")
@_json_option
@traceback_option
def prune(as_json: bool) -> None:
    """Remove what has expired, what is damaged, what a crash left behind, and what the limits do not allow.

    The limits are `max_bytes` and `max_age`, in seconds, under [cache] of the configuration. The oldest goes first.
    """
    from headrace.caching._pruning import Limits, prune  # noqa: PLC0415 - see `root`
    from headrace.config import current  # noqa: PLC0415

    now = time.time()
    removed = prune(_open(), now, Limits.of(current()["cache"])).removed
    if as_json:
        _print_json([{**_record(entry, now), "why": why} for entry, why in removed])
        return
    counts: Counter[str] = Counter(why for _, why in removed)
    told = ", ".join(f"{counts[why]} {words}" for why, words in _REASONS.items() if counts[why] or why == "expired")
    click.echo(f"Removed {told}; {amount(sum(entry.size for entry, _ in removed))}.")


def _open() -> CacheStore:
    from functools import partial  # noqa: PLC0415 - as the engine, only when a command runs

    from headrace.caching._store import open_cache  # noqa: PLC0415
    from headrace.engine import Engine  # noqa: PLC0415

    engine = Engine()
    return open_cache(engine.config, partial(engine.registry.create_from_url, "store"))


def _entries(found: CacheStore, bucket: str | None) -> list[Entry]:
    """Return the entries, having said which cannot be read; of those of other projects, the first."""
    from headrace.exceptions import ForeignResultError  # noqa: PLC0415 - see `root`

    foreign: list[ResultError] = []

    def report(_: str, error: ResultError) -> None:
        if isinstance(error, ForeignResultError):
            foreign.append(error)
        else:
            click.echo(f"Warning: {error.message}", err=True)

    entries = list(found.entries(bucket, damaged=report))
    if foreign:
        more = f" There are {len(foreign) - 1} more of that kind." if foreign[1:] else ""
        click.echo(f"Warning: {foreign[0].message}{more}\nHint: {foreign[0].hint}", err=True)
    return entries


# Showing


def _record(entry: Entry, now: float) -> dict[str, Any]:
    facts = asdict(entry)
    del facts["cached_parameters"], facts["data"], facts["value_at"]
    return {**facts, "location": entry.location, "expired": entry.is_expired(now)}


def _explained(explanation: Explanation, now: float) -> dict[str, Any]:
    return {
        "bucket": explanation.bucket,
        "hit": explanation.hit,
        "reason": explanation.reason,
        "entry": None if explanation.entry is None else _record(explanation.entry, now),
        "findings": [asdict(finding) for finding in explanation.findings],
    }


def _print_json(value: object) -> None:
    import json  # noqa: PLC0415 - each form of output imports what it needs

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_entries(entries: Sequence[Entry], now: float) -> None:
    from rich.text import Text  # noqa: PLC0415

    from headrace.cli.tables import console_for, table  # noqa: PLC0415 - brings rich

    found = table("Bucket", "Entry", "Task", "Child", "Size", "Age", "Expires")
    for entry in entries:
        expired = entry.is_expired(now)
        cells = (
            entry.bucket,
            entry.key[:8],
            entry.task,
            "" if entry.index is None else str(entry.index),
            amount(entry.size),
            _span(now - entry.created),
            _expiry(entry, now),
        )
        found.add_row(*(Text(cell, "dim" if expired else "") for cell in cells))
    console_for().print(found)


def _print_explanation(explanation: Explanation, now: float) -> None:
    click.echo(explanation.reason)
    if explanation.entry is None:
        return
    entry = explanation.entry
    ends = _expiry(entry, now).replace("in ", "expires in ", 1)
    click.echo(f"Entry {entry.key[:8]} of {entry.bucket!r}, {_span(now - entry.created)} old, {ends}.")
    width = max(len(finding.field) for finding in explanation.findings)
    for finding in explanation.findings:
        note = f" ({finding.note})" if finding.note else ""
        click.echo(f"  {finding.field:{width}}  {finding.verdict}{note}")


def _expiry(entry: Entry, now: float) -> str:
    if entry.expires is None:
        return "never"
    left = entry.expires - now
    return f"in {_span(left)}" if left > 0 else f"expired {_span(-left)} ago"


def _span(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
