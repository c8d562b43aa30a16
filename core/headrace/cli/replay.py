"""``headrace replay``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import traceback_option
from headrace.cli.histories import json_option, look_of_state, print_rows, say
from headrace.cli.origins import origin_of
from headrace.cli.values import paired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.engine.replaying import Replay
    from headrace.history.records import RunRecord
    from headrace.states import State

__all__ = ["replay"]


@click.command(short_help="Run one task of a run again, here.")
@click.argument("run")
@click.argument("task")
@click.option(
    "--pdb", "post_mortem", is_flag=True, help="If it fails, debug it where it failed, as `pytest --pdb` does."
)
@click.option("--trace", is_flag=True, help="Debug it from its first line on, as `pytest --trace` does.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    help="A parameter of the flow that RUN did not keep, such as a password.",
)
@json_option
@traceback_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    run: str,
    task: str,
    post_mortem: bool,
    trace: bool,
    parameters: Mapping[str, str],
    as_json: bool,
) -> None:
    """Run TASK of RUN again in this process, with what it was called with then, and print what comes of it.

    TASK is the name of a task, or a mapped child such as `load[3]`; RUN is the name of a run, the beginning of its id,
    or `latest`. The flow is read from its file as that is now, so that a change can be tried at once. Arguments are the
    recorded results of the tasks before it.

    Nothing is recorded, stored or cached, there are no retries, and no other task runs. What the task itself does to
    the world, it does again.

    The exit code is 0 if it succeeds, 1 if it fails, and 2 if it cannot be called.
    """
    from headrace.cli.logs import configure_logging  # noqa: PLC0415 - `headrace --help` needs none of this
    from headrace.engine import Engine  # noqa: PLC0415
    from headrace.engine.replaying import prepare_replay  # noqa: PLC0415
    from headrace.engine.resumed_runs import find_run  # noqa: PLC0415
    from headrace.flow_files import find_flow  # noqa: PLC0415
    from headrace.parameter_values import parameters_from_texts  # noqa: PLC0415

    with ExitStack() as stack:
        output = sys.stdout
        if as_json:
            from headrace.cli.session import own_stdout  # noqa: PLC0415

            output = own_stdout(stack)
        configure_logging(None, tracebacks=True, compact=False, colors=sys.stderr.isatty())
        engine = stack.enter_context(Engine())
        store, found = find_run(engine, run)
        stack.enter_context(store)
        target, module = origin_of(found)
        flow = find_flow(target, module=module)
        prepared = prepare_replay(flow, store, found, task, engine, parameters_from_texts(flow, parameters))
        if not as_json:
            _print_head(prepared, found)
        state = _run(prepared, post_mortem=post_mortem, trace=trace)
        if as_json:
            _write_document(prepared, found, state, output)
        else:
            _print_end(prepared, state, traceback=not post_mortem)
    if isinstance(state.result, KeyboardInterrupt):
        ctx.exit(130)
    ctx.exit(0 if state.is_successful() else 1)


def _run(prepared: Replay, *, post_mortem: bool, trace: bool) -> State:
    if not post_mortem and not trace:
        return prepared.call()
    import bdb  # noqa: PLC0415
    import pdb  # noqa: PLC0415, T100 - it was asked for

    state = prepared.debug(pdb.Pdb() if trace else None)
    error = state.result
    if isinstance(error, bdb.BdbQuit):
        raise click.Abort
    if post_mortem and isinstance(error, BaseException) and error.__traceback__ is not None:
        _print_traceback(error)
        pdb.post_mortem(error.__traceback__)
    return state


# Showing


def _print_head(prepared: Replay, run: RunRecord) -> None:
    from headrace.cli.run_rows import remark  # noqa: PLC0415 - as above
    from headrace.history.shown_values import shown_values  # noqa: PLC0415

    say(f"{prepared.name} of run {run.name}", "bold")
    if prepared.recorded is not None:
        message = remark(prepared.recorded).partition("\n")[0]
        word = look_of_state(prepared.recorded.state).word
        say(f"recorded: {word}{': ' if message else ''}{message}", "dim")
    if prepared.changed:
        say("Its code is not what it was in that run.", "yellow")
    shown = shown_values(prepared.arguments, 200)
    print_rows([[f"  {name}", f"= {text}"] for name, text in shown.items()])
    sys.stdout.flush()


def _print_end(prepared: Replay, state: State, *, traceback: bool) -> None:
    from headrace.history.shown_values import short  # noqa: PLC0415 - as above

    error = state.result
    if isinstance(error, BaseException) and traceback:
        _print_traceback(error)
    word = look_of_state(type(state).__name__)
    if state.is_successful():
        said = f": {state.message}" if state.is_skipped() else f", and returned {short(error, 1000)}"
        say(f"{prepared.name} {word.word}{said}", word.style)
    else:
        say(f"{prepared.name} {word.word}: {state.message}", word.style)


def _print_traceback(error: BaseException) -> None:
    import traceback  # noqa: PLC0415 - only where there is one

    say("".join(traceback.format_exception(error)).rstrip())


def _write_document(prepared: Replay, run: RunRecord, state: State, output: Any) -> None:
    import json  # noqa: PLC0415 - as above
    import traceback  # noqa: PLC0415

    from headrace.history.shown_values import short, shown_values  # noqa: PLC0415
    from headrace.masking import mask  # noqa: PLC0415

    error = state.result if isinstance(state.result, BaseException) else None
    document = {
        "run": {"id": run.id, "name": run.name},
        "task_run": prepared.name,
        "code_changed": prepared.changed,
        "arguments": shown_values(prepared.arguments, 200),
        "recorded_state": None if prepared.recorded is None else prepared.recorded.state,
        "state": type(state).__name__,
        "message": state.message,
        "result": None if error is not None else short(state.result, 10_000),
        "error": None if error is None else type(error).__name__,
        "traceback": None if error is None else mask("".join(traceback.format_exception(error))),
    }
    output.write(json.dumps(document, indent=2) + "\n")
    output.flush()
