"""The executor ``local``: each task in the thread that called ``flow.run()``, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.abc import Executor
from headrace.plugins import ExecutorSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.engine.worker import Outcome, Work

__all__ = ["LocalExecutor"]


class LocalExecutor(Executor):
    """Runs each task at once, in the calling thread."""

    @property
    def capacity(self) -> int:
        """Return 1: a second piece of work could only wait."""
        return 1

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Run ``work`` and deliver what came of it before returning."""
        deliver(work())


@hookimpl
def headrace_executors() -> list[ExecutorSpec]:
    """Offer the executor."""
    return [
        ExecutorSpec(
            name="local",
            factory="headrace_plugins.local:LocalExecutor",
            summary="One task after the other, in the calling thread.",
        )
    ]
