"""Headrace: write tasks, compose them into flows, call ``flow.run()``.

Public names are imported when first used, so ``import headrace`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace import config as config
    from headrace.control_flow import case as case
    from headrace.control_flow import ifelse as ifelse
    from headrace.control_flow import merge as merge
    from headrace.control_flow import switch as switch
    from headrace.edges import flatten as flatten
    from headrace.edges import mapped as mapped
    from headrace.edges import unmapped as unmapped
    from headrace.engine import Engine as Engine
    from headrace.flows import Flow as Flow
    from headrace.mapping import apply_map as apply_map
    from headrace.parameters import DateTimeParameter as DateTimeParameter
    from headrace.parameters import Parameter as Parameter
    from headrace.resources import resource_manager as resource_manager
    from headrace.run_context import context as context
    from headrace.run_context import tags as tags
    from headrace.secrets import Secret as Secret
    from headrace.tasks import Task as Task
    from headrace.tasks import task as task

__version__ = "0.1.0"

_HOMES = {
    "DateTimeParameter": "parameters",
    "Engine": "engine",
    "Flow": "flows",
    "Parameter": "parameters",
    "Secret": "secrets",
    "Task": "tasks",
    "apply_map": "mapping",
    "case": "control_flow",
    "config": "",
    "context": "run_context",
    "flatten": "edges",
    "ifelse": "control_flow",
    "mapped": "edges",
    "merge": "control_flow",
    "resource_manager": "resources",
    "switch": "control_flow",
    "tags": "run_context",
    "task": "tasks",
    "unmapped": "edges",
}

__all__ = [
    "DateTimeParameter",
    "Engine",
    "Flow",
    "Parameter",
    "Secret",
    "Task",
    "__version__",
    "apply_map",
    "case",
    "config",
    "context",
    "flatten",
    "ifelse",
    "mapped",
    "merge",
    "resource_manager",
    "switch",
    "tags",
    "task",
    "unmapped",
]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - this module must stay free to import

    home = _HOMES.get(name)
    if home is None:
        if name in {"signals", "states", "triggers"}:
            return import_module(f"headrace.{name}")
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    if not home:
        return import_module(f"headrace.{name}")
    value = getattr(import_module(f"headrace.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
