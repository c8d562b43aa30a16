"""Many rows in a few parameters: each column of them is an array, written in the way in which PostgreSQL reads it.

A driver that is told one value after the other takes longer for that than the server takes to write them down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.history.encoding import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["arrays", "clean", "types_of"]


def clean(text: str) -> str:
    """Return ``text`` with what no text in PostgreSQL has, as its escape."""
    return as_text(text).replace("\0", "\\x00")


def _quoted(text: str) -> str:
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hexadecimal(data: bytes) -> str:
    return '"\\\\x' + data.hex() + '"'


def _truth(value: object) -> str:
    return "t" if value else "f"


# By the letter of a column its type, and what writes a value of it.
_KINDS: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    "i": ("int4", str),
    "l": ("int8", str),
    "f": ("float8", repr),
    "b": ("bool", _truth),
    "t": ("text", _quoted),
    "x": ("bytea", _hexadecimal),
}


def types_of(kinds: str) -> str:
    """Return the parameters of a statement for columns of these kinds, one letter each."""
    return ", ".join(f"%s::{_KINDS[kind][0]}[]" for kind in kinds)


def arrays(rows: Iterable[Sequence[Any]], kinds: str) -> list[str | None]:
    """Return ``rows``, of which there are some, column by column; None is a column with nothing in it."""
    return [_array(column, _KINDS[kind][1]) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]


def _array(column: Sequence[Any], write: Callable[[Any], str]) -> str | None:
    missing = column.count(None)
    if missing == len(column):
        return None
    if missing:
        return "{" + ",".join(["NULL" if value is None else write(value) for value in column]) + "}"
    return "{" + ",".join(map(write, column)) + "}"
