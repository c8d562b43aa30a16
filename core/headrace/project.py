"""The project's own folder, ``.headrace``: found as git finds its folder, in the current directory or above it.

The variable ``HEADRACE_HOME`` names another one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["make_private", "project_folder"]

_NAME: Final = ".headrace"
_VARIABLE: Final = "HEADRACE_HOME"
_IGNORE: Final = "# Made by headrace.\n*\n"


def project_folder(cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the nearest ``.headrace``; where there is none, the one to make in the current directory.

    If ``HEADRACE_HOME`` is set it is that folder, whether it is there or not. The one in the home directory holds the
    user's configuration and stands for a project only there. Raises HistoryError if the current directory was removed,
    unless ``HEADRACE_HOME`` says where it is all the same.
    """
    environ = os.environ if environ is None else environ
    named = Path(environ.get(_VARIABLE) or "").expanduser()
    if named.is_absolute():
        return named
    start = _current_folder() if cwd is None else cwd.absolute()
    if environ.get(_VARIABLE):
        return start / named
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path("~").expanduser())
    for folder in (start, *start.parents):
        found = folder / _NAME
        if found.is_dir() and (folder == start or folder != home):
            return found
    return start / _NAME


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        from headrace.exceptions import HistoryError  # noqa: PLC0415 - it hardly ever happens

        raise HistoryError(
            "The current folder is not there any more, so no project can be found.", hint="Change to another one: `cd`."
        ) from error


def make_private(folder: Path) -> None:
    """Make ``folder``, inside a project's folder, and keep version control out of it.

    A project's folder that is made on the way is ignored as a whole; one that is there already may hold a configuration
    file that is meant to be shared.
    """
    if folder.is_dir():
        return
    project = folder.parent
    ignored = folder if project.is_dir() else project
    from headrace.atomic import make_folder  # noqa: PLC0415 - it is made once, and looked for by every command

    make_folder(folder)
    (ignored / ".gitignore").write_text(_IGNORE, encoding="utf-8")
