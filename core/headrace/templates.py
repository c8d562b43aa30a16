"""Texts with ``{placeholders}`` that are filled in where a task runs: names of runs, targets, locations.

A placeholder is looked up among the task's arguments first, then in `headrace.context`, then among the parameters.
"""

from __future__ import annotations

from collections import ChainMap
from string import Formatter
from typing import TYPE_CHECKING, Any, cast

from headrace.exceptions import ResultLocationError, TaskDefinitionError, nearest
from headrace.masking import mask
from headrace.run_context import context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_template", "filled", "location_from", "placeholders"]


def filled(template: str, arguments: Mapping[str, Any]) -> str:
    """Return ``template`` with its placeholders replaced; raise KeyError for one that nothing has."""
    # The context looks like enough of a mapping for what a template does with one.
    layers = ChainMap(dict(arguments), cast("dict[str, Any]", context), context.get("parameters") or {})
    return template.format_map(layers)


def location_from(what: str, template: str | Callable[..., str], arguments: Mapping[str, Any]) -> str:
    """Return the location that ``template`` gives here; raise ResultLocationError naming ``what`` if it gives none."""
    location = _location_from(what, template, arguments)
    if mask(location) != location:
        raise ResultLocationError(f"{what} would write a secret into the name of a file.", hint="Leave it out.")
    return location


def _location_from(what: str, template: str | Callable[..., str], arguments: Mapping[str, Any]) -> str:
    if callable(template):
        location: object = template(**_accepted(template, arguments))
        if not isinstance(location, str):
            raise ResultLocationError(f"{what} gave {location!r}; a location is a text.")
        return location
    try:
        return filled(template, arguments)
    except (KeyError, AttributeError, IndexError) as error:
        known = {*arguments, *context.keys(), *(context.get("parameters") or {})}
        name = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise ResultLocationError(
            f"{what} is {template!r}, and nothing here has a value for {name!r}: no argument, nothing in the context, "
            "no parameter.",
            hint=nearest(name, known),
        ) from error
    except (TypeError, ValueError) as error:
        raise ResultLocationError(f"{what} is {template!r}, which cannot be filled in: {error}.") from error


def _accepted(function: Callable[..., object], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``function`` takes of parameters, context and arguments, the later ones winning."""
    from inspect import Parameter, signature  # noqa: PLC0415 - only for locations that a function gives

    wanted = signature(function).parameters.values()
    values = {**(context.get("parameters") or {})}
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in wanted):
        # Making a logger imports logging.
        return {**values, **{key: context[key] for key in context.keys() - {"config", "logger"}}, **arguments}
    for name in (parameter.name for parameter in wanted):
        if name in arguments:
            values[name] = arguments[name]
        elif name in context:
            values[name] = context[name]
    return {parameter.name: values[parameter.name] for parameter in wanted if parameter.name in values}


def check_template(what: str, template: str) -> None:
    """Raise TaskDefinitionError if ``template`` could never be filled in."""
    try:
        names = placeholders(template)
    except ValueError as error:
        raise TaskDefinitionError(f"{what} is {template!r}, which is no template: {error}.") from error
    if not template or any(not name or name.isdigit() for name in names):
        raise TaskDefinitionError(
            f"{what} is {template!r}; expected a text with named placeholders.", hint="Write `{name}`, not `{}`."
        )


def placeholders(template: str) -> set[str]:
    """Return the names between the braces of ``template``; raise ValueError if it is no template."""
    found: set[str] = set()
    for _, field, format_spec, _ in Formatter().parse(template):
        if field is not None:
            found.add(field.partition(".")[0].partition("[")[0])
            found |= placeholders(format_spec or "")
    return found
