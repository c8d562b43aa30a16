"""The serializer ``json``: values that JSON gives back exactly as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.abc import Serializer
from headrace.plugins import SerializerSpec, hookimpl
from headrace.value_paths import item_step, shortened, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["JsonSerializer"]

_SIMPLE: Final = frozenset({type(None), bool, int, str})
_KNOWN: Final = _SIMPLE | {list, dict}
_HINTS: Final = {
    tuple: "return a list",
    set: "return a sorted list",
    frozenset: "return a sorted list",
    bytes: "return a text",
    float: "return None for it",
}


@dataclass(frozen=True)
class JsonSerializer(Serializer):
    """Writes None, numbers, texts, lists, and dictionaries with texts for keys, as UTF-8 encoded JSON.

    Anything else is a TypeError that names the place: a tuple would come back as a list, a date as a text.
    """

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as JSON; raise TypeError, or ValueError if it holds itself or is nested too deeply."""
        try:
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        except RecursionError:
            raise ValueError("The value is nested too deeply for JSON.") from None
        except (TypeError, ValueError) as error:
            _check(value, circles=True)
            raise ValueError(f"The value cannot be written as JSON: {error}") from error
        _check(value)
        return text.encode()

    def deserialize(self, data: bytes) -> object:
        """Return the value; raise ValueError if ``data`` is not JSON."""
        found: object = json.loads(data)
        return found


class _Place(NamedTuple):
    """A container on the way, and how it was reached."""

    value: Any
    above: _Place | None
    key: object


def _check(value: object, *, circles: bool = False) -> None:
    """Raise TypeError for the first thing in ``value`` that JSON does not have; with ``circles`` look for these too."""
    stack = [_Place(value, None, None)]
    while stack:
        place = stack.pop()
        _check_type(place)
        if circles:
            _check_circle(place)
        stack.extend(_children(place))


def _children(place: _Place) -> list[_Place]:
    """Return what a container holds, but for what is sure to be fine; the last first."""
    container = place.value
    if type(container) is dict:
        _check_keys(place)
        items: Iterable[tuple[object, Any]] = container.items()
    elif type(container) is list:
        if set(map(type, container)) <= _SIMPLE:
            return []
        items = enumerate(container)
    else:
        return []
    return [_Place(child, place, key) for key, child in items if type(child) not in _SIMPLE][::-1]


def _check_keys(place: _Place) -> None:
    for key in place.value:
        if type(key) is not str:
            raise TypeError(f"{_path(place)} has a key of type {type_name(type(key))}; the keys of JSON are texts.")


def _check_type(place: _Place) -> None:
    value = place.value
    kind = type(value)
    if not (isfinite(value) if kind is float else kind in _KNOWN):
        what = repr(value) if kind is float else f"of type {type_name(kind)}"
        hint = f"; {_HINTS[kind]}" if kind in _HINTS else ""
        raise TypeError(f"{_path(place)} is {what}, which JSON does not have{hint}.")


def _check_circle(place: _Place) -> None:
    above = place.above
    while above is not None:
        if above.value is place.value:
            raise ValueError(f"{_path(place)} is what it lies in: JSON cannot hold a value that holds itself.")
        above = above.above


def _path(place: _Place) -> str:
    steps: list[str] = []
    at: _Place | None = place
    while at is not None and at.above is not None:
        steps.append(item_step(at.key))
        at = at.above
    return shortened("value" + "".join(reversed(steps)))


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer the serializer."""
    return [
        SerializerSpec(
            name="json",
            factory="headrace_plugins.json:JsonSerializer",
            summary="Plain values as JSON; refuses what would not come back as it was.",
        )
    ]
