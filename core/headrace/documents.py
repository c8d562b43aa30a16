"""What documents have in common: a format, and values that could not be written or cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import headrace
from headrace.exceptions import SerializationError
from headrace.plain_data import from_plain, opaque, to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

__all__ = ["FORMAT", "Missing", "check_format", "plain_or_opaque", "value_or_missing"]

FORMAT: Final = 1
"""The version of the documents written here; a change that an older headrace would misread makes it grow."""


def check_format(document: Mapping[str, Any], what: str) -> None:
    """Raise SerializationError unless ``document`` is of a format that is read here."""
    found = document.get("format") if hasattr(document, "get") else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise SerializationError(f"This is not a serialized {what}: it has no `format`.")
    if found > FORMAT:
        raise SerializationError(
            f"This {what} was serialized by headrace {document.get('headrace', '(unknown)')} in format {found}, and "
            f"headrace {headrace.__version__} reads formats up to {FORMAT}.",
            hint="Upgrade headrace here.",
        )


def plain_or_opaque(value: object) -> Any:
    """Return ``value`` as plain data, or what says that it cannot be written."""
    if isinstance(value, Missing):
        return value.record
    try:
        return to_plain(value)
    except SerializationError:
        return opaque(value)


def value_or_missing(record: Any) -> Any:
    """Return the value that plain data stand for, or what says that it is missing and is written as it was."""
    try:
        return from_plain(record)
    except SerializationError as error:
        return Missing(record, error.message)


class Missing:
    """Stands for a value that is not to be had from a document; as a state handler it fails the run."""

    def __init__(self, record: Any, reason: str) -> None:
        self.record = record
        self.reason = reason

    def __repr__(self) -> str:
        return f"<missing: {self.reason}>"

    def __call__(self, *_arguments: object) -> NoReturn:
        raise SerializationError(f"A state handler is missing: {self.reason}")
