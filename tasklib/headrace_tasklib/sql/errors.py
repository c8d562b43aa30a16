"""Why work on a database failed."""

from __future__ import annotations

from headrace.exceptions import TaskRunError
from headrace_tasklib._support import shorten


class SqlError(TaskRunError):
    """A database could not be opened, or refused a statement; the transaction was rolled back.

    ``database`` is the database's URL without the password. ``statement`` is the SQL that failed, shortened, or None
    if it did not come to that.
    """

    def __init__(
        self,
        database: str,
        problem: str,
        *,
        statement: str | None = None,
        position: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.database = database
        self.statement = None if statement is None else shorten(statement)
        excerpt = "" if statement is None else f"\n{_excerpt(statement, position)}\n"
        super().__init__(f"{problem} (database {database}).{excerpt}", hint=hint)

    def __str__(self) -> str:
        return f"{self.message}{'' if self.message.endswith(chr(10)) else ' '}{self.hint or ''}".rstrip()


def _excerpt(statement: str, position: int | None) -> str:
    """Return the statement on one line, or the line that holds ``position`` with a caret below the place."""
    if position is None or not 0 <= position < len(statement):
        return f"  {shorten(statement)}"
    start = statement.rfind("\n", 0, position) + 1
    line = statement[start:].split("\n", 1)[0].replace("\t", " ")
    offset = max(0, position - start - _BEFORE_CARET)
    caret = " " * (position - start - offset)
    return f"  {line[offset : offset + _CARET_LINE]}\n  {caret}^"


_BEFORE_CARET = 60
_CARET_LINE = 100
