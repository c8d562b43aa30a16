"""The prebuilt tasks that run SQL statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headrace.tasks import Task, defaults_from_attrs
from headrace_tasklib._support import library, one_of, required_text, wrong_type

if TYPE_CHECKING:
    from sqlalchemy.engine import CursorResult

DEFAULT_URL: Final = "sqlite:///headrace.db"
"""A SQLite file in the working directory: it needs no server, and unlike one in memory all tasks of a flow see it."""

_FETCHES: Final = ("all", "none", "one", "value")


class SqlQuery(Task):
    """Run one SQL statement and return its rows.

    The statement runs in a transaction that is committed, so ``INSERT ... RETURNING`` works too. Each run opens a
    connection of its own.

    ``query``, ``parameters`` and ``url`` can be given to the constructor or when the task is called.

    Args:
        query: the statement.
        parameters: a dictionary for placeholders written ``:name``, or a list for those of the driver's own style
            (``?`` for SQLite). Values never become part of the SQL.
        url: the database, as SQLAlchemy writes it. A SQLite file must exist.
        fetch: "all" returns a list of dictionaries, "one" the first row as a dictionary or None, "value" the first
            column of the first row or None, "none" nothing.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Raises:
        SqlError: the database cannot be used, or refused the statement; nothing was changed.
        MissingDependencyError: the extra ``headrace[sql]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.sql import SqlLoad, SqlQuery
        >>> url = "sqlite:///weather.db"
        >>> query = SqlQuery(query="SELECT date FROM weather WHERE rain > :limit", url=url)
        >>> with Flow("rainy days") as flow:
        ...     loaded = SqlLoad(table="weather", columns={"date": str, "rain": float}, url=url)(
        ...         [("2012-01-01", 0.0), ("2012-01-02", 10.9)]
        ...     )
        ...     days = query(parameters={"limit": 5}, upstream_tasks=[loaded])
        >>> flow.run().result[days].result
        [{'date': '2012-01-02'}]
    """

    def __init__(
        self,
        query: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        url: str = DEFAULT_URL,
        *,
        fetch: str = "all",
        **task_options: Any,
    ) -> None:
        self.query = query
        self.parameters = parameters
        self.url = url
        self.fetch = one_of("SqlQuery", "fetch", fetch, _FETCHES)
        super().__init__(**task_options)

    @defaults_from_attrs("query", "parameters", "url")
    def run(
        self,
        query: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        url: str = DEFAULT_URL,
    ) -> Any:
        """Run the statement; see the class."""
        query = required_text("SqlQuery", "query", query)
        parameters = _checked_parameters("SqlQuery", parameters)
        with library("SqlQuery", "sqlalchemy", "sql"):
            from headrace_tasklib.sql.database import transaction
            from headrace_tasklib.sql.statements import execute
        with (
            transaction("SqlQuery", url, writes=False) as database,
            database.running(query) as connection,
            execute(connection, query, parameters) as result,
        ):
            return _fetched(result, self.fetch)


class SqlExecute(Task):
    """Run one SQL statement, commit, and return how many rows it changed.

    ``statement``, ``parameters`` and ``url`` can be given to the constructor or when the task is called.

    Args:
        statement: the statement.
        parameters: a dictionary for placeholders written ``:name``; a list of dictionaries to run the statement once
            for each, all in one transaction; or a list of values for placeholders of the driver's own style.
        url: the database, as SQLAlchemy writes it. A SQLite file is created if there is none.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Returns:
        The number of rows, or -1 where the driver does not say, as for CREATE TABLE.

    Raises:
        SqlError: the database cannot be used, or refused the statement; nothing was changed.
        MissingDependencyError: the extra ``headrace[sql]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.sql import SqlExecute, SqlScript
        >>> url = "sqlite:///stations.db"
        >>> with Flow("rename") as flow:
        ...     made = SqlScript(url=url)("CREATE TABLE station (name TEXT); INSERT INTO station VALUES ('Seatle')")
        ...     rename = SqlExecute("UPDATE station SET name = :right WHERE name = :wrong", url=url)
        ...     count = rename(parameters={"right": "Seattle", "wrong": "Seatle"}, upstream_tasks=[made])
        >>> flow.run().result[count].result
        1
    """

    def __init__(
        self,
        statement: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        url: str = DEFAULT_URL,
        **task_options: Any,
    ) -> None:
        self.statement = statement
        self.parameters = parameters
        self.url = url
        super().__init__(**task_options)

    @defaults_from_attrs("statement", "parameters", "url")
    def run(
        self,
        statement: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        url: str = DEFAULT_URL,
    ) -> int:
        """Run the statement; see the class."""
        statement = required_text("SqlExecute", "statement", statement)
        parameters = _checked_parameters("SqlExecute", parameters)
        with library("SqlExecute", "sqlalchemy", "sql"):
            from headrace_tasklib.sql.database import transaction
            from headrace_tasklib.sql.statements import execute
        with (
            transaction("SqlExecute", url, writes=True) as database,
            database.running(statement) as connection,
            execute(connection, statement, parameters) as result,
        ):
            return result.rowcount


class SqlScript(Task):
    """Run several SQL statements in one transaction, and return how many there were.

    If one fails, none has happened (MySQL and Oracle commit when a table is created or dropped). The script is cut at
    semicolons outside of quotes and comments, for SQLite also outside of triggers; on other databases a statement with
    semicolons inside, such as a procedure that is not in dollar quotes, needs `SqlExecute`. BEGIN, COMMIT and ROLLBACK
    are refused.

    ``script`` and ``url`` can be given to the constructor or when the task is called.

    Args:
        script: the statements, separated by semicolons.
        url: the database, as SQLAlchemy writes it. A SQLite file is created if there is none.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Raises:
        SqlError: the database cannot be used, or refused a statement, which is named by its number and line.
        MissingDependencyError: the extra ``headrace[sql]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.sql import SqlScript
        >>> with Flow("prepare") as flow:
        ...     count = SqlScript("CREATE TABLE rain (mm REAL); INSERT INTO rain VALUES (10.9)", url="sqlite:///rain.db")()
        >>> flow.run().result[count].result
        2
    """

    def __init__(self, script: str | None = None, url: str = DEFAULT_URL, **task_options: Any) -> None:
        self.script = script
        self.url = url
        super().__init__(**task_options)

    @defaults_from_attrs("script", "url")
    def run(self, script: str | None = None, url: str = DEFAULT_URL) -> int:
        """Run the script; see the class."""
        script = required_text("SqlScript", "script", script)
        with library("SqlScript", "sqlalchemy", "sql"):
            from headrace_tasklib.sql.database import transaction
            from headrace_tasklib.sql.statements import run_script
        with transaction("SqlScript", url, writes=True) as database:
            return run_script(database, script)


def _checked_parameters(owner: str, parameters: object) -> Any:
    if parameters is None or isinstance(parameters, Mapping):
        return parameters
    if isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        return parameters
    raise wrong_type(owner, "parameters", parameters, "a dictionary or a list")


def _fetched(result: CursorResult[Any], fetch: str) -> Any:
    if fetch == "none":
        return None
    if not result.returns_rows:
        raise ValueError("it returns no rows; use SqlExecute, or pass fetch='none'")
    keys = list(result.keys())
    if fetch != "value" and len(set(keys)) < len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"several columns are named {', '.join(twice)}; give them names of their own with AS")
    match fetch:
        case "one":
            row = result.mappings().first()
            return None if row is None else dict(row)
        case "value":
            return result.scalar()
    return [dict(row) for row in result.mappings()]
