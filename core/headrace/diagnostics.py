"""What a report of a problem should have with it, and nothing that is secret."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import headrace
from headrace.exceptions import HeadraceError
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.flows import Flow

__all__ = ["diagnostics"]

_PREFIX: Final = "HEADRACE__"
_SECRET_VARIABLE: Final = "HEADRACE__CONTEXT__SECRETS__"  # noqa: S105 - a name
_SECRET_KEY: Final = "context.secrets."  # noqa: S105 - a name
_MASK: Final = "********"
_DEPENDENCIES: Final = (
    "click",
    "cloudpickle",
    "importlib-metadata",
    "networkx",
    "pendulum",
    "pluggy",
    "rich",
    "toml",
)


def diagnostics(
    flow: Flow | None = None, *, include_secret_names: bool = False, environ: Mapping[str, str] | None = None
) -> str:
    """Return JSON text about this installation, its configuration and ``flow``.

    Values of the configuration and of the environment are left out; so are the names of secrets unless
    ``include_secret_names``. Plugins are listed from their metadata and not imported.
    """
    report: dict[str, Any] = {
        "headrace": headrace.__version__,
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "platform": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "dependencies": _dependencies(),
        "plugins": _plugins(),
        "config_overrides": _overrides(include_secret_names),
        "environment": _variables(os.environ if environ is None else environ, include_secret_names),
    }
    if flow is not None:
        report["flow"] = _about(flow)
    return json.dumps(report, indent=2, ensure_ascii=False)


def _dependencies() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import

    found: dict[str, str | None] = {}
    for name in _DEPENDENCIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _plugins() -> dict[str, Any]:
    from headrace.hooks.scan import scan  # noqa: PLC0415 - reads metadata

    found = scan()
    return {
        "found": [
            {"kind": r.kind, "name": r.name, "distribution": r.distribution, "version": r.version}
            for r in found.records
        ],
        # The place of broken metadata is a path of this machine.
        "broken": [failure.reason for failure in found.failures],
    }


def _overrides(include_secret_names: bool) -> dict[str, Any]:
    """Return, for each key that is not a default, a mask and what kind of place sets it."""
    from headrace import config  # noqa: PLC0415 - read when it is asked for

    try:
        sources = config.current().sources()
    except HeadraceError as error:
        return {"error": type(error).__name__}
    changed = {key: source for key, source in sources.items() if source != "default"}
    names = _masked(changed, _SECRET_KEY, include_secret_names)
    return {
        name: {"value": _MASK, "source": _place(changed[key])} for name, key in sorted(zip(names, changed, strict=True))
    }


def _place(source: str) -> str:
    if source.startswith(_PREFIX):
        return "environment"
    return "code" if source == "set_temporary_config" else "file"


def _variables(environ: Mapping[str, str], include_secret_names: bool) -> list[str]:
    found = (name for name in environ if name.startswith(_PREFIX))
    return sorted(set(_masked(found, _SECRET_VARIABLE, include_secret_names)))


def _masked(names: Iterable[str], prefix: str, include_secret_names: bool) -> Iterator[str]:
    for name in names:
        hidden = name.startswith(prefix) and not include_secret_names
        yield f"{prefix}{_MASK}" if hidden else name


def _about(flow: Flow) -> dict[str, Any]:
    schedule = flow.schedule
    return {
        "name": flow.name,
        "executor": flow.executor if isinstance(flow.executor, str | None) else type_name(type(flow.executor)),
        "schedule": None if schedule is None else [type(clock).__name__ for clock in schedule.clocks],
        "keeps_results": flow.results is not None,
        "state_handlers": len(flow.state_handlers),
        "task_count": len(flow.tasks),
        "task_types": dict(Counter(type_name(type(task)) for task in flow.tasks).most_common()),
        "edge_count": len(flow.edges),
        "mapped_edge_count": sum(edge.mapped for edge in flow.edges),
        "parameters": [
            {"name": parameter.name, "required": parameter.required}
            for parameter in sorted(flow.parameters(), key=lambda parameter: parameter.name)
        ],
        "interactive": hasattr(sys, "ps1"),
    }
