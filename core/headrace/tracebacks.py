"""Where in a user's own code an exception comes from."""

from __future__ import annotations

import linecache
import os
import site
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["UserFrame", "innermost_frame", "user_frame"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UserFrame:
    """A place in a source file; ``function`` is ``"<module>"`` at the top level of one."""

    file: str
    line: int
    function: str

    @property
    def source(self) -> str:
        """The text of the line, or an empty string where the file is not to be had."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        where = f"{shown_path(self.file)}:{self.line}"
        return where if self.function == "<module>" else f"{where} in {self.function}"


def user_frame(error: BaseException) -> UserFrame | None:
    """Return the innermost frame that is neither of headrace, of a plugin of it, nor of anything installed, or None."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return UserFrame(file=error.filename, line=error.lineno, function="<module>")
    libraries = _library_folders()
    found = None
    for traceback in _chain(error.__traceback__):
        module = traceback.tb_frame.f_globals.get("__name__", "")
        file = traceback.tb_frame.f_code.co_filename
        if not str(module).startswith("headrace") and not file.startswith(("<frozen", *libraries)):
            found = traceback
    return None if found is None else _frame(found)


def innermost_frame(error: BaseException) -> UserFrame | None:
    """Return the place that raised, whoever wrote it, or None for an exception that was never raised."""
    found = None
    for found in _chain(error.__traceback__):  # noqa: B007 - the last one is what is wanted
        pass
    return None if found is None else _frame(found)


def shown_path(file: str) -> str:
    """Return a path as a message shows it: relative where that is shorter and does not climb."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # on another drive
        return file
    return file if relative.startswith(os.pardir) or file.startswith("<") else relative


def _chain(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _frame(traceback: TracebackType) -> UserFrame:
    code = traceback.tb_frame.f_code
    return UserFrame(file=code.co_filename, line=traceback.tb_lineno, function=code.co_name)


def _library_folders() -> tuple[str, ...]:
    """Return the folders of the standard library and of what is installed, each with a separator at its end."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {path for name, path in sysconfig.get_paths().items() if name in names}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    own = str(Path(__file__).parent)
    return tuple(str(Path(folder)) + os.sep for folder in sorted(folders | {own}))
