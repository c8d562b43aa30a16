"""How results become bytes: the serializer that is always there, and chains of several."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.abc import Serializer
from headrace.exceptions import ResultError, ResultFormError, describe
from headrace.pickling import dump
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChainedSerializer", "PickleSerializer", "deserialized", "make_serializer", "serialized"]


@dataclass(frozen=True)
class PickleSerializer(Serializer):
    """Pickles values; functions and classes of a script, notebook or flow file are pickled by value."""

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as a pickle; raise TypeError naming the attribute or element that cannot be one."""
        try:
            return dump(value)
        except Exception as error:  # a foreign __reduce__ may raise anything
            raise TypeError(
                f"A value of type {type_name(type(value))} cannot be pickled{_why(value, error)}"
            ) from error

    def deserialize(self, data: bytes) -> object:
        """Return the pickled value. Only read pickles that you wrote: reading one can run code."""
        return pickle.loads(data)  # noqa: S301 - the contract says so


def serialized(serializer: Serializer, value: object, what: str, hint: str | None = None) -> bytes:
    """Return ``value`` as bytes; raise ResultFormError naming ``what`` it is and what is in the way."""
    try:
        return serializer.serialize(value)
    except Exception as error:  # a serializer is a plugin, and what it looks into may raise anything
        reason = str(error) if isinstance(error, TypeError | ValueError) else describe(error)
        raise ResultFormError(what, reason, hint=hint) from error


def deserialized(serializer: Serializer, data: bytes, what: str) -> object:
    """Return the value that ``data`` holds; raise ResultError naming ``what`` it is if it cannot be read."""
    try:
        return serializer.deserialize(data)
    except Exception as error:  # a foreign file may make a serializer raise anything, and classes are renamed
        raise ResultError(
            f"{what} exists and cannot be read: {describe(error)}.",
            hint="Remove it, or choose the serializer that it was written with.",
        ) from error


def _why(value: object, error: Exception) -> str:
    if isinstance(error, RecursionError) or isinstance(error.__cause__ or error.__context__, RecursionError):
        return ": it is nested too deeply."
    from headrace.unpicklable import find_unpicklable  # noqa: PLC0415 - only where something went wrong

    found = find_unpicklable(value)
    if found is None:
        return f": {error}"
    return f" because of {found.path} (type {found.type_name}): {found.error}"


class ChainedSerializer(Serializer):
    """Passes what one serializer made on to the next, which gets bytes: pickle, then gzip."""

    def __init__(self, *parts: Serializer) -> None:
        self.parts = parts

    def serialize(self, value: object) -> bytes:
        """Return what the last serializer makes."""
        first, *others = self.parts
        data = first.serialize(value)
        for part in others:
            data = part.serialize(data)
        return data

    def deserialize(self, data: bytes) -> object:
        """Return what the first serializer reads, once the others have undone theirs in reverse."""
        found: object = data
        for part in reversed(self.parts):
            if not isinstance(found, bytes):
                raise TypeError(f"{type_name(type(part))} reads bytes, and got {type_name(type(found))} to read.")
            found = part.deserialize(found)
        return found


def make_serializer(name: str, make: Callable[[str], Serializer]) -> Serializer:
    """Return the serializer of a name such as ``"pickle"``, or the chain of a name such as ``"pickle+gzip"``.

    ``make`` returns the serializer of one part, and raises for a name that it does not know.
    """
    first, *others = [make(part.strip()) for part in name.split("+")]
    return ChainedSerializer(first, *others) if others else first
