"""``headrace run``."""

from __future__ import annotations

from typing import Any

import click

from headrace.cli.values import complete_files, complete_parameters, complete_plugins, module_option, paired

__all__ = ["run"]

_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
_NO_LEVEL = 100


@click.command(short_help="Run a flow.")
@click.argument("target", metavar="FILE[:FLOW]", shell_complete=complete_files)
@module_option
@click.option(
    "-p",
    "--parameter",
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    shell_complete=complete_parameters,
    help="A value for a parameter of the flow, read as the parameter's type; lists and objects as JSON.",
)
@click.option(
    "--param-file",
    "parameter_file",
    type=click.Path(),
    metavar="PATH",
    help="Values for parameters as JSON, or as TOML if the name ends in .toml; -p wins over them.",
)
@click.option(
    "--context",
    multiple=True,
    metavar="KEY=VALUE",
    callback=paired,
    help="Something to show in `headrace.context`, as JSON or text: --context date=2026-01-31.",
)
@click.option(
    "--executor",
    metavar="NAME",
    shell_complete=complete_plugins("executor"),
    help="The executor that runs the tasks, instead of the flow's or the configured one.",
)
@click.option(
    "-o",
    "--option",
    "executor_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=paired,
    help="An option of the executor: -o workers=4.",
)
@click.option("-s", "--schedule", is_flag=True, help="Run at each event of the flow's schedule, not once and now.")
@click.option("--run-name", metavar="TEXT", help="What reports call this run.")
@click.option("--notify", metavar="URL", multiple=True, help="Somebody to tell about this run, besides the configured.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End the run after this time, instead of the flow's own timeout.",
)
@click.option("--results", metavar="URL", help="The store that keeps results, such as file:results.")
@click.option("--log-level", type=click.Choice(_LEVELS, case_sensitive=False), help="The least level that is logged.")
@click.option("--no-logs", is_flag=True, help="Show no log lines.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but log lines, unless the run fails.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end; everything else to stderr.")
@click.option("--record/--no-record", default=True, help="Record the run in the project's history.", show_default=True)
@click.option("--no-plugins", is_flag=True, help="Load no plugin that does not come with headrace.")
@click.option("--traceback", "tracebacks", is_flag=True, help="Show whole tracebacks, of tasks too.")
@click.pass_context
def run(ctx: click.Context, /, log_level: str | None, no_logs: bool, **others: Any) -> None:
    """Run a flow here and now.

    FILE is executed as `python FILE` would be, except for what stands under `if __name__ == "__main__":`. If it defines
    several flows, FLOW is the variable or the name of one.

    \b
    headrace run weather.py
    headrace run weather.py:daily -p years='[2012, 2013]' --executor threads -o workers=4
    headrace run -m stations.weather:daily --param-file years.toml

    Exit codes: 0 success, 1 the flow failed, timed out, or was ended by `headrace cancel`, 2 bad usage or input,
    130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. The first of these lets running tasks end, a second one leaves at once.
    """  # noqa: D301 - click looks for the backspace itself
    from headrace.cli.session import Request, perform  # noqa: PLC0415 - `headrace run --help` needs no engine

    level = _NO_LEVEL if no_logs else log_level and log_level.upper()
    ctx.exit(perform(Request(log_level=level, **others)))
