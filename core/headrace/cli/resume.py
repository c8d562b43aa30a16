"""``headrace resume``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import plain, traceback_option
from headrace.cli.origins import origin_of
from headrace.cli.values import complete_plugins, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.cli.session import Request
    from headrace.engine import Engine
    from headrace.engine.wishes import Wishes
    from headrace.history.records import RunRecord
    from headrace.history.resuming import Decision, Resumption

__all__ = ["resume"]


@click.command(short_help="Go on with a run that was recorded.")
@click.argument("run", default="latest")
@click.option("--from", "again", multiple=True, metavar="TASK", help="Run this task again too, and what depends on it.")
@click.option(
    "--only",
    multiple=True,
    metavar="TASK[+]",
    help="Run this task and nothing else; with a + what depends on it too. Again, if it has finished.",
)
@click.option("--rerun-failed", is_flag=True, help="Run only what failed, and what depends on it.")
@click.option("--rerun", multiple=True, metavar="TASK", help="Run this task again, although it wants to be asked.")
@click.option("--skip", multiple=True, metavar="TASK", help="Skip this task, which failed or was under way.")
@click.option("--accept-changes", is_flag=True, help="Run tasks whose code has changed again, instead of refusing.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and why; run nothing.")
@click.option(
    "--executor",
    metavar="NAME",
    shell_complete=complete_plugins("executor"),
    help="The executor to use, instead of that of RUN.",
)
@click.option(
    "-o",
    "--option",
    "executor_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    help="An option of the executor.",
)
@click.option("--results", metavar="URL", help="The store that keeps results from now on, instead of that of RUN.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    help="A parameter that RUN did not keep, such as a password. The others stay what they were.",
)
@click.option("--run-name", metavar="TEXT", help="What reports call the run that goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end; everything else to stderr.")
@traceback_option
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    run: str,
    dry_run: bool,
    again: Sequence[str],
    only: Sequence[str],
    rerun_failed: bool,
    rerun: Sequence[str],
    skip: Sequence[str],
    accept_changes: bool,
    **others: Any,
) -> None:
    """Go on with RUN, the last one by default, from where it ended, whatever ended it.

    It runs with the same parameters, context, executor and result store. What has succeeded is taken over, down to the
    single child of a map; everything else runs: what failed, what was under way, and what had not begun. RUN is its
    name, or the beginning of its id; `headrace runs` lists them.

    \b
    headrace resume --dry-run
    headrace resume nightly --from load
    headrace resume --only report+
    headrace resume --rerun-failed

    Exit codes are those of `headrace run`.
    """  # noqa: D301 - click looks for the backspace itself
    from headrace.engine import Engine  # noqa: PLC0415 - `headrace resume --help` needs no engine
    from headrace.engine.resumed_runs import find_run  # noqa: PLC0415
    from headrace.engine.wishes import Wishes  # noqa: PLC0415

    wishes = Wishes(
        again=again,
        only=only,
        rerun_failed=rerun_failed,
        rerun=rerun,
        skip=skip,
        accept_changes=accept_changes,
        only_looks=dry_run,
    )
    with Engine() as engine:
        store, found = find_run(engine, run)
        target, module = origin_of(found)
        if dry_run:
            _show(store, found, target, module, wishes, engine, others)
            return
    from headrace.cli.session import Request, perform  # noqa: PLC0415 - as above

    settings = {**others, **_settings(found, others)}
    ctx.exit(_perform(partial(Request, target=target, module=module, resume=found.id, **settings), wishes, perform))


def _settings(run: RunRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the executor that ``run`` had, with its options, unless another one is given; say what is not known."""
    from headrace.engine.kept_settings import KeptSettings  # noqa: PLC0415 - as above

    kept = KeptSettings.of(run)
    for remark in kept.remarks(*(name for name in ("executor", "results") if given[name])):
        click.echo(plain(remark), err=True)
    if given["executor"] not in {None, kept.executor}:
        return {}
    options = {**kept.executor_options, **given["executor_options"]}
    return {"executor": kept.executor, "executor_options": options}


def _perform(request: Callable[..., Request], wishes: Wishes, perform: Callable[[Request], int]) -> int:
    """Resume; where tasks want to be asked and there is a terminal, ask."""
    from headrace.exceptions import OpenQuestionError  # noqa: PLC0415 - as above

    while True:
        try:
            return perform(request(wishes=wishes))
        except OpenQuestionError as error:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise
            click.echo(plain(error.message), err=True)
            answer = click.prompt("Run it again?", type=click.Choice(["rerun", "skip", "stop"]), err=True)
            if answer == "stop":
                return 2
            slug = error.slugs[0]
            if answer == "skip":
                wishes = replace(wishes, skip=[*wishes.skip, slug])
            else:
                wishes = replace(wishes, rerun=[*wishes.rerun, slug])


def _show(
    store: RunStore,
    run: RunRecord,
    target: str,
    module: bool,
    wishes: Wishes,
    engine: Engine,
    others: Mapping[str, Any],
) -> None:
    from headrace.engine.resumed_runs import prepare_resume  # noqa: PLC0415 - only where it is asked for
    from headrace.flow_files import find_flow  # noqa: PLC0415
    from headrace.parameters import Parameter  # noqa: PLC0415

    flow = find_flow(target, module=module)
    prepared = prepare_resume(flow, store, run, engine, wishes=wishes, results=others["results"])
    resumption = prepared.resumption
    # What people did not write as a task has its value without running.
    hidden = {slug for task, slug in flow.slugs.items() if task.auto_generated or isinstance(task, Parameter)}
    decisions = [each for each in resumption.decisions if each.slug not in hidden]
    if others["as_json"]:
        click.echo(json.dumps(_document(prepared.resumption, decisions), indent=2))
        return
    _print_decisions(decisions)
    for question in resumption.questions:
        click.echo(f"{question.slug} wants to be asked: `--rerun {question.slug}` or `--skip {question.slug}`.")
    for remark in prepared.settings.remarks(*(name for name in ("executor", "results") if others[name])):
        click.echo(plain(remark))


def _document(resumption: Resumption, decisions: Sequence[Decision]) -> dict[str, Any]:
    return {
        "run": resumption.run.id,
        "changed": list(resumption.changed),
        "questions": [asdict(question) for question in resumption.questions],
        "tasks": [asdict(decision) for decision in decisions],
    }


def _reason(decision: Decision) -> str:
    """Return why not all of a task is taken over, and what may become of it after all."""
    if not decision.may_stay:
        return decision.why
    who = "" if decision.known == 1 else "1 child " if decision.may_stay == 1 else f"{decision.may_stay:,} children "
    verb = "stays" if decision.may_stay == 1 else "stay"
    return f"{decision.why}; {who}{verb} if called with the same"


def _print_decisions(decisions: Sequence[Decision]) -> None:
    rows = [("TASK", "REUSE", "RUN", "WHY")]
    for each in decisions:
        known = "?" if each.known is None else str(each.known)
        runs = "?" if each.runs is None else str(each.runs)
        rows.append((plain(each.slug), f"{each.reused} of {known}", runs, plain(_reason(each)) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]).rstrip())
