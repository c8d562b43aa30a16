"""What tasks ask of the node they run on: ``resources={"gpu": 1}``, or tags such as ``ray-resource:num_gpus=1``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["demands", "lacking"]

_PREFIX: Final = "ray-resource:"
# What Ray has options of its own for, by every name people know it under.
_OPTIONS: Final = {
    "cpu": "num_cpus",
    "gpu": "num_gpus",
    "num_cpus": "num_cpus",
    "num_gpus": "num_gpus",
    "memory": "memory",
}
_TOTALS: Final = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


def demands(task_name: str, tags: Iterable[str], resources: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return the options of the Ray task that a task asks for; raise `TaskDefinitionError` for a wrong tag."""
    wanted = dict(resources or {})
    for tag in sorted(tags):
        if tag.startswith(_PREFIX):
            key, number = _parsed(task_name, tag)
            wanted[key] = number
    options: dict[str, Any] = {}
    for key, number in wanted.items():
        if key.lower() in _OPTIONS:
            options[_OPTIONS[key.lower()]] = number
        else:
            options.setdefault("resources", {})[key] = number
    return options


def _parsed(task_name: str, tag: str) -> tuple[str, float]:
    key, _, text = tag.removeprefix(_PREFIX).rpartition("=")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not key or not math.isfinite(number) or number < 0:
        raise TaskDefinitionError(
            f"Task {task_name!r} has the tag {tag!r}, which says nothing that Ray could look for.",
            hint="Write `ray-resource:KEY=NUMBER`, where KEY is num_cpus, num_gpus, memory (in bytes) or your own.",
        )
    return key, int(number) if number.is_integer() else number


def lacking(options: Mapping[str, Any], nodes: Iterable[Mapping[str, float]]) -> str | None:
    """Return what a task asks for that none of the ``nodes`` has at once, or None if one has all of it."""
    wanted = {_TOTALS[name]: options[name] for name in _TOTALS if name in options} | options.get("resources", {})
    if any(all(node.get(name, 0) >= number for name, number in wanted.items()) for node in nodes):
        return None
    return ", ".join(f"{name}={number:g}" for name, number in sorted(wanted.items()))
