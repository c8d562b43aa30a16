"""Claims: what serves one run at a time refuses a second."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from headrace.exceptions import ExecutorError

if TYPE_CHECKING:
    from contextlib import ExitStack

__all__ = ["Claim"]


class Claim:
    """Whether a run has an executor that can serve only one at a time; a pickled copy is free."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Claim], tuple[()]]:
        return type(self), ()

    def take(self, stack: ExitStack) -> None:
        """Take it until ``stack`` is closed; raise ExecutorError, from any thread, if another run has it."""
        if not self._lock.acquire(blocking=False):
            raise ExecutorError("This executor serves another run already.", hint="Make one for each of them.")
        stack.callback(self._lock.release)
