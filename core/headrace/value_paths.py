"""How messages name a place inside a value, ``rows["total"][3].connection``, the type of what is there, a function."""

from __future__ import annotations

__all__ = ["attribute_step", "callable_name", "item_step", "shortened", "type_name"]

_LONGEST_KEY = 40
_LONGEST_PATH = 300


def item_step(key: object) -> str:
    """Return how a path goes on to the item under ``key`` of a mapping, or at an index of a sequence."""
    if isinstance(key, str):
        text = key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 1]}…"
        return '["' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"]'
    if isinstance(key, int | float | bool | None) and len(repr(key)) <= _LONGEST_KEY:
        return f"[{key!r}]"
    return f"[<{type_name(type(key))}>]"


def attribute_step(name: str) -> str:
    """Return how a path goes on to an attribute."""
    return f".{name}"


def type_name(kind: type) -> str:
    """Return a class's name, with its module unless everybody knows it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def callable_name(function: object) -> str:
    """Return what its author calls a function; of what has no name, such as a partial, what it wraps or its class."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        return name
    wrapped = getattr(function, "func", None) or getattr(function, "function", None)
    return type(function).__name__ if wrapped is None else callable_name(wrapped)


def shortened(path: str) -> str:
    """Return ``path`` without its middle if it is too long for a message."""
    half = _LONGEST_PATH // 2
    return path if len(path) <= _LONGEST_PATH else f"{path[:half]}…{path[-half:]}"
