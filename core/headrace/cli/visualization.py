"""``headrace visualize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.cli.failures import traceback_option
from headrace.cli.values import complete_files, module_option
from headrace.exceptions import nearest
from headrace.flow_files import find_flow
from headrace.visualize import FORMATS, render_with_graphviz

if TYPE_CHECKING:
    from headrace.flows import Flow

__all__ = ["visualize"]

_SUFFIXES = {".mmd": "mermaid", ".gv": "dot", ".txt": "text"}


@click.command(short_help="Draw a flow.")
@click.argument("target", metavar="FILE[:FLOW]", shell_complete=complete_files)
@module_option
@click.option("--format", "chosen", metavar="FORMAT", help="text, mermaid, svg or dot; others, as png, need Graphviz.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to this file, by default the terminal.")
@traceback_option
def visualize(target: str, module: bool, chosen: str | None, output: str | None) -> None:
    """Draw a flow without running it: as a text tree, unless another format or a file with a suffix is asked for.

    \b
    headrace visualize weather.py
    headrace visualize weather.py --format mermaid
    headrace visualize weather.py -o weather.svg
    """  # noqa: D301 - click looks for the backspace itself
    form = chosen or (_format_of(output) if output else "text")
    if form not in FORMATS and output is None:
        raise click.UsageError(
            f"A drawing in the format {form!r} goes to a file: add -o FILE. {nearest(form, FORMATS)}"
        )
    flow = find_flow(target, module=module)
    if output is None:
        click.echo(flow.visualize(format=form).rstrip("\n"))
        return
    try:
        _write(flow, output, form)
    except OSError as error:
        raise click.FileError(output, error.strerror) from error
    click.echo(f"Wrote {output}.", err=True)


def _write(flow: Flow, output: str, form: str) -> None:
    if form in FORMATS:
        flow.visualize(filename=output, format=form)
    else:
        render_with_graphviz(flow.visualize(format="dot"), output, form)


def _format_of(output: str) -> str:
    suffix = Path(output).suffix.lower()
    return _SUFFIXES.get(suffix, suffix.removeprefix(".")) or "text"
