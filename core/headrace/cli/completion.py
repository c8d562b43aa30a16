"""``headrace completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from headrace.cli.failures import traceback_option

__all__ = ["completion"]

_SHELLS = ["bash", "zsh", "fish"]


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@traceback_option
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options, executors and parameters of headrace.

    \b
    bash: headrace completion bash > ~/.local/share/bash-completion/completions/headrace
    zsh:  headrace completion zsh > "${fpath[1]}/_headrace"
    fish: headrace completion fish > ~/.config/fish/completions/headrace.fish

    Completing runs no flow file and imports no plugin.
    """  # noqa: D301 - click looks for the backspace itself
    shell_class = get_completion_class(shell)
    assert shell_class is not None, shell
    click.echo(shell_class(ctx.find_root().command, {}, "headrace", "_HEADRACE_COMPLETE").source())
