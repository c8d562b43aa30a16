"""The prebuilt task that loads rows into a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import TaskDefinitionError
from headrace.tasks import Task, defaults_from_attrs
from headrace_tasklib._support import library, one_of, required_text, wrong_type
from headrace_tasklib.sql.tasks import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_IF_EXISTS: Final = ("append", "fail", "replace")


class SqlLoad(Task):
    """Insert rows into a table, all of them or none, and return how many there were.

    The table is created, or replaced, and filled in one transaction (MySQL and Oracle commit when a table is created or
    dropped; the rows stay in one transaction there too). Names of tables and columns are always quoted.

    ``rows``, ``table``, ``columns`` and ``url`` can be given to the constructor or when the task is called.

    Args:
        rows: an iterable of dictionaries that have the same keys, or of tuples in the order of ``columns``.
        table: the table's name.
        columns: the columns' names, or a dictionary of names and types, which also allows to create the table. A type
            is its name in SQL such as "TEXT", one of Python's such as float, or one of SQLAlchemy's. By default the
            keys of the first row.
        url: the database, as SQLAlchemy writes it.
        if_exists: "append" adds to a table that exists, "replace" drops it first, "fail" raises.
        schema: the schema that holds the table, by default the connection's.
        chunk_size: how many rows go to the driver at once.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Raises:
        SqlError: the database or the table cannot be used, or a row was refused; nothing was loaded.
        TaskDefinitionError: a row does not have the columns of the others; nothing was loaded.
        MissingDependencyError: the extra ``headrace[sql]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.sql import SqlLoad
        >>> load = SqlLoad(url="sqlite:///weather.db", table="weather", columns={"date": "TEXT", "rain": float})
        >>> with Flow("load") as flow:
        ...     count = load([{"date": "2012-01-01", "rain": 0.0}, {"date": "2012-01-02", "rain": 10.9}])
        >>> flow.run().result[count].result
        2
    """

    def __init__(
        self,
        rows: Iterable[Any] | None = None,
        table: str | None = None,
        columns: Mapping[str, Any] | Sequence[str] | None = None,
        url: str = DEFAULT_URL,
        *,
        if_exists: str = "append",
        schema: str | None = None,
        chunk_size: int = 1000,
        **task_options: Any,
    ) -> None:
        self.rows = rows
        self.table = table
        self.columns = columns
        self.url = url
        self.if_exists = one_of("SqlLoad", "if_exists", if_exists, _IF_EXISTS)
        self.schema = schema
        self.chunk_size = _checked_size(chunk_size)
        super().__init__(**task_options)

    @defaults_from_attrs("rows", "table", "columns", "url")
    def run(
        self,
        rows: Iterable[Any] | None = None,
        table: str | None = None,
        columns: Mapping[str, Any] | Sequence[str] | None = None,
        url: str = DEFAULT_URL,
    ) -> int:
        """Load the rows; see the class."""
        table = required_text("SqlLoad", "table", table)
        with library("SqlLoad", "sqlalchemy", "sql"):
            from headrace_tasklib.sql.database import transaction
            from headrace_tasklib.sql.tables import Target, load
        target = Target(table=table, schema=self.schema, columns=columns, if_exists=self.if_exists)
        with transaction("SqlLoad", url, writes=True) as database:
            return load(database, target, rows, self.chunk_size)


def _checked_size(chunk_size: object) -> int:
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
        raise wrong_type("SqlLoad", "chunk_size", chunk_size, "a whole number")
    if chunk_size < 1:
        raise TaskDefinitionError(f"SqlLoad needs `chunk_size` to be positive, and got {chunk_size}.")
    return chunk_size
