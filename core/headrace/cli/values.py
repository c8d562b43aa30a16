"""What stands on a command line: flow files, pairs of name and value, and what a shell may suggest for them."""

from __future__ import annotations

import ast
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, split_arg_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

__all__ = [
    "Amount",
    "chosen_task",
    "complete_files",
    "complete_parameters",
    "complete_plugins",
    "module_option",
    "paired",
]


def paired(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Return texts written ``NAME=VALUE`` as a dictionary; refuse a name that comes twice."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not written as NAME=VALUE.", ctx, param)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice. For a list, write {name}='[1, 2]'.", ctx, param)
        found[name] = text
    return found


class Amount(click.FloatRange):
    """A number that is 0 or more, and finite, which is more than `click.FloatRange` sees to."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


def chosen_task(task: str | None, chosen: str | None) -> str | None:
    """Return the task that was given as TASK or with ``--task``; refuse both at once."""
    if task is not None and chosen is not None:
        raise click.UsageError(f"TASK is given twice: {task!r}, and {chosen!r} with --task.")
    return chosen if task is None else task


def module_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``-m``, which turns FILE into the name of a module."""
    return click.option("-m", "--module", is_flag=True, help="FILE is the name of a module, as in `python -m`.")(
        command
    )


# Suggestions never run anybody's code: names of plugins come from metadata, those of parameters from the source.


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave files to the shell."""
    return [CompletionItem(incomplete, type="file")]


def complete_plugins(
    *kinds: str, qualified: bool = False
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what suggests the names of installed plugins of some kinds, or all; ``qualified`` as ``kind:name``."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from headrace.hooks.scan import scan  # noqa: PLC0415 - only shells ask

        records = [record for record in scan().records if not kinds or record.kind in kinds]
        names = {record.name: record.summary for record in records}
        if qualified and ":" in incomplete:
            names = {f"{record.kind}:{record.name}": record.summary for record in records}
        return [CompletionItem(name, help=text) for name, text in sorted(names.items()) if name.startswith(incomplete)]

    return complete


def complete_parameters(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Suggest the parameters that the text of the flow file creates, without running it."""
    from headrace.flow_files import split_target  # noqa: PLC0415 - only shells ask

    if "=" in incomplete:
        return []
    # click gives up parsing at an option without its value, so the words are looked at here.
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    files = [file for file, _ in map(split_target, words) if Path(file).suffix == ".py"]
    names = dict.fromkeys(name for file in files for name in _parameter_names(file))
    return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]


def _parameter_names(file: str) -> Iterator[str]:
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if str(called).endswith("Parameter") and isinstance(node.args[0].value, str):
            yield node.args[0].value
