"""Warnings about what looks right where a flow is written, and is not."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = ["OPTIONS", "preset_options", "warn_of_copy", "warn_of_preset_options", "warns_of_tasks"]

_STORAGE: Final = frozenset({"cache_for", "cache_key", "cache_validator", "result", "serializer", "target"})
OPTIONS: Final = _STORAGE | {
    "checkpoint",
    "log_stdout",
    "max_retries",
    "name",
    "nout",
    "retry_delay",
    "retry_on",
    "skip_on_upstream_skip",
    "slug",
    "state_handlers",
    "tags",
    "task_run_name",
    "timeout",
    "trigger",
}
"""The attributes of a task that its constructor sets."""


def warns_of_tasks(init: Callable[..., None]) -> Callable[..., None]:
    """Let ``init``, the constructor of a class of tasks, warn when it is given a task, whose result it cannot use."""

    @functools.wraps(init)
    def __init__(self: Task, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
        cls = type(self)
        if cls.__init__ is __init__:
            for value in (*args, *kwargs.values()):
                if hasattr(value, "signature_of_run"):
                    message = (
                        f"{cls.__name__} was given {value!r} where it is made, before any task has run. "
                        f"Give the task to the call, which takes its result: `{cls.__name__}(...)(...)`."
                    )
                    warnings.warn(message, UserWarning, stacklevel=2)
        init(self, *args, **kwargs)

    return __init__


def preset_options(task: Task, of_class: frozenset[str]) -> dict[str, Any]:
    """Return the options that are attributes of ``task`` before the constructor of `headrace.Task` begins."""
    found = {name: getattr(type(task), name) for name in of_class}
    found.update((name, value) for name, value in vars(task).items() if name in OPTIONS)
    for name in _STORAGE:
        # Their place is not among the attributes of the task itself.
        vars(task).pop(name, None)
    return found


def warn_of_preset_options(task: Task, preset: Mapping[str, Any]) -> None:
    """Warn of options that the constructor has set to something else than what they were ``preset`` to."""
    for name, value in preset.items():
        now = getattr(task.storage, name, None) if name in _STORAGE else getattr(task, name)
        if now is not value and now != value:
            message = (
                f"{type(task).__name__} sets `{name}` to {value!r} before it calls the constructor of Task, which sets "
                f"it to {now!r}. Pass it on, `super().__init__({name}=...)`, or set it afterwards."
            )
            warnings.warn(message, UserWarning, stacklevel=3)


def warn_of_copy(task: Task, flow: Flow) -> None:
    """Warn that a copy of ``task`` has none of its dependencies in ``flow``, if it has any."""
    if flow.graph.edges_to(task) or flow.graph.edges_from(task):
        message = (
            f"The copy of {task!r} has none of the dependencies that it has in flow {flow.name!r}. "
            "A call copies; `bind` and `set_dependencies` connect the task itself."
        )
        warnings.warn(message, UserWarning, stacklevel=3)
