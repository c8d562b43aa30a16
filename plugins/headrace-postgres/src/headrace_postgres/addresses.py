"""Where a history is: what a URL says, and what is shown of it, which is never the password."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from headrace.exceptions import HistoryError
from headrace.project import make_private, project_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

__all__ = ["Address", "address_of"]

_SCHEMES: Final = frozenset({"postgres", "postgresql"})
_SCHEMA: Final = "headrace"
_LONGEST_NAME: Final = 63
_FOLDER: Final = "history"
_FORM: Final = "postgresql://USER@HOST:PORT/DATABASE"
_ESCAPES: Final = "characters of a user name or a password that mean something in a URL are written as %XX"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One history.

    Attributes:
        options: what the driver is told, a password included.
        schema: the schema with the tables.
        where: how it is called in messages; without a password.
        identity: what no other history goes by, whoever connects to it.
        journals: the folder with the folder of journals, or None for the project's own.
        project: the project's folder.
    """

    options: Mapping[str, str] = field(repr=False)
    schema: str
    where: str
    identity: str
    journals: Path | None
    project: Path

    @property
    def live(self) -> Path:
        """The folder on this machine with the journals of runs that go on."""
        folder = self.journals or self.project / _FOLDER
        return folder / f"live-{hashlib.sha256(self.identity.encode()).hexdigest()[:16]}"

    def make_live(self) -> Path:
        """Return that folder, made if it is not there. One that ``journals`` names has to be there."""
        try:
            if self.journals is None:
                make_private(self.project / _FOLDER)
            self.live.mkdir(exist_ok=True)
        except OSError as error:
            raise HistoryError(
                f"The folder {self.live} for journals of runs cannot be made: {error.strerror or error}.",
                hint="Check the permissions, or name a folder that is there: `?journals=/FOLDER`.",
            ) from error
        return self.live


def address_of(url: str) -> Address:
    """Return what ``url`` says; raise ValueError, which repeats nothing of it that may be a password."""
    parts = _split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema, journals = options.pop("schema", _SCHEMA), options.pop("journals", None)
    if not schema or len(schema.encode()) > _LONGEST_NAME or "\0" in schema or schema.startswith("pg_"):
        raise ValueError(f"`schema` is {schema!r}, which is no name that a schema can have")
    folder = None if journals is None else Path(journals).expanduser()
    if folder is not None and not folder.is_absolute():
        raise ValueError(f"`journals` is {journals!r}, and should be an absolute path")
    known = _told(parts, options)
    host, port, user = (_resolved(known, name) for name in ("host", "port", "user"))
    database = known.get("dbname") or _resolved(known, "dbname") or user
    places = _places(host or known.get("hostaddr", ""), port)
    name = f"{places}/{quote(database)}?schema={quote(schema)}"
    return Address(
        options=known,
        schema=schema,
        where=f"postgresql://{quote(user)}@{name}",
        identity=f"postgresql://{name}",
        journals=folder,
        project=project_folder(),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        # What it says may repeat a part of the password.
        raise ValueError(f"it is not of the form {_FORM}; {_ESCAPES}") from None
    if parts.scheme not in _SCHEMES or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"it is not of the form {_FORM}")
    if parts.netloc.count("@") > 1 or "@" in parts.path + parts.query or parts.fragment:
        raise ValueError(f"it is not of the form {_FORM}, or has an @ or a # in another place; {_ESCAPES}")
    return parts


def _told(parts: SplitResult, options: Mapping[str, str]) -> dict[str, str]:
    """Return what the driver is told; ``options`` are those of its own."""
    defaults = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for name in options:
        if name not in defaults:
            raise ValueError(
                f"it has an option {name!r}; there are `schema` and `journals`, and those of PostgreSQL's connections"
            )
    query = urlencode(options, quote_via=quote)
    try:
        told = conninfo_to_dict(f"{parts.scheme}://{parts.netloc}{parts.path}?{query}")
    except psycopg.Error:
        raise ValueError(f"it is not of the form {_FORM}; {_ESCAPES}") from None
    known = {name: str(value) for name, value in told.items() if value is not None}
    if any(not port.isdigit() for port in known.get("port", "0").split(",") if port):
        raise ValueError(f"its port is not a number; {_ESCAPES}")
    return known


def _resolved(known: Mapping[str, str], name: str) -> str:
    """Return what a connection will use: what was said, or what the environment and the client say."""
    if known.get(name):
        return known[name]
    values = {option.keyword: option.val for option in pq.Conninfo.get_defaults()}
    return (values.get(name.encode()) or b"").decode(errors="replace")


def _places(hosts: str, ports: str) -> str:
    """Return hosts and ports as a URL has them; an empty host is the socket of this machine."""
    names = hosts.split(",")
    numbers = ports.split(",")
    numbers = numbers * len(names) if len(numbers) == 1 else numbers
    shown = [f"[{name}]" if ":" in name else quote(name, safe="") for name in names]
    return ",".join(f"{name}:{number}" if number else name for name, number in zip(shown, numbers, strict=False))
