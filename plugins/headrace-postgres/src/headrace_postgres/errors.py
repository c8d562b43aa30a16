"""What is wrong with a server or with what is in it, in our own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError

if TYPE_CHECKING:
    import psycopg

__all__ = ["ServerAwayError", "translated", "unreachable"]

_DOCTOR: Final = "Run `headrace doctor`."
# By the code that the server gives, or the beginning of it.
_LOCKED: Final = ("55P03", "40001", "40P01")
_AWAY: Final = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "53300")
_MISSING: Final = ("42P01", "42703", "3F000")
_DAMAGED: Final = ("XX001", "XX002")
# What a server says that will be there soon; in another language, it is taken for one that refuses.
_SOON: Final = ("starting up", "shutting down", "recovery", "too many", "connection slots", "not yet accepting")


class ServerAwayError(HistoryBusyError):
    """A server is away now, and may be there again in a moment; ``reached`` tells whether anything answered."""

    def __init__(self, message: str, *, hint: str | None = None, reached: bool = True) -> None:
        HistoryError.__init__(self, message, hint=hint)
        self.reached = reached


def unreachable(error: psycopg.OperationalError, where: str, seconds: float) -> HistoryError:
    """Return the error for a connection that could not be made in so many seconds."""
    said = " ".join(str(error).removeprefix("connection failed: ").split()).partition(" Is the server running")[0]
    connection = error.pgconn
    if connection is not None and connection.needs_password:
        return HistoryError(
            f"The history at {where} wants a password, and there is none: {said}.",
            hint="Give it in the URL, in the environment variable PGPASSWORD, or in the file ~/.pgpass.",
        )
    if "FATAL" not in said or any(each in said for each in _SOON):
        return ServerAwayError(
            f"The history at {where} cannot be reached; tried for {seconds:.1f} seconds: {said}.",
            hint="Check the address, and that the server runs and takes connections from this machine.",
            reached="FATAL" in said,
        )
    if "authentication" in said:
        hint = "Check the user and the password: in the URL, in PGPASSWORD, or in the file ~/.pgpass."
    elif "database" in said and "exist" in said:
        hint = "Have the database made, with `createdb` for instance; headrace makes only its own schema in it."
    else:
        hint = "Check what the server lets this user do from this machine."
    return HistoryError(f"The server of the history at {where} refuses the connection: {said}.", hint=hint)


def translated(error: psycopg.Error, where: str, seconds: float) -> HistoryError:
    """Return the error for what a server, or the link to it, said on a connection that was made.

    ``seconds`` is how long a connection waits for locks.
    """
    code, said = error.sqlstate or "", error.diag.message_primary or " ".join(str(error).split())
    if code.startswith(_LOCKED):
        return HistoryBusyError(where, seconds)
    return _away(code, said, where) or _broken(code, said, where)


def _away(code: str, said: str, where: str) -> ServerAwayError | None:
    if not code or code.startswith(_AWAY):
        return ServerAwayError(f"The link to the history at {where} was lost: {said}.", hint="Check the server.")
    if code == "25006":
        return ServerAwayError(
            f"The history at {where} cannot be written: {said}.",
            hint="The server is a standby, or was told to take no changes. Name the one that does.",
        )
    return None


def _broken(code: str, said: str, where: str) -> HistoryError:
    if code == "53100":
        return HistoryError(
            f"The history at {where} cannot be written: the disk of the server is full.",
            hint="Free some space there; the run can be resumed then.",
        )
    if code == "42501":
        return HistoryError(f"The history at {where} is closed to this user: {said}.", hint=_grants(where))
    if code.startswith(_MISSING) or code in _DAMAGED:
        return HistoryDamagedError(f"The history at {where} is damaged: {said}.", hint="Bring back a copy of it.")
    return HistoryError(f"The history at {where} cannot be used: {said} (SQLSTATE {code}).", hint=_DOCTOR)


def _grants(where: str) -> str:
    schema = where.rpartition("=")[2]
    return (
        f"Have its owner grant USAGE on the schema {schema}, and SELECT, INSERT, UPDATE and DELETE on all its tables; "
        "to make a new history, the user needs CREATE on the database."
    )
