"""Import strings: ``package.module:Name``, as entry points and specs write them."""

from __future__ import annotations

import re
from importlib import import_module

from headrace.exceptions import PluginError

__all__ = ["import_string"]

_SHAPE = re.compile(r"\s*(?P<module>\w+(?:\.\w+)*)\s*(?::\s*(?P<name>\w+(?:\.\w+)*)\s*)?(?:\[.*\]\s*)?")


def import_string(text: str) -> object:
    """Return the module or the object in it that ``text`` names.

    Raise `PluginError`, with the cause chained, if there is none or if its module raises on import.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise PluginError(f"{text!r} is not of the form 'package.module:Name'")
    try:
        found: object = import_module(shape["module"])
    except Exception as error:  # the module belongs to a plugin, and may raise anything
        raise PluginError(f"importing {shape['module']!r} raised {described(error)}") from error
    for attribute in (shape["name"] or "").split(".") if shape["name"] else ():
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise PluginError(f"{shape['module']!r} has no {shape['name']!r}") from error
    return found


def described(error: BaseException) -> str:
    """Return the type and the message of an exception that is not ours, in one line and without a full stop."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
