"""Runs single statements with parameters, and cuts scripts into statements; imports SQLAlchemy."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from headrace_tasklib.sql.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, CursorResult

    from headrace_tasklib.sql.database import Database

_TOKENS: Final = re.compile(
    r"""'[^']*(?:''[^']*)*' | "[^"]*" | `[^`]*`     # texts and quoted names
      | --[^\n]* | /\*.*?\*/                         # comments
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$              # PostgreSQL's dollar quotes
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
_PREAMBLE: Final = re.compile(r"(?:[\s;]+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TRANSACTION_CONTROL: Final = re.compile(
    r"(?:begin|commit|end|start\s+transaction|rollback(?!\s+(?:\w+\s+)?to\b))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script, without the comments before it and the semicolon behind."""

    number: int
    line: int
    sql: str

    def __str__(self) -> str:
        return f"Statement {self.number} (line {self.line} of the script)"


def execute(connection: Connection, statement: str, parameters: Any) -> CursorResult[Any]:
    """Run one statement.

    A mapping, or a list of mappings, fills ``:name`` placeholders; a tuple or list of values fills those of the
    driver's own style. Without parameters the driver gets the statement as it is.
    """
    if parameters is None:
        return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    if isinstance(parameters, Mapping):
        return connection.execute(text(statement), dict(parameters))
    if parameters and all(isinstance(row, Mapping) for row in parameters):
        return connection.execute(text(statement), [dict(row) for row in parameters])
    return connection.exec_driver_sql(statement, tuple(parameters))


def run_script(database: Database, script: str) -> int:
    """Run the statements of ``script`` one after the other and return how many there were."""
    statements = list(split_script(script, is_sqlite=database.is_sqlite))
    for statement in statements:
        if _TRANSACTION_CONTROL.match(statement.sql):
            raise SqlError(
                database.name,
                f"{statement} controls transactions, and the whole script is one",
                statement=statement.sql,
                hint="Leave out BEGIN, COMMIT and ROLLBACK.",
            )
    for statement in statements:
        with database.running(statement.sql, str(statement)) as connection:
            execute(connection, statement.sql, None).close()
    return len(statements)


def split_script(script: str, *, is_sqlite: bool) -> Iterator[Statement]:
    """Cut a script at the semicolons outside of texts, names and comments; for SQLite also outside of triggers."""
    number, start, line, counted = 0, 0, 1, 0
    for end in (*_ends(script, is_sqlite=is_sqlite), len(script)):
        preamble = _PREAMBLE.match(script, start, end)
        begin = preamble.end() if preamble else start
        sql = script[begin:end].rstrip().removesuffix(";").rstrip()
        start = end
        if sql:
            number += 1
            line += script.count("\n", counted, begin)
            counted = begin
            yield Statement(number, line, sql)


def _ends(script: str, *, is_sqlite: bool) -> Iterator[int]:
    start = 0
    for token in _TOKENS.finditer(script):
        if token["end"] is None or (is_sqlite and not sqlite3.complete_statement(script[start : token.end()])):
            continue
        start = token.end()
        yield start
