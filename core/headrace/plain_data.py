"""Python values as plain data that JSON can hold, and back.

None, numbers, texts, lists and dictionaries with texts for keys are written as they are; everything else as a
dictionary that says under ``"$"`` what it is. Functions and classes are written as the name to import them by.
Reading plain data imports the modules that it names: read only what you trust.
"""

from __future__ import annotations

import base64
import json
import math
import operator
import sys
import types
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import reduce
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from headrace.dataclass_fields import fields_of
from headrace.exceptions import HeadraceError, SerializationError
from headrace.value_paths import attribute_step, item_step, shortened, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["from_plain", "import_name", "imported", "opaque", "to_plain"]

_MARK: Final = "$"
_EXACT: Final = frozenset({type(None), bool, int, str})
_SEQUENCES: Final[Mapping[str, Callable[[Any], Any]]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_TIMES: Final[Mapping[str, type[Any]]] = {"datetime": datetime, "date": date, "time": time}


def to_plain(value: object, place: str = "it") -> Any:
    """Return ``value`` as plain data; raise SerializationError naming the place in ``value`` that cannot be written."""
    try:
        return _written(value, place)
    except RecursionError:
        raise SerializationError(f"{place} cannot be written: it is nested too deeply, or holds itself.") from None


def opaque(value: object) -> dict[str, str]:
    """Return what stands for a value that cannot be written."""
    return {_MARK: "opaque", "type": type_name(type(value))}


def _written(value: Any, place: str) -> Any:
    kind = type(value)
    if kind in _EXACT:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_MARK: "float", "value": repr(value)}
    if kind is list:
        return [_written(item, place + item_step(i)) for i, item in enumerate(value)]
    if kind is dict:
        return _written_dictionary(value, place)
    if kind.__name__ in _SEQUENCES and kind is _SEQUENCES[kind.__name__]:
        items = [_written(item, place + item_step(i)) for i, item in enumerate(value)]
        return {_MARK: kind.__name__, "items": items if kind is tuple else sorted(items, key=json.dumps)}
    return _written_scalar(value, place)


def _written_dictionary(value: dict[Any, Any], place: str) -> Any:
    if all(type(key) is str for key in value) and _MARK not in value:
        return {key: _written(item, place + item_step(key)) for key, item in value.items()}
    pairs = [[_written(key, place), _written(item, place + item_step(key))] for key, item in value.items()]
    return {_MARK: "dict", "items": pairs}


