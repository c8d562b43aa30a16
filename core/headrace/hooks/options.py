"""Options for a plugin's factory: known names only, of the annotated types, texts read as those types."""

from __future__ import annotations

import inspect
import os
import types
import typing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from headrace.exceptions import PluginOptionError, nearest

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Option", "checked_options", "known_options"]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_UNION_ORIGINS = (typing.Union, types.UnionType)


class _MisfitError(Exception):
    """A value is not of the expected type. Internal: it becomes a `PluginOptionError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a factory. ``default`` is its repr, or None for an option that must be given."""

    name: str
    type: str
    default: str | None


def known_options(factory: object, args: tuple[object, ...] = ()) -> tuple[Option, ...]:
    """Return the options of a factory that is called with ``args``; nothing for one that does not tell."""
    parameters, _ = _parameters(factory, args)
    hints = _hints(factory, parameters)
    return tuple(
        Option(
            name=name,
            type=_expected(hints.get(name, object)) if name in hints else "anything",
            default=None if parameter.default is parameter.empty else repr(parameter.default),
        )
        for name, parameter in parameters.items()
    )


def checked_options(
    factory: object, label: str, args: tuple[object, ...], options: Mapping[str, object]
) -> dict[str, object]:
    """Return ``options`` with texts read as the annotated types.

    A text stays a text where the annotation allows one. Parameters without an annotation, or with one that cannot be
    evaluated at run time, take anything. Raise `PluginOptionError` for an unknown name, a missing one, or a value of
    another type; ``label`` names the plugin in it.
    """
    parameters, open_ended = _parameters(factory, args)
    for name in options:
        if name not in parameters and not open_ended:
            hint = nearest(name, parameters) or "It takes no options."
            raise PluginOptionError(f"The {label} has no option {name!r}.", hint=hint)
    missing = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    for name in missing:
        if name not in options:
            raise PluginOptionError(f"The {label} needs the option {name!r}.", hint=nearest(name, parameters))
    hints = _hints(factory, parameters)
    return {name: _checked(name, value, hints.get(name, object), label) for name, value in options.items()}


def _parameters(factory: object, args: tuple[object, ...]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters that ``args`` leave over and that have a name to call, and whether others are taken too."""
    try:
        signature = inspect.signature(factory)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # some callables written in C do not tell
        return {}, True
    try:
        taken = signature.bind_partial(*args).arguments
    except TypeError:  # too many arguments: the call itself will say so
        taken = {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {name: each for name, each in signature.parameters.items() if each.kind in kinds and name not in taken}
    return named, any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())


def _hints(factory: object, parameters: Mapping[str, inspect.Parameter]) -> dict[str, object]:
    """Evaluate the annotations one by one, since one that exists only for type checkers must not spoil the others."""
    scope = _scope(factory)
    hints: dict[str, object] = {}
    for name, parameter in parameters.items():
        if parameter.annotation is not parameter.empty:
            holder = types.SimpleNamespace(__annotations__={name: parameter.annotation})
            try:
                hints |= typing.get_type_hints(holder, globalns=scope)
            except Exception:  # noqa: BLE001, S112 - any expression; what cannot be evaluated cannot be checked
                continue
    return hints


def _scope(factory: object) -> dict[str, object]:
    """Return the names of the module in which the factory's signature was written."""
    candidates = ("__init__", "__new__") if isinstance(factory, type) else ("__call__",)
    for function in (factory, *(getattr(factory, name, None) for name in candidates)):
        scope = getattr(inspect.unwrap(function), "__globals__", None) if callable(function) else None
        if isinstance(scope, dict):
            return scope
    return {}


def _checked(name: str, value: object, hint: object, label: str) -> object:
    try:
        return _read(value, hint)
    except _MisfitError:
        found = f"{value!r}" if isinstance(value, str) else f"{value!r}, a {type(value).__name__}"
        raise PluginOptionError(f"Option {name!r} of the {label} expects {_expected(hint)}, and got {found}.") from None


def _read(value: object, hint: object) -> object:
    """Return ``value`` as what a type hint says, or raise `_MisfitError`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _read(value, arguments[0])
    if origin in _UNION_ORIGINS:
        return _read_union(value, arguments)
    if origin is typing.Literal:
        return _read_literal(value, arguments)
    if hint is None or hint is type(None):
        if value is None or value in ("", "none", "None", "null"):
            return None
        raise _MisfitError
    expected = origin or getattr(hint, "__supertype__", hint)
    return _read_class(value, expected) if isinstance(expected, type) else value


def _read_union(value: object, members: tuple[object, ...]) -> object:
    if isinstance(value, str) and str in members:
        return value
    for member in members:
        try:
            return _read(value, member)
        except _MisfitError:
            continue
    raise _MisfitError


def _read_literal(value: object, choices: tuple[object, ...]) -> object:
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return value
    for choice in choices:
        if isinstance(value, str) and value == str(choice):
            return choice
    raise _MisfitError


def _read_class(value: object, expected: type) -> object:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if expected is int and isinstance(value, bool):
        raise _MisfitError
    if _is_instance(value, expected):
        return value
    if issubclass(expected, Path) and isinstance(value, (str, os.PathLike)):
        return expected(os.fspath(value))
    if isinstance(value, str):
        return _read_text(value.strip(), expected)
    raise _MisfitError


def _is_instance(value: object, expected: type) -> bool:
    try:
        return isinstance(value, expected)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def _read_text(text: str, expected: type) -> object:
    if expected is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise _MisfitError
        return text.lower() in _TRUE
    if issubclass(expected, Enum):
        for member in expected:
            if text.lower() in (member.name.lower(), str(member.value).lower()):
                return member
        raise _MisfitError
    if expected not in (int, float):
        raise _MisfitError
    try:
        return expected(text)
    except ValueError:
        raise _MisfitError from None


def _expected(hint: object) -> str:  # noqa: PLR0911 - one line for each form of a type
    """Return a type as messages name it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _expected(arguments[0])
    if origin in _UNION_ORIGINS:
        return " or ".join(_expected(member) for member in arguments)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(repr(str(member.value)) for member in hint)
    if hint is type(None):
        return "None"
    if hint in (object, typing.Any):
        return "anything"
    return hint.__name__ if isinstance(hint, type) and origin is None else str(hint).removeprefix("typing.")
