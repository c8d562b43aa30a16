"""What the command line says when something goes wrong, and the exit code it ends with."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import click

from headrace.exceptions import ExecutorError, HeadraceError, ResultError, TaskRunError
from headrace.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["error_text", "exit_code", "fit", "plain", "show_failure", "traceback_option", "wants_tracebacks"]

_FLAG: Final = "--traceback"
# Everything that moves a cursor, rings a bell or changes colours.
_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def traceback_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--traceback``, which `show_failure` follows; the command itself is not told."""
    return click.option(_FLAG, is_flag=True, expose_value=False, help="Show the whole traceback of an error.")(command)


def wants_tracebacks(arguments: Sequence[str]) -> bool:
    """Tell whether ``--traceback`` is among the arguments of a command line that has been parsed."""
    return _FLAG in arguments


def exit_code(error: Exception) -> int:
    """Return 2 for what is wrong with the input, 1 for what went wrong while working on it."""
    happened = isinstance(error, TaskRunError | ResultError | ExecutorError)
    return 2 if isinstance(error, HeadraceError) and not happened else 1


def show_failure(error: Exception, *, tracebacks: bool) -> None:
    """Say on standard error what happened: one screen, or the whole traceback."""
    if tracebacks:
        import traceback  # noqa: PLC0415 - only on request

        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
        return
    label = click.style("Error:", fg="red", bold=True)
    if isinstance(error, HeadraceError):
        click.echo(f"{label} {fit(plain(error.message))}", err=True, color=_color())
        if error.hint:
            click.echo(plain(error.hint), err=True)
        return
    text = error_text(error).partition("\n")[0]
    click.echo(f"{label} headrace stopped on something it did not expect: {text}", err=True, color=_color())
    click.echo(f"Run it again with {_FLAG} to see where.", err=True)


def _color() -> bool | None:
    """Return False where NO_COLOR asks for that, and None, which leaves it to click, anywhere else."""
    import os  # noqa: PLC0415 - only when something went wrong

    return False if os.environ.get("NO_COLOR") else None


def error_text(error: BaseException) -> str:
    """Return the type and the message of an exception, whatever its ``__str__`` does."""
    try:
        text = plain(str(error)).strip()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        text = "(its message cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain(text: str) -> str:
    """Return ``text`` without secrets, escape sequences and control characters, line ends and tabs excepted."""
    return _ESCAPES.sub("", mask(text).replace("\r\n", "\n"))


def fit(text: str, lines: int | None = None) -> str:
    """Return the first line of ``text`` and its last ones, as many as a screen, or ``lines``, can take."""
    room = lines or max(6, shutil.get_terminal_size().lines - 6)
    found = text.splitlines()
    if len(found) <= room:
        return text
    hidden = len(found) - room + 1
    return "\n".join([found[0], f"  ... {hidden} lines ...", *found[len(found) - room + 2 :]])
