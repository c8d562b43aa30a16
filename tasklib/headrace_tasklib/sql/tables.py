"""Creates tables and fills them with SQLAlchemy's constructs, so that names are always quoted; imports SQLAlchemy."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy.types import NullType, TypeEngine, UserDefinedType

from headrace.exceptions import TaskDefinitionError, nearest
from headrace_tasklib.sql.errors import SqlError
from headrace_tasklib.sql.rows import arranged, column_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace_tasklib.sql.database import Database

# Word by word, so that nothing can close the column list; "NUMERIC(10, 2) NOT NULL" and "TEXT PRIMARY KEY" are fine.
_TYPE_TEXT: Final = re.compile(r"[A-Za-z]\w*( \w+)*(\(\s*\d+\s*(,\s*\d+\s*)?\))?( \w+)*(\[\])?", re.ASCII)
_PYTHON_TYPES: Final[Mapping[type, type[TypeEngine[Any]]]] = {
    str: sqlalchemy.Text,
    int: sqlalchemy.BigInteger,
    float: sqlalchemy.Double,
    bool: sqlalchemy.Boolean,
    bytes: sqlalchemy.LargeBinary,
    datetime.date: sqlalchemy.Date,
    datetime.datetime: sqlalchemy.DateTime,
    datetime.time: sqlalchemy.Time,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The table to load into and what to do about one that exists."""

    table: str
    schema: str | None
    columns: Mapping[str, str | type] | Sequence[str] | None
    if_exists: str

    @property
    def shown(self) -> str:
        """The table's name as messages show it."""
        return repr(f"{self.schema}.{self.table}" if self.schema else self.table)


class _NamedType(UserDefinedType[Any]):
    """A type written as the database spells it."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_options: object) -> str:
        return self.text


def load(database: Database, target: Target, rows: object, chunk_size: int) -> int:
    """Create or replace the table as ``target`` says, insert ``rows``, and return how many there were."""
    names, checked = arranged(rows, column_names(target.columns))
    _prepare(database, target)
    if names is None:
        return 0
    loaded = 0
    while chunk := list(islice(checked, chunk_size)):
        what = f"Loading rows {loaded + 1} to {loaded + len(chunk)} into {target.shown}"
        statement = sqlalchemy.insert(_bare_table(target, names, chunk))
        with database.running(None, what) as connection:
            connection.execute(statement, chunk)
        loaded += len(chunk)
    return loaded


def _prepare(database: Database, target: Target) -> None:
    with database.running(None, f"Looking for the table {target.shown}") as connection:
        exists = sqlalchemy.inspect(connection).has_table(target.table, schema=target.schema)
    if exists and target.if_exists == "append":
        return
    if exists and target.if_exists == "fail":
        raise SqlError(
            database.name,
            f"There already is a table {target.shown}",
            hint="Choose another name, or pass if_exists='append' or 'replace'.",
        )
    if not isinstance(target.columns, Mapping):
        raise _untyped(database, target, exists=exists)
    table = sqlalchemy.Table(target.table, sqlalchemy.MetaData(), *_columns(target.columns), schema=target.schema)
    with database.running(None, f"Creating the table {target.shown}") as connection:
        if exists:
            table.drop(connection)
        table.create(connection)


def _untyped(database: Database, target: Target, *, exists: bool) -> SqlError:
    found = f"The table {target.shown} is to be replaced" if exists else f"There is no table {target.shown}"
    with database.running(None, "Listing the tables") as connection:
        known = sqlalchemy.inspect(connection).get_table_names(target.schema)
    return SqlError(
        database.name,
        f"{found}, and `columns` gives no types to create one with",
        hint=" ".join(filter(None, (nearest(target.table, known), "Pass columns={'name': str, ...} to create it."))),
    )


def _columns(columns: Mapping[str, str | type]) -> Iterator[sqlalchemy.Column[Any]]:
    for name, type_ in columns.items():
        yield sqlalchemy.Column(name, _column_type(name, type_))


def _column_type(name: str, type_: object) -> TypeEngine[Any]:
    if isinstance(type_, TypeEngine):
        return type_
    if isinstance(type_, type) and issubclass(type_, TypeEngine):
        return type_()
    if isinstance(type_, type) and type_ in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_]()
    if isinstance(type_, str) and _TYPE_TEXT.fullmatch(type_.strip()):
        return _NamedType(type_.strip())
    known = ", ".join(sorted(python_type.__name__ for python_type in _PYTHON_TYPES))
    raise TaskDefinitionError(
        f"SqlLoad cannot create the column {name!r} with the type {type_!r}.",
        hint=f"Use a type's name in SQL such as 'TEXT' or 'NUMERIC(10, 2)', or one of Python's: {known}.",
    )


def _bare_table(target: Target, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> sqlalchemy.TableClause:
    """Describe the table for an INSERT, with types only where values need converting."""
    columns = (sqlalchemy.column(name, _temporal_type(rows, name)) for name in names)
    return sqlalchemy.table(target.table, *columns, schema=target.schema)


def _temporal_type(rows: Sequence[Mapping[str, Any]], name: str) -> TypeEngine[Any]:
    """Return the type for dates and times, which SQLite does not know; other values are left to the driver."""
    sample = next((row[name] for row in rows if row[name] is not None), None)
    if isinstance(sample, datetime.date | datetime.time):
        return next(_PYTHON_TYPES[cls]() for cls in type(sample).__mro__ if cls in _PYTHON_TYPES)
    return NullType()
