"""What stands in a state where the value itself is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

__all__ = ["ReleasedValue", "ResultReference", "StandIn"]


class StandIn:
    """Stands for a value that is elsewhere; `load` returns it, or raises."""

    __slots__ = ()

    def load(self) -> object:
        """Return the value."""
        raise LookupError(f"{type(self).__name__} cannot be loaded.")


class ReleasedValue(StandIn):
    """Stands where a value was dropped; reading it back is up to ``load``, which may raise."""

    __slots__ = ("load",)

    def __init__(self, load: Callable[[], object]) -> None:
        self.load = load  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return "<released>"


class ResultReference(StandIn):
    """Stands for a result that stayed where it was made; what executors with `Capability.KEEPS_RESULTS` deliver.

    Such an executor puts one into each successful state that it delivers, and finds them among the arguments of work,
    also inside of lists, where tasks get the value itself. It is dropped when no task is going to read it any more.

    Attributes:
        size: about how many bytes the value takes.
        length: how many elements it has, if it can be mapped over, or None.
        outlives_run: whether it can be loaded when the executor has been stopped.
    """

    __slots__ = ()

    size: int
    length: int | None
    outlives_run: bool

    def load(self) -> object:
        """Fetch the value; may block. Called from any thread. Raises `ResultError` if it is lost."""
        raise NotImplementedError

    def element(self, index: int) -> ResultReference:
        """Return what stands for one element, which stays where it is."""
        raise NotImplementedError

    @classmethod
    def prefetch(cls, references: Sequence[Self]) -> None:
        """Take note that all of these are going to be loaded next, each once: many may be had for the price of one."""
