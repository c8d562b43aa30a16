"""``headrace resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import traceback_option
from headrace.cli.values import complete_plugins, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.history.records import RunRecord
    from headrace.history.resuming import Decision

__all__ = ["resume"]


@click.command(short_help="Go on with a run that was recorded.")
@click.argument("run", default="latest")
@click.option("--from", "rerun", multiple=True, metavar="TASK", help="Run this task again too, and what depends on it.")
@click.option("--accept-changes", is_flag=True, help="Run tasks whose code has changed again, instead of refusing.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and why; run nothing.")
@click.option("--executor", metavar="NAME", shell_complete=complete_plugins("executor"), help="The executor to use.")
@click.option(
    "-o",
    "--option",
    "executor_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    help="An option of the executor.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end; everything else to stderr.")
@traceback_option
@click.pass_context
def resume(ctx: click.Context, /, run: str, dry_run: bool, **others: Any) -> None:
    """Go on with RUN, the last one by default, from where it ended, whatever ended it.

    It runs with the same parameters. What has succeeded is taken over, down to the single child of a map; everything
    else runs. RUN is its name, or the beginning of its id; `headrace runs` lists them.

    Exit codes are those of `headrace run`.
    """
    from headrace.engine import Engine  # noqa: PLC0415 - `headrace resume --help` needs no engine
    from headrace.engine.resumed_runs import find_run  # noqa: PLC0415

    with Engine() as engine:
        store, found = find_run(engine, run)
        target, module = _origin(found)
        if dry_run:
            _show(store, found, target, module, others["rerun"], engine)
            return
    from headrace.cli.session import Request, perform  # noqa: PLC0415 - as above

    ctx.exit(perform(Request(target=target, module=module, resume=found.id, **others)))


def _origin(run: RunRecord) -> tuple[str, bool]:
    """Return the file or module that the flow of ``run`` came from; raise HistoryError if that is not known."""
    from headrace.exceptions import HistoryError  # noqa: PLC0415 - as above
    from headrace.flow_files import split_target  # noqa: PLC0415

    origin = run.details.get("origin")
    if not isinstance(origin, dict) or not origin.get("target"):
        raise HistoryError(
            f"Run {run.name!r} was not started by `headrace run`, so its flow cannot be found.",
            hint="Run the flow by its file: `headrace run FILE`.",
        )
    target = str(origin["target"])
    if origin.get("module"):
        return target, True
    # An absolute path stays what it is.
    target = str(Path(str(origin.get("folder") or "")) / target)
    file = split_target(target)[0]
    if not Path(file).exists():
        raise HistoryError(
            f"The flow of run {run.name!r} came from {file}, and there is no such file any more.",
            hint="Put it back, or run the flow anew: `headrace run FILE`.",
        )
    return target, False


def _show(store: Any, run: RunRecord, target: str, module: bool, rerun: Sequence[str], engine: Any) -> None:
    from headrace.engine.resumed_runs import prepare_resume  # noqa: PLC0415 - only where it is asked for
    from headrace.flow_files import find_flow  # noqa: PLC0415
    from headrace.parameters import Parameter  # noqa: PLC0415

    flow = find_flow(target, module=module)
    resumption = prepare_resume(flow, store, run, engine, rerun=rerun, accept=True).resumption
    # What people did not write as a task has its value without running.
    hidden = {slug for task, slug in flow.slugs.items() if task.auto_generated or isinstance(task, Parameter)}
    _print_decisions([each for each in resumption.decisions if each.slug not in hidden])


def _print_decisions(decisions: Sequence[Decision]) -> None:
    rows = [("TASK", "TAKEN OVER", "RUNS")]
    for each in decisions:
        known = "?" if each.known is None else str(each.known)
        rows.append((each.slug, f"{each.reused} of {known}", each.why or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        click.echo(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip())
