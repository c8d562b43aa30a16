"""The command group ``headrace``: it knows every command by name and imports the one that is asked for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from headrace import __version__
from headrace.cli.failures import exit_code, show_failure, wants_tracebacks
from headrace.exceptions import ConfigError, PluginError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

    from headrace.hooks.policy import PluginPolicy

__all__ = ["headrace"]

_COMMANDS: Final = {
    "run": ("headrace.cli.run:run", "Run a flow."),
    "resume": ("headrace.cli.resume:resume", "Go on with a run that was recorded."),
    "runs": ("headrace.cli.runs:runs", "List the runs that were recorded."),
    "show": ("headrace.cli.show:show", "Show a run that was recorded, task by task."),
    "logs": ("headrace.cli.run_logs:logs", "Show what the tasks of a run have logged and printed."),
    "why": ("headrace.cli.why:why", "Explain why a task of a run is in the state it is in."),
    "diff": ("headrace.cli.diff:diff", "Compare two runs."),
    "replay": ("headrace.cli.replay:replay", "Run one task of a run again, here."),
    "export": ("headrace.cli.export:export", "Write all that was recorded of a run as lines of JSON."),
    "cancel": ("headrace.cli.cancel:cancel", "End a run that goes on in another process."),
    "limits": ("headrace.cli.limits:limits", "Limit how many tasks with a tag run at once."),
    "gc": ("headrace.cli.gc:gc", "Remove old runs and their results."),
    "visualize": ("headrace.cli.visualization:visualize", "Draw a flow."),
    "cache": ("headrace.cli.cache:cache", "List, explain and remove cached results."),
    "plugins": ("headrace.cli.plugins:plugins", "List, describe and check the installed plugins."),
    "config": ("headrace.cli.configuration:config", "Show the configuration and where it comes from."),
    "doctor": ("headrace.cli.doctor:doctor", "Look for what is wrong here, and put it right."),
    "diagnostics": (
        "headrace.cli.diagnosis:diagnostics",
        "Print what a report of a problem should have with it.",
    ),
    "completion": ("headrace.cli.completion:completion", "Print the completion script of a shell."),
}


class _Root(click.Group):
    """Lists commands from the table above and from the metadata of plugins, without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *_plugin_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
            found: click.Command = getattr(import_module(module), attribute)
            return found
        return _plugin_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in _COMMANDS and name not in _plugin_commands():
            ctx.fail(f"No such command {name!r}. {nearest(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])
        added = _plugin_commands()
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, summary or "-") for name, summary in added.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only shells ask

        summaries = {name: summary for name, (_, summary) in _COMMANDS.items()} | _plugin_commands()
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [CompletionItem(name, help=text) for name, text in summaries.items() if name.startswith(incomplete)]
        return names + options

    def invoke(self, ctx: click.Context) -> None:
        # What a command returns means nothing: exit codes are given by raising click's Exit.
        with suppress(BrokenPipeError):  # Whoever reads has had enough, as of `headrace runs | head`.
            super().invoke(ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; unless told otherwise, show what goes wrong on one screen and exit."""
        _fill_in_for_closed_files()
        _tolerate_any_text()
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        arguments = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted.", err=True)
            code = 130
        except Exception as error:  # noqa: BLE001 - the outermost boundary: no traceback unless it is asked for
            if not isinstance(error, OSError) or _output_fails() is None:
                show_failure(error, tracebacks=wants_tracebacks(arguments))
            code = exit_code(error)
        sys.exit(_write_out(code))


@click.command(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="headrace %(version)s")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of an error.")
def headrace(traceback: bool) -> None:
    """Run workflows that are written in plain Python."""


def _policy() -> PluginPolicy:
    from headrace import config  # noqa: PLC0415 - read when plugins are first asked for
    from headrace.hooks.policy import PluginPolicy  # noqa: PLC0415

    return PluginPolicy.from_config(config.current()["plugins"], os.environ)


def _plugin_commands() -> dict[str, str]:
    """Return the commands that plugins bring, with the summary of their distribution; none of them is imported."""
    from headrace.hooks.scan import scan  # noqa: PLC0415 - a command that comes with headrace does without

    try:
        policy = _policy()
    except ConfigError:
        return {}  # `--help` has to work while the configuration does not; any command that reads it will say so
    records = [record for record in scan().records if record.kind == "command" and policy.allows(record)]
    return {
        record.name: record.summary
        for record in sorted(records, key=lambda record: record.name)
        if record.name not in _COMMANDS
    }


def _plugin_command(name: str) -> click.Command | None:
    if name not in _plugin_commands():
        return None
    from headrace.hooks.registry import Registry  # noqa: PLC0415 - brings pluggy

    resolved = Registry(policy=_policy()).resolve("command", name)
    if not isinstance(resolved.factory, click.Command):
        raise PluginError(
            f"The {resolved.label} is {type(resolved.factory).__name__} {resolved.spec.factory!r}; "
            "expected a click.Command.",
            hint="Run `headrace plugins doctor` to see more.",
        )
    return resolved.factory


def _fill_in_for_closed_files() -> None:
    """Open what goes nowhere where a standard file is closed, before a file of ours gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for as long as the process
            os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)


def _output_fails() -> OSError | None:
    """Return what is wrong with standard output, on which something has been written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _write_out(code: int) -> int:
    """Write what waits to be written to standard output, and return the exit code."""
    error = _output_fails()
    if error is None:
        return code
    # What Python flushes at exit must not complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return code
    click.echo(f"Standard output cannot be written: {error.strerror or error}.", err=True)
    return code or 1


def _tolerate_any_text() -> None:
    """Let a stream show something else for characters that it cannot show, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors in {"strict", "surrogateescape"}:
            reconfigure(errors="backslashreplace" if "utf" in (stream.encoding or "").lower() else "replace")
