"""Options for a plugin's factory: known names only, of the annotated types, texts read as those types."""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import dataclass

from headrace.coercion import coerce, describe_type
from headrace.exceptions import PluginOptionError, nearest

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Option", "checked_options", "known_options"]


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
            type=describe_type(hints.get(name, object)),
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
    scope = {**_usual_names(), **_scope(factory)}
    hints: dict[str, object] = {}
    for name, parameter in parameters.items():
        if parameter.annotation is not parameter.empty:
            holder = types.SimpleNamespace(__annotations__={name: parameter.annotation})
            try:
                hints |= typing.get_type_hints(holder, globalns=scope)
            except Exception:  # noqa: BLE001, S112 - any expression; what cannot be evaluated cannot be checked
                continue
    return hints


def _usual_names() -> dict[str, object]:
    """Return names that annotations are written with and that modules import for type checkers alone."""
    import collections.abc  # noqa: PLC0415 - most runs pass no options
    import datetime  # noqa: PLC0415
    import pathlib  # noqa: PLC0415

    found: dict[str, object] = {name: getattr(collections.abc, name) for name in collections.abc.__all__}
    found |= {name: getattr(typing, name) for name in ("Any", "Literal", "Optional", "Union")}
    classes = (datetime.date, datetime.datetime, datetime.timedelta, pathlib.Path)
    found.update((each.__name__, each) for each in classes)
    return found


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
        return coerce(value, hint)
    except ValueError:
        raise PluginOptionError(
            f"Option {name!r} of the {label} expects {describe_type(hint)}, and got {value!r}.", hint=_example(hint)
        ) from None


def _example(hint: object) -> str | None:
    """Return what to say about how to write a list or a table, if ``hint`` tells what is in it."""
    import json  # noqa: PLC0415 - only for an error
    from collections.abc import Collection, Mapping  # noqa: PLC0415

    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    for kind in typing.get_args(hint) if is_union else (hint,):
        origin, members = typing.get_origin(kind), typing.get_args(kind)
        if not isinstance(origin, type) or not issubclass(origin, Collection) or not set(members) <= _SAMPLES.keys():
            continue
        samples = [_SAMPLES[each] for each in members]
        if issubclass(origin, Mapping) and len(samples) == 2:
            example: object = {"name": samples[1]}
        elif not issubclass(origin, Mapping) and len(samples) == 1:
            example = samples
        else:
            continue
        return f"An example: `{json.dumps(example)}`."
    return None


_SAMPLES: dict[object, object] = {str: "name", int: 1, float: 1.5, bool: True}
