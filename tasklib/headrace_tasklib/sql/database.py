"""Opens databases with SQLAlchemy and runs statements on them; imports SQLAlchemy, so tasks import it when they run."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from headrace.exceptions import HeadraceError, nearest
from headrace_tasklib._support import mask_query, mask_url, required_text, shorten
from headrace_tasklib.sql.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

_SQLITE_BUSY_SECONDS: Final = 30
"""How long to wait for another writer: mapped tasks that write to one SQLite file take turns."""


class Database:
    """One open transaction of a database, and how to talk about it."""

    def __init__(self, url: URL, connection: Connection) -> None:
        self.name = show(url)
        self.connection = connection
        self._password = str(url.password or "")

    @property
    def is_sqlite(self) -> bool:
        return self.connection.dialect.name == "sqlite"

    @contextmanager
    def running(self, statement: str | None, what: str = "The statement") -> Iterator[Connection]:
        """Turn what the driver raises inside the block into a SqlError about ``statement``."""
        try:
            yield self.connection
        except HeadraceError:
            raise  # explained already, or the task's timeout
        except Exception as error:
            # A driver also raises errors outside of its own tree: sqlite3.Warning, OverflowError, ValueError.
            reason = reason_of(error, self._password)
            statement = statement or getattr(error, "statement", None)
            raise SqlError(
                self.name,
                f"{what} failed: {reason}",
                statement=statement,
                position=None if statement is None else _position(error, statement),
                hint=self._hint(reason),
            ) from error

    def _hint(self, reason: str) -> str:
        if missing := re.search(r"no such table: (?:\w+\.)?(\S+)", reason):
            known = inspect(self.connection).get_table_names()
            return nearest(missing[1], known) or "The database has no tables: does the URL name the right one?"
        for pattern, hint in _HINTS:
            if re.search(pattern, reason, re.IGNORECASE):
                return hint
        return "Nothing was changed: the transaction was rolled back."


_HINTS: Final = (
    (r"bind parameter|binding", "Pass a value for each parameter; write `\\:` for a colon that is not one."),
    (r"one statement at a time", "Use SqlScript for several statements."),
    (r"within a transaction", "The task runs in a transaction of its own: leave out BEGIN and COMMIT."),
    (r"locked", "Another program is writing to it: try again, for instance with `max_retries`."),
    (r"syntax error|incomplete input", "Check the statement's spelling at this place, and that quotes are closed."),
)


def show(url: URL) -> str:
    """Return the URL as messages show it."""
    return mask_query(url.render_as_string(hide_password=True))


@contextmanager
def transaction(owner: str, url: object, *, writes: bool) -> Iterator[Database]:
    """Open the database, yield it inside one transaction, commit at the end or roll back, and close everything.

    Unless the task ``writes``, a SQLite file must exist: opening it would create an empty one.
    """
    address = _address(owner, url)
    if not writes:
        _check_sqlite_file(address)
    engine = _engine(address, writes=writes)
    try:
        with ExitStack() as stack:
            with _explained(address, "The database could not be opened"):
                connection = stack.enter_context(engine.connect())
                begun = connection.begin()
            stack.enter_context(_explained(address, "The database refused to commit"))
            stack.enter_context(begun)
            yield Database(address, connection)
    finally:
        engine.dispose()


def _address(owner: str, url: object) -> URL:
    if isinstance(url, URL):
        return url
    text = required_text(owner, "url", url)
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # The cause would show the password.
        raise SqlError(
            mask_url(text),
            "The database's URL cannot be read",
            hint="Write it like sqlite:///file.db or postgresql+psycopg://user:password@host/name.",
        ) from None


def _sqlite_file(address: URL) -> Path | None:
    name = address.database
    if address.get_backend_name() != "sqlite" or name in {None, "", ":memory:"} or str(name).startswith("file:"):
        return None
    return Path(str(name))


def _check_sqlite_file(address: URL) -> None:
    path = _sqlite_file(address)
    if path is not None and not path.exists():
        raise SqlError(
            show(address),
            f"There is no file {str(path.absolute())!r}",
            hint="Check the URL and the folder you are in; a task that writes creates the file.",
        )


def _engine(address: URL, *, writes: bool) -> Engine:
    is_sqlite = address.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = (
        {"timeout": _SQLITE_BUSY_SECONDS} if is_sqlite and "timeout" not in address.query else {}
    )
    try:
        engine = create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    except NoSuchModuleError as error:
        hint = "Write the URL like sqlite:///file.db, or install the SQLAlchemy dialect for this database."
        raise SqlError(show(address), f"SQLAlchemy knows no database {address.drivername!r}", hint=hint) from error
    except ModuleNotFoundError as error:
        hint = f"Run `pip install {error.name}`, or name another driver in the URL, as in postgresql+psycopg://..."
        raise SqlError(show(address), f"The database's driver {error.name!r} is not installed", hint=hint) from error
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise SqlError(show(address), f"The database's URL cannot be used: {shorten(str(error))}") from error
    if is_sqlite:
        _take_over_transactions(engine, "BEGIN IMMEDIATE" if writes else "BEGIN")
    return engine


def _take_over_transactions(engine: Engine, begin: str) -> None:
    """Begin SQLite's transactions ourselves: left alone, the driver runs CREATE TABLE outside of them.

    A writer takes the write lock at once, as a transaction that starts by reading cannot wait for it later.
    """

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


@contextmanager
def _explained(address: URL, problem: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = reason_of(error, str(address.password or ""))
        hint = "Check the URL, and that the server runs and can be reached."
        path = _sqlite_file(address)
        if path is not None:
            hint = (
                f"Check that {str(path.absolute())!r} is in a folder that exists, is a database and may be written to."
            )
        if "locked" in reason:
            hint = "Another program is writing to it: try again, for instance with `max_retries`."
        raise SqlError(show(address), f"{problem}: {reason}", hint=hint) from error


def reason_of(error: Exception, password: str = "") -> str:
    """Return the driver's own message on one line."""
    source = error.orig if isinstance(error, DBAPIError) else error
    text = shorten(str(source)) or type(source).__name__
    return text.replace(password, "***") if password else text


def _position(error: Exception, statement: str) -> int | None:
    """Return where in the statement the driver found the mistake, if it says so unambiguously."""
    if isinstance(error, DBAPIError):
        reported = getattr(getattr(error.orig, "diag", None), "statement_position", None)
        if reported and error.statement == statement:
            return int(reported) - 1
    token = re.search(r'near "(.+?)": syntax error', str(error))
    if token is None:
        return None
    places = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(token[1])}(?!\w)", statement)]
    return places[0] if len(places) == 1 else None
