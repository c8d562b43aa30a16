"""When two parts of a schedule are equal."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.schedules._zones import instant_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["ComparedByInstant"]


class ComparedByInstant:
    """Makes a dataclass compare the datetimes it holds as instants.

    Python's own comparison takes two repeated hours of one zone for equal, and takes a repeated hour for unequal to
    the same instant in any other zone.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(tuple(_values(self, hashed=True)))


def _values(record: DataclassInstance | Any, *, hashed: bool = False) -> list[object]:
    return [
        _by_instant(getattr(record, item.name))
        for item in fields(record)
        if item.compare and not (hashed and item.hash is False)
    ]


def _by_instant(value: object) -> object:
    if isinstance(value, datetime):
        return instant_of(value)
    return tuple(map(_by_instant, value)) if isinstance(value, tuple) else value
