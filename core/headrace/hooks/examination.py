"""What `headrace.hooks.doctor` runs in an interpreter of its own.

It imports little, so that what the plugin imports is counted.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter
from typing import NoReturn

from headrace.exceptions import PluginError
from headrace.hooks.imports import import_string
from headrace.hooks.kinds import KINDS, OBSERVER
from headrace.hooks.policy import PluginPolicy
from headrace.hooks.registry import Registry
from headrace.hooks.scan import PluginRecord

__all__ = ["answer", "examined"]


def answer(fields: dict[str, str]) -> NoReturn:
    """Examine the plugin of a record, print what was found as JSON and end this interpreter."""
    # The answer goes to where stdout leads now; whatever the plugin prints goes to stderr.
    with os.fdopen(os.dup(1), "w") as stream:
        os.dup2(2, 1)
        json.dump(examined(PluginRecord(**fields)), stream)
    os._exit(0)  # threads that the plugin has left running must not hold up the answer


def examined(record: PluginRecord) -> dict[str, object]:
    """Import the plugin of a record under a clock and return the findings by the names they have in a diagnosis."""
    # Strict, so that what is wrong with an observer is raised.
    registry = Registry([record], policy=PluginPolicy(strict=True))
    findings: dict[str, object] = {"import_ms": None, "module_count": None, "api": None, "hooks": [], "problems": []}
    before, start = set(sys.modules), perf_counter()
    try:
        plugin = import_string(record.value)
    except PluginError as error:
        return findings | {"problems": [_sentence(error)]}
    findings["import_ms"] = round((perf_counter() - start) * 1000, 1)
    findings["module_count"] = len(set(sys.modules) - before)
    api = getattr(plugin, "HEADRACE_API", 1)
    findings["api"] = api if isinstance(api, int) else None
    findings["hooks"] = registry.manager.hooks(plugin)
    problems = list(registry.manager.problems(plugin)) or _load_problems(registry, record)
    return findings | {"problems": list(map(_sentence, problems))}


def _load_problems(registry: Registry, record: PluginRecord) -> list[PluginError]:
    if record.kind != OBSERVER and record.kind not in KINDS:
        return [PluginError(f"headrace does not use the group {record.group}")]
    try:
        if record.kind == OBSERVER:
            registry.load_observers()
        else:
            registry.resolve(record.kind, record.name)
    except PluginError as error:
        return [error]
    return []


def _sentence(error: PluginError) -> str:
    text = error.message.rstrip(".")
    text = f"{text[0].upper()}{text[1:]}."
    # The usual hint of a load error sends people to the doctor.
    return f"{text} {error.hint}" if error.hint and "plugins doctor" not in error.hint else text
