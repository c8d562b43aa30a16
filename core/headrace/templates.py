"""Texts with ``{placeholders}`` that are filled in where a task runs: names of runs, targets, locations.

A placeholder is looked up among the task's arguments first, then in `headrace.context`, then among the parameters.
"""

from __future__ import annotations

from collections import ChainMap
from pathlib import PurePosixPath
from string import Formatter
from typing import TYPE_CHECKING, Any, cast

from headrace.exceptions import ResultLocationError, TaskDefinitionError, TaskRunError, describe, nearest
from headrace.masking import mask
from headrace.run_context import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.exceptions import HeadraceError

__all__ = ["check_template", "filled", "location_from", "placeholders", "run_name_from"]


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
    path = PurePosixPath(location)
    if path.is_absolute() or ".." in path.parts:
        made = isinstance(template, str) and location != template
        said = f"{what} is {template!r}, which makes" if made else f"{what} is"
        raise ResultLocationError(
            f"{said} {location!r}, and that is not inside of its store.",
            hint="Use a relative path without `..`; where the store is, `result=` or `results=` says.",
        )
    return location


def _location_from(what: str, template: str | Callable[..., str], arguments: Mapping[str, Any]) -> str:
    if callable(template):
        location: object = template(**_accepted(template, arguments))
        if not isinstance(location, str):
            raise ResultLocationError(f"{what} gave {location!r}; a location is a text.")
        return location
    return _filled(what, template, arguments, context.keys(), ResultLocationError)


def run_name_from(task: str, template: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of a run of ``task``; raise TaskRunError for a placeholder that nothing has."""
    # What the context has is not listed: it has this very name.
    return _filled(f"The `task_run_name` of task {task!r}", template, arguments, (), TaskRunError)


def _filled(
    what: str, template: str, arguments: Mapping[str, Any], known: Iterable[str], failure: type[HeadraceError]
) -> str:
    try:
        return filled(template, arguments)
    except (KeyError, AttributeError, IndexError) as error:
        name = str(error.args[0]) if error.args else ""
        if not isinstance(error, KeyError) or name not in placeholders(template):
            raise failure(f"{what} is {template!r}, which cannot be filled in: {describe(error)}.") from error
        raise failure(
            f"{what} is {template!r}, and nothing here has a value for {name!r}: no argument, nothing in the context, "
            "no parameter.",
            hint=nearest(name, {*arguments, *known, *(context.get("parameters") or {})}),
        ) from error
    except (TypeError, ValueError) as error:
        raise failure(f"{what} is {template!r}, which cannot be filled in: {error}.") from error


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
