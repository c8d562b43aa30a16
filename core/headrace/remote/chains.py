"""Results that are not there yet: what work in a chain is called with until the work before it has ended."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from headrace.references import ResultReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AwaitedResult", "results_of_chain"]


class AwaitedResult(ResultReference):
    """Stands for the result of the work called ``key``, in work that follows on it in a chain.

    A pickle of it becomes the result where it is read inside of `results_of_chain`.
    """

    __slots__ = ("key",)

    length = None
    size = 0
    outlives_run = False

    def __init__(self, key: int) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"<result of work {self.key}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.key,)


_read: ContextVar[Callable[[int], object]] = ContextVar("headrace_chain_results")


@contextmanager
def results_of_chain(read: Callable[[int], object]) -> Iterator[None]:
    """Let each `AwaitedResult` that is unpickled inside the block become what ``read`` returns for its key."""
    token = _read.set(read)
    try:
        yield
    finally:
        _read.reset(token)


def _arrived(key: int) -> object:
    return _read.get()(key)
