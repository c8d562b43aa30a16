"""What has to be the same in the process that drives a run and in those that work for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Environment", "differences", "environment", "question"]

Environment: TypeAlias = "Mapping[str, str | None]"
"""Versions by what they are of; None is for a distribution that is not installed."""

_ALWAYS: Final = ("headrace", "headrace-dask", "cloudpickle")
_PYTHON: Final = "Python"
# What is compatible as long as these many of its numbers are the same.
_NUMBERS: Final = {_PYTHON: 2, "cloudpickle": 2}


def question(names: Iterable[str] = ()) -> str:
    """Return an expression for the environment of whoever evaluates it, whichever Python that is.

    ``names`` are of distributions that have to be the same beside those that always have; an environment will do.

    It is sent as text, because a process that lacks a distribution, or has another Python, cannot be asked otherwise.
    """
    asked = json.dumps(sorted({*_ALWAYS, *names} - {_PYTHON}))
    version = (
        "next((str(each.version) for each in __import__('importlib.metadata').metadata.distributions(name=name)), None)"
    )
    python = "'.'.join(map(str, __import__('sys').version_info[:3]))"
    return f"{{{_PYTHON!r}: {python}, **{{name: {version} for name in {asked}}}}}"


def environment(names: Iterable[str] = ()) -> dict[str, str | None]:
    """Return the environment of this process."""
    found: dict[str, str | None] = eval(question(names))  # noqa: S307 - the expression above
    return found


def differences(here: Environment, there: Environment) -> list[str]:
    """Return what keeps two environments from working together, a phrase each."""
    found = []
    for name, version in here.items():
        other = there.get(name)
        if _essence(name, version) != _essence(name, other):
            found.append(f"{name} is {version or 'missing'} here and {other or 'missing'} there")
    return found


def _essence(name: str, version: str | None) -> Any:
    if version is None or name not in _NUMBERS:
        return version
    return version.split(".")[: _NUMBERS[name]]
