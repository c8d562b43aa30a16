"""``headrace diagnostics``."""

from __future__ import annotations

import click

from headrace.cli.failures import traceback_option
from headrace.cli.values import complete_files, module_option

__all__ = ["diagnostics"]


@click.command(short_help="Print what a report of a problem should have with it.")
@click.argument("target", metavar="[FILE[:FLOW]]", required=False, shell_complete=complete_files)
@module_option
@click.option(
    "--include-secret-names", is_flag=True, help="Name the secrets that the configuration and variables have."
)
@traceback_option
def diagnostics(target: str | None, module: bool, include_secret_names: bool) -> None:
    """Print what a report of a problem should have with it, as JSON.

    That is versions, plugins, which keys are configured, and what the flow consists of if one is named. No value of
    the configuration or of a variable is shown, and no name of a secret unless you ask for it.

    \b
    headrace diagnostics
    headrace diagnostics weather.py:daily
    """  # noqa: D301 - click looks for the backspace itself
    from headrace.diagnostics import diagnostics as text_of  # noqa: PLC0415 - `--help` needs none of it
    from headrace.flow_files import find_flow  # noqa: PLC0415

    flow = None if target is None else find_flow(target, module=module)
    click.echo(text_of(flow, include_secret_names=include_secret_names))
