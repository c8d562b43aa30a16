"""``headrace limits``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import traceback_option
from headrace.cli.histories import history, json_option, moment, print_json, print_rows, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.abc import RunStore
    from headrace.cli.histories import Row
    from headrace.engine import Engine
    from headrace.flows import Flow
    from headrace.history.records import LimitRecord, SlotRecord

__all__ = ["limits", "warn_of_limits"]

_MOST: Final = 1_000_000_000


@click.group(invoke_without_command=True, short_help="Limit how many tasks with a tag run at once.")
@json_option
@traceback_option
@click.pass_context
def limits(ctx: click.Context, as_json: bool) -> None:
    """List the limits of this project's history, and which task runs hold slots.

    A limit says how many task runs with a tag may run at once, in all recorded runs together. What runs without being
    recorded knows no limits.
    """
    if ctx.invoked_subcommand is not None:
        return
    with history() as store:
        found = store.limits()
        documents = [_document(store, limit) for limit in found]
    if as_json:
        print_json(documents)
    elif not found:
        click.echo("No tag has a limit here.", err=True)
    else:
        print_rows([["TAG", "SLOTS", "TAKEN", "RUN", "TASK", "SINCE"], *_rows(documents)])


def _document(store: RunStore, limit: LimitRecord) -> dict[str, Any]:
    return {
        "tag": limit.tag,
        "slots": limit.slots,
        "taken": len(limit.holders),
        "holders": [_holder(store, slot) for slot in limit.holders],
    }


def _holder(store: RunStore, slot: SlotRecord) -> dict[str, Any]:
    slugs = {task.node: task.slug for task in store.tasks(slot.run_id)}
    return {
        "run_id": slot.run_id,
        "run_name": store.run(slot.run_id).name,
        "task": slugs[slot.node],
        "map_index": None if slot.map_index < 0 else slot.map_index,
        "since": slot.since,
    }


def _rows(documents: list[dict[str, Any]]) -> Iterator[Row]:
    for limit in documents:
        head = [limit["tag"], str(limit["slots"]), str(limit["taken"])]
        if not limit["holders"]:
            yield [*head]
        for holder in limit["holders"]:
            index = "" if holder["map_index"] is None else f"[{holder['map_index']}]"
            yield [*head, holder["run_name"], holder["task"] + index, moment(holder["since"])]
            head = ["", "", ""]


def _tag(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("A tag is a word, and this is none.", ctx, param)
    return value


@limits.command(name="set", short_help="Let so many run at once.")
@click.argument("tag", callback=_tag)
@click.argument("slots", metavar="N", type=click.IntRange(min=0, max=_MOST))
@traceback_option
def set_limit(tag: str, slots: int) -> None:
    """Let no more than N task runs with TAG run at once; with 0, none begins.

    Runs that go on see that within a second. Task runs that are running stay, also if they are more than N.
    """
    with history() as store:
        store.set_limit(tag, slots)
    say(f"At most {slots} with tag {tag} run at once." if slots else f"None with tag {tag} begins from now on.")


@limits.command(short_help="Remove a limit.")
@click.argument("tag")
@traceback_option
def remove(tag: str) -> None:
    """Let as many task runs with TAG run at once as there are."""
    from headrace.exceptions import HistoryError, nearest  # noqa: PLC0415 - only when the command runs

    with history() as store:
        known = [limit.tag for limit in store.limits()]
        if tag not in known:
            raise HistoryError(f"Tag {tag!r} has no limit here.", hint=nearest(tag, known) if known else None)
        store.set_limit(tag, None)
    say(f"Tag {tag} has no limit any more.")


def warn_of_limits(flow: Flow, engine: Engine) -> None:
    """Say that a run of ``flow``, which is not recorded, will not keep to limits, if there are any for its tasks."""
    tags = {tag for task in flow.tasks for tag in task.tags}
    if not tags:
        return
    from headrace.engine.histories import open_history  # noqa: PLC0415 - only for runs that are not recorded
    from headrace.exceptions import HistoryError  # noqa: PLC0415

    try:
        with open_history(True, engine) as store:
            found = sorted(tags & {limit.tag for limit in store.limits()})
    except HistoryError:
        return
    if found:
        which = ", ".join(found)
        click.echo(f"Warning: this run is not recorded, so it does not keep to the limit of {which}.", err=True)
