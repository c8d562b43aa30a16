"""Values, and texts from a command line or a URL, as a type says."""

from __future__ import annotations

import json
import os
import types
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

__all__ = ["coerce", "describe_type", "from_data", "from_text"]

# What a value of an abstract kind is made as.
_CONCRETE: Mapping[Any, type] = {
    **dict.fromkeys((Collection, Iterable, MutableSequence, Sequence), list),
    AbstractSet: set,
    **dict.fromkeys((Mapping, MutableMapping), dict),
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def coerce(value: Any, kind: Any) -> Any:
    """Return ``value`` if it is of type ``kind``, or what it says as one if it is a text; raise ValueError otherwise.

    A text stays a text where ``kind`` allows one. What cannot be checked at run time, such as a protocol, fits.
    """
    kind = _plain(kind)
    if _fits(value, kind):
        return value
    if isinstance(value, str):
        read = from_text(value, kind)
        if _fits(read, kind):
            return read
    elif isinstance(value, os.PathLike) and isinstance(kind, type) and issubclass(kind, Path):
        return kind(os.fspath(value))
    raise ValueError(value)


def _plain(kind: Any) -> Any:
    """Return a type without its notes and new names."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        else:
            return kind


def _fits(value: object, kind: Any) -> bool:
    origin = get_origin(kind) or kind
    if kind is Any or kind is object:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, _plain(member)) for member in get_args(kind))
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    return value is None if origin is None else _is_instance(value, origin)


def _is_instance(value: object, kind: Any) -> bool:
    # Of the numbers, a bool is no int here, but an int is a float.
    if isinstance(value, bool) and kind in (int, float):
        return False
    # A text is a sequence of letters, which is not what anybody means by a sequence.
    if isinstance(value, str) and kind in _CONCRETE:
        return False
    if kind is float and isinstance(value, int):
        return True
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


def from_text(text: str, kind: Any) -> Any:
    """Return ``text`` as a value of type ``kind``; raise ValueError if it is not one.

    Known are str, int, float, bool, date, datetime, Path, Enum classes (by name or value), Literal, unions and None,
    and list, tuple, set and dict, or a Sequence or Mapping, with or without element types, as JSON. Any other type
    takes JSON, or the text itself where it is not JSON.
    """
    kind = _plain(kind)
    origin = get_origin(kind) or kind
    origin = _CONCRETE.get(origin, origin)
    if origin in (Union, types.UnionType):
        return _first_that_fits(text, get_args(kind))
    if origin is Literal:
        return _one_of(text, get_args(kind))
    if isinstance(origin, type) and issubclass(origin, Enum):
        return _member(text, origin)
    reader = _of_base(origin, _READERS)
    if reader is not None:
        return reader(text)
    if origin in (list, tuple, set, frozenset, dict):
        return _from_json(text, origin, get_args(kind))
    return _json_or_text(text)


def _of_base(kind: Any, table: Mapping[Any, Any]) -> Any:
    """Return what ``table`` has for a class or the nearest of its bases: a PosixPath is read as a Path."""
    return next((table[base] for base in getattr(kind, "__mro__", (kind,)) if base in table), None)


def _boolean(text: str) -> bool:
    try:
        return _WORDS[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


def _nothing(text: str) -> None:
    if text.strip().lower() not in {"", "none", "null"}:
        raise ValueError(text)


_READERS: dict[Any, Any] = {
    str: str,
    int: int,
    float: float,
    bool: _boolean,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    Path: Path,
    None: _nothing,
    types.NoneType: _nothing,
}


def _first_that_fits(text: str, kinds: tuple[Any, ...]) -> Any:
    # Text fits everything, so it is tried last.
    for kind in sorted(kinds, key=lambda k: k is str):
        try:
            return from_text(text, kind)
        except ValueError:
            continue
    raise ValueError(text)


def _one_of(text: str, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if text == str(choice):
            return choice
    raise ValueError(text)


def _member(text: str, kind: type[Enum]) -> Enum:
    if text in kind.__members__:
        return kind[text]
    for member in kind:
        if text.lower() in (member.name.lower(), str(member.value).lower()):
            return member
    raise ValueError(text)


def _from_json(text: str, kind: type, element_types: tuple[Any, ...]) -> Any:
    value = _json(text)
    if not isinstance(value, dict if kind is dict else list):
        raise ValueError(text)  # noqa: TRY004 - one kind of error for every text that does not fit
    if isinstance(value, dict):
        key_type, value_type = element_types or (Any, Any)
        return {from_data(key, key_type): from_data(item, value_type) for key, item in value.items()}
    if kind is tuple and element_types and Ellipsis not in element_types:
        return tuple(from_data(item, each) for item, each in zip(value, element_types, strict=True))
    element_type = element_types[0] if element_types else Any
    try:
        return kind(from_data(item, element_type) for item in value)
    except TypeError as error:
        raise ValueError(f"a set cannot hold every element of {text}") from error


def from_data(value: Any, kind: Any) -> Any:
    """Return a value of JSON or TOML as a value of type ``kind``; raise ValueError if it is not one.

    A text is read as `from_text` reads it, unless ``kind`` allows a text.
    """
    kind = _plain(kind)
    if kind is Any or value.__class__ is kind or (isinstance(value, str | date | time) and _fits(value, kind)):
        return value
    if value is None and kind is str:
        raise ValueError("nothing is no text")
    return from_text(value if isinstance(value, str) else json.dumps(value, default=str), kind)


def _json_or_text(text: str) -> Any:
    try:
        return _json(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the text is nested too deeply") from None


def describe_type(kind: Any) -> str:
    """Return what to call ``kind`` in a message: "a whole number", "one of 'a', 'b'"."""
    kind = _plain(kind)
    origin = get_origin(kind) or kind
    origin = _CONCRETE.get(origin, origin)
    if kind is Any or kind is object:
        return "anything"
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(k) for k in get_args(kind))
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if isinstance(origin, type) and issubclass(origin, Enum):
        return f"one of {', '.join(origin.__members__)}"
    return _of_base(origin, _NAMES) or str(getattr(origin, "__name__", origin))


_NAMES: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2026-01-31",
    datetime: "a time such as 2026-01-31T12:00:00+00:00",
    Path: "a path",
    list: "a JSON list",
    tuple: "a JSON list",
    set: "a JSON list",
    frozenset: "a JSON list",
    dict: "a JSON object",
    types.NoneType: "nothing",
}