def _written_scalar(value: Any, place: str) -> dict[str, Any]:
    kind = type(value)
    if kind is bytes:
        return {_MARK: "bytes", "value": base64.b64encode(value).decode()}
    if kind is timedelta:
        return {_MARK: "timedelta", "microseconds": value // timedelta(microseconds=1)}
    if kind.__name__ in _TIMES and kind is _TIMES[kind.__name__]:
        return _written_time(value, place)
    if isinstance(value, PurePath):
        return {_MARK: "path", "value": value.as_posix()}
    name = import_name(value)
    return _written_object(value, place) if name is None else {_MARK: "import", "name": name}


def _written_object(value: Any, place: str) -> dict[str, Any]:
    arguments = get_args(value)
    if arguments:
        return _written_generic(value, arguments, place)
    kind = type(value)
    name = import_name(kind) if is_dataclass(kind) else None
    if name is None:
        raise SerializationError(f"{shortened(place)} cannot be written: it is of type {type_name(kind)}.")
    fields = {key: _written(item, place + attribute_step(key)) for key, item in fields_of(value).items()}
    return {_MARK: "dataclass", "type": name, "fields": fields}


def _written_time(value: Any, place: str) -> dict[str, Any]:
    # ISO 8601 keeps the offset; the name of a zone, which later moments would need, is written beside it.
    zone = getattr(value, "tzinfo", None)
    key = getattr(zone, "key", None)
    if zone is not None and key is None and zone.utcoffset(None) is None:
        raise SerializationError(f"{shortened(place)} cannot be written: its time zone {zone!r} has no name.")
    record = {_MARK: type(value).__name__, "value": value.isoformat()}
    return record if key is None else {**record, "zone": key}


def _written_generic(value: Any, arguments: tuple[Any, ...], place: str) -> dict[str, Any]:
    """Write a type such as ``list[int]``, ``int | None`` or ``Literal["a"]``."""
    origin = get_origin(value)
    record = {_MARK: "type", "arguments": [_written(argument, place) for argument in arguments]}
    if origin is types.UnionType:
        return {**record, "origin": "union"}
    name = getattr(origin, "_name", None)
    return {**record, "origin": f"typing:{name}" if name else to_plain(origin, place)["name"]}


def import_name(value: Any) -> str | None:
    """Return the ``module:name`` under which ``value`` itself is found now, or None."""
    if value is None.__class__:
        return "types:NoneType"
    module, name = _claimed_name(value)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found = _attribute(sys.modules.get(module), name)
    return f"{module}:{name}" if found is value or _decorated(found, name) is value else None


def _claimed_name(value: Any) -> tuple[object, object]:
    """Return the module and the name that an object says it has."""
    kind = type(value)
    if isinstance(value, Enum):
        return kind.__module__, f"{kind.__qualname__}.{value.name}"
    if hasattr(value, "__qualname__"):
        return getattr(value, "__module__", None), value.__qualname__
    try:
        # An object of which there is only one says by which name it is pickled.
        return getattr(value, "__module__", kind.__module__), value.__reduce__()
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything, and says so of most objects
        return None, None


def _decorated(found: Any, name: str) -> Any:
    """Return the function or class of a name, which a decorator made into a task or a resource manager."""
    for attribute in ("run", "resource_class"):
        own = getattr(found, attribute, None)
        if getattr(own, "__qualname__", None) == name:
            return own
    return found


def _attribute(module: Any, name: str) -> Any:
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError:
        return None


def imported(name: str) -> Any:
    """Return what ``module:name`` names, importing the module; raise SerializationError if there is nothing."""
    module, _, path = name.partition(":")
    try:
        found = _attribute(import_module(module), path)
    except Exception as error:  # importing a module runs it, so it may raise anything
        raise SerializationError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    if found is None:
        raise SerializationError(f"{name} cannot be imported: module {module!r} has no {path!r}.")
    return found


def from_plain(record: Any) -> Any:
    """Return the value that `to_plain` wrote; raise SerializationError for anything else."""
    if isinstance(record, list):
        return [from_plain(item) for item in record]
    if not isinstance(record, dict):
        return record
    if _MARK not in record:
        return {key: from_plain(item) for key, item in record.items()}
    try:
        return _read(record[_MARK], record)
    except HeadraceError:
        raise
    except (AttributeError, ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise SerializationError(f"A value of kind {record[_MARK]!r} cannot be read: {error!r}.") from error


def _read(kind: str, record: dict[str, Any]) -> Any:
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](from_plain(record["items"]))
    if kind in _TIMES:
        return _read_time(kind, record)
    reader = _READERS.get(kind)
    if reader is None:
        raise SerializationError(f"A value of kind {kind!r} cannot be read.")
    return reader(record)


def _read_time(kind: str, record: dict[str, Any]) -> Any:
    moment: Any = _TIMES[kind].fromisoformat(record["value"])
    if "zone" not in record:
        return moment
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - for few values

    zone = ZoneInfo(record["zone"])
    return moment.astimezone(zone) if kind == "datetime" else moment.replace(tzinfo=zone)


def _read_opaque(record: dict[str, Any]) -> Any:
    raise SerializationError(f"A value of type {record['type']} could not be written.")


def _read_import(record: dict[str, Any]) -> Any:
    return _decorated(imported(record["name"]), record["name"].partition(":")[2])


def _read_type(record: dict[str, Any]) -> Any:
    arguments = tuple(from_plain(argument) for argument in record["arguments"])
    if record["origin"] == "union":
        return reduce(operator.or_, arguments)
    return imported(record["origin"])[arguments]


def _read_dataclass(record: dict[str, Any]) -> Any:
    kind = imported(record["type"])
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise SerializationError(f"{record['type']} is not a dataclass.")
    return kind(**from_plain(record["fields"]))


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "bytes": lambda record: base64.b64decode(record["value"], validate=True),
    "dataclass": _read_dataclass,
    "dict": lambda record: {from_plain(key): from_plain(item) for key, item in record["items"]},
    "float": lambda record: float(record["value"]),
    "import": _read_import,
    "opaque": _read_opaque,
    "path": lambda record: _path(record["value"]),
    "timedelta": lambda record: timedelta(microseconds=record["microseconds"]),
    "type": _read_type,
}


def _path(text: str) -> PurePath:
    from pathlib import Path  # noqa: PLC0415 - for few values

    return Path(text)
