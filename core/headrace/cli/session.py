"""One run of a flow file from the command line: what is shown, what is logged, and the exit code."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from headrace import config
from headrace.cli.failures import show_failure
from headrace.cli.interrupts import second_interrupt_ends_process
from headrace.cli.logs import configure_logging
from headrace.cli.outcome import Outcome
from headrace.cli.pipes import outlast_readers
from headrace.coercion import from_text
from headrace.engine import Engine
from headrace.engine.interrupts import Terminated
from headrace.engine.pausing import ask_on_terminal
from headrace.engine.runs import RunOptions
from headrace.exceptions import HeadraceError, PluginOptionError
from headrace.flow_files import find_flow
from headrace.parameter_values import parameters_from_file, parameters_from_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from headrace.cli.progress import Progress
    from headrace.engine.wishes import Wishes
    from headrace.flows import Flow

__all__ = ["Request", "own_stdout", "perform"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asks for; texts are as they were typed."""

    target: str
    module: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    parameter_file: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    executor: str | None = None
    executor_options: Mapping[str, str] = field(default_factory=dict)
    schedule: bool = False
    run_name: str | None = None
    notify: Sequence[str] = ()
    results: str | None = None
    timeout: float | None = None
    log_level: str | int | None = None
    quiet: bool = False
    as_json: bool = False
    record: bool = True
    resume: str | None = None
    wishes: Wishes | None = None
    no_plugins: bool = False
    tracebacks: bool = False


class _Report(Protocol):
    """What shows a run while it goes on."""

    @property
    def progress(self) -> Progress: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def suspended(self) -> AbstractContextManager[None]: ...

    def interrupted(self) -> None: ...

    def abandon(self) -> None: ...


def perform(request: Request) -> int:
    """Load the flow, run it and report; return the exit code. Raise what is wrong with the request."""
    config.current()
    with ExitStack() as stack:
        stack.enter_context(outlast_readers())
        output = own_stdout(stack) if request.as_json else sys.stdout
        return _run(find_flow(request.target, module=request.module), request, output)


def _run(flow: Flow, request: Request, output: TextIO) -> int:
    parameters = _parameters(flow, request)
    console = None if request.as_json else _console(output)
    live = console is not None and console.is_terminal
    configure_logging(
        request.log_level,
        tracebacks=request.tracebacks,
        compact=live and sys.stderr.isatty(),
        colors=console is not None and not console.no_color,
    )
    report = _report(flow, output, None if request.quiet else console)
    with _engine(flow, request, report.progress) as engine:
        try:
            outcome = _watched_run(flow, parameters, request, engine, report)
        except HeadraceError as error:
            if report.progress.run is None:
                raise
            show_failure(error, tracebacks=request.tracebacks)
            return 1
    if outcome.exit_code or request.as_json or not request.quiet:
        _tell(outcome, output, console)
    return outcome.exit_code


def _parameters(flow: Flow, request: Request) -> dict[str, Any]:
    """Return the values of the parameter file under those of the command line."""
    found = {} if request.parameter_file is None else parameters_from_file(flow, request.parameter_file)
    return {**found, **parameters_from_texts(flow, request.parameters)}


def _watched_run(flow: Flow, parameters: dict[str, Any], request: Request, engine: Engine, report: _Report) -> Outcome:
    with ExitStack() as stack:
        return _run_or_resume(flow, parameters, request, engine, report, stack)


