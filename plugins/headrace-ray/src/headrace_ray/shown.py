"""What Ray shows in this process of what its workers write.

All that a worker writes goes to a file, from which Ray brings it here, where a thread of its own prints it, and what is
alike only once. What tasks print comes another way, too, with the task run that it is from, and is taken down then.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from headrace.whereabouts import Place, speaking_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["leave_to_tasks", "unheard"]

# The name under which Ray's own printing of what workers write is known to its dispatcher.
_PRINTING: Final = "ray_print_logs"
# What Ray itself says comes the same way, as if from these.
_RAY: Final = ("raylet", "autoscaler")
# How the Ray name of a task ends that is headrace's.
_OURS: Final = re.compile(r" \[[0-9a-f]{10}\]$")


def unheard() -> AbstractContextManager[None]:
    """Let what is printed inside the block be shown, and not be taken down for any run."""
    return speaking_of(Place("of Ray"))


def leave_to_tasks() -> None:
    """Let no run take down what Ray shows of what headrace's tasks write, for as long as Ray is connected.

    Ray has no public way to it: in a version that does it otherwise, such lines are taken down twice.
    """
    dispatcher: Any = getattr(import_module("ray._private.worker"), "global_worker_stdstream_dispatcher", None)
    if dispatcher is None or not hasattr(dispatcher, "handlers"):
        return
    with dispatcher._lock:
        dispatcher.handlers = [(name, _shown(name, handler)) for name, handler in dispatcher.handlers]


def _shown(name: str, handler: Callable[[Any], object]) -> Callable[[Any], object]:
    return _Shown(handler) if name == _PRINTING and not isinstance(handler, _Shown) else handler


class _Shown:
    """Shows what Ray brings, as ``show`` does."""

    def __init__(self, show: Callable[[Any], object]) -> None:
        self._show = show

    def __call__(self, data: Any) -> None:
        if not _is_ours(data):
            self._show(data)
            return
        with unheard():
            self._show(data)


def _is_ours(data: Any) -> bool:
    """Tell whether this is from a task of headrace's, or from a worker of which Ray does not say what it does."""
    if data.get("pid") in _RAY or data.get("actor_name"):
        return False
    name = data.get("task_name")
    return not name or _OURS.search(name) is not None
