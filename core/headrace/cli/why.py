"""``headrace why``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import traceback_option
from headrace.cli.histories import history, json_option, look_of_state, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.history.explaining import Explanation

__all__ = ["why"]


@click.command(short_help="Explain why a task of a run is in the state it is in.")
@click.argument("run")
@click.argument("task")
@json_option
@traceback_option
def why(run: str, task: str, as_json: bool) -> None:
    """Explain why TASK of RUN is in the state it is in: what came before it, its trigger, the cache, changed code.

    TASK is the name of a task, or a mapped child such as `load[3]`. RUN is the name of a run, the beginning of its id,
    or `latest`. What was not run is traced to what it all began with; of what failed every attempt is listed; of what
    is cached, or was not found in the cache, it is said what was compared and what differed.
    """
    from headrace.history.choosing import choose_task  # noqa: PLC0415 - `headrace --help` needs no history
    from headrace.history.explaining import explain  # noqa: PLC0415

    with history() as store:
        found = store.run(run)
        tasks = store.tasks(found.id)
        node, index = choose_task(store, found, tasks, task)
        explanation = explain(store, found, tasks, node, index)
        record = store.task_run(found.id, node.node, index)
    cache = [] if explanation.cache is None or record is None else list(_cache(explanation.cache, record.entered))
    if as_json:
        print_json({"run": {"id": found.id, "name": found.name}, **_document(explanation, cache)})
    else:
        _print(explanation, cache)


def _cache(note: str, entered: float) -> Iterator[str]:
    from functools import partial  # noqa: PLC0415 - most tasks are not cached

    from headrace.caching._past import explain_past  # noqa: PLC0415
    from headrace.caching._store import open_cache  # noqa: PLC0415
    from headrace.engine import Engine  # noqa: PLC0415

    engine = Engine()
    cache = open_cache(engine.config, partial(engine.registry.create_from_url, "store"))
    return explain_past(cache, note, entered)


def _document(explanation: Explanation, cache: list[str]) -> dict[str, Any]:
    reasons = [
        {"kind": each.kind, "text": each.text, "task_run": each.task_run, "state": each.state}
        for each in explanation.reasons
    ]
    reasons += [{"kind": "cache", "text": text, "task_run": None, "state": None} for text in cache]
    return {
        "task_run": explanation.task_run,
        "state": explanation.state,
        "summary": explanation.summary,
        "reasons": reasons,
    }


def _print(explanation: Explanation, cache: list[str]) -> None:
    say(explanation.summary, "" if explanation.state is None else look_of_state(explanation.state).style)
    told = False
    for each in explanation.reasons:
        if each.kind == "root" and not told:
            told = True
            click.echo("What it goes back to:")
        _print_text(each.text)
    for text in cache:
        _print_text(text)


def _print_text(text: str) -> None:
    first, *others = text.splitlines() or [""]
    say(f"  {first}")
    for line in others:
        say(f"    {line}")