def _run_or_resume(
    flow: Flow, parameters: dict[str, Any], request: Request, engine: Engine, report: _Report, stack: ExitStack
) -> Outcome:
    options = RunOptions(
        context={name: from_text(text, Any) for name, text in request.context.items()},
        run_name=request.run_name,
        results=request.results,
        notify=request.notify,
        run_on_schedule=request.schedule,
        on_pause=lambda names: _ask(report, names),
        record=request.record,
        timeout=request.timeout,
        origin={
            "target": request.target,
            "module": request.module,
            "folder": _current_folder(),
            "executor_options": dict(request.executor_options),
        },
    )
    if request.resume is not None:
        from headrace.engine.resumed_runs import find_run, prepare_resume  # noqa: PLC0415 - most runs begin anew

        store, earlier = find_run(engine, request.resume)
        stack.enter_context(store)
        resume = prepare_resume(
            flow, store, earlier, engine, wishes=request.wishes, results=request.results, parameters=parameters
        )
        parameters, options = dict(resume.parameters), resume.options(flow, options)
        report.progress.take_over(resume.resumption.states)
        if resume.resumption.staying is not None:
            resume.resumption.staying.listeners.append(report.progress.take_over)
    if not request.record:
        from headrace.cli.limits import warn_of_limits  # noqa: PLC0415 - most runs are recorded

        warn_of_limits(flow, engine)
    try:
        with second_interrupt_ends_process(report.interrupted, report.abandon), report:
            state = flow.run(parameters, executor=request.executor, engine=engine, options=options)
    except KeyboardInterrupt:
        return Outcome(progress=report.progress, state=report.progress.final, interrupted=True)
    except Terminated as error:
        code = int(error.code or 0)
        return Outcome(progress=report.progress, state=report.progress.final, interrupted=True, interrupt_code=code)
    return Outcome(progress=report.progress, state=state)


def _current_folder() -> str:
    """Return the current folder; it is empty for one that was removed, in which no file can be named."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


def _ask(report: _Report, names: list[str]) -> list[str]:
    with report.suspended():
        return ask_on_terminal(names)


def _engine(flow: Flow, request: Request, progress: Progress) -> Engine:
    chosen = flow.executor or config.current()["engine"]["executor"] if request.executor is None else request.executor
    if not request.executor_options:
        return Engine(plugins=[progress], no_plugins=request.no_plugins)
    if not isinstance(chosen, str):
        raise PluginOptionError(
            f"Options were given for an executor, and flow {flow.name!r} brings an Executor object of its own.",
            hint="Name one with --executor as well.",
        )
    with config.set_temporary_config({"engine.executors": {chosen: dict(request.executor_options)}}):
        return Engine(plugins=[progress], no_plugins=request.no_plugins)


# Showing


def _console(output: TextIO) -> Console:
    from rich.console import Console  # noqa: PLC0415 - a run that prints JSON does without

    environ = os.environ
    terminal = environ.get("TERM", "windows" if os.name == "nt" else "dumb")
    live = (
        output.isatty() and terminal not in {"dumb", "unknown"} and environ.get("CI", "").lower() in {"", "0", "false"}
    )
    # Where nobody looks at a screen, lines are hardly folded.
    width = None if live else max(120, shutil.get_terminal_size((120, 40)).columns)
    return Console(file=output, force_terminal=live, no_color=None if live else True, width=width, highlight=False)


def _report(flow: Flow, output: TextIO, console: Console | None) -> _Report:
    if console is None:
        from headrace.cli.document import SilentReport  # noqa: PLC0415 - each kind of report imports what it needs

        return SilentReport(flow)
    if console.is_terminal:
        from headrace.cli.live import LiveReport  # noqa: PLC0415

        return LiveReport(flow, console)
    from headrace.cli.plain import PlainReport  # noqa: PLC0415

    return PlainReport(flow, output)


def _tell(outcome: Outcome, output: TextIO, console: Console | None) -> None:
    if console is None:
        from headrace.cli.document import document  # noqa: PLC0415

        output.write(document(outcome) + "\n")
        output.flush()
        return
    from headrace.cli.summary import print_summary  # noqa: PLC0415

    print_summary(console, outcome)


def own_stdout(stack: ExitStack) -> TextIO:
    """Return standard output for the document alone; what the flow and its child processes print goes to stderr."""
    original = sys.stdout
    stack.enter_context(redirect_stdout(sys.stderr))
    try:
        is_real = original.fileno() == 1
    except (OSError, ValueError):  # a stand-in, as in tests
        is_real = False
    if not is_real:
        return original
    original.flush()
    output = stack.enter_context(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    stack.callback(lambda: os.dup2(output.fileno(), 1))
    return output
