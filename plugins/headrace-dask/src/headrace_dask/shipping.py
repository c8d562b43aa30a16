"""Arguments on their way to a worker: what stands for results is filled in where the task runs.

While a call is pickled, what stands for a value that is on the cluster notes that it is needed, and is pickled as the
place it has among all that is needed. Dask brings these values to the worker, and there the place becomes the value.
"""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Needs", "element_of", "lent", "needs", "noted", "supplied", "supply", "supplying", "unpacked", "whole"]

T = TypeVar("T")

_WHOLE: Final = -1


class Needs(Generic[T]):
    """What a call needs of the cluster, each thing once, in the order of its places."""

    __slots__ = ("_places", "things")

    def __init__(self) -> None:
        self.things: list[T] = []
        self._places: dict[int, int] = {}

    def place(self, thing: T) -> int:
        """Return the place of a thing, which gets one if it has none."""
        place = self._places.setdefault(id(thing), len(self.things))
        if place == len(self.things):
            self.things.append(thing)
        return place


_needs: ContextVar[Needs[Any] | None] = ContextVar("headrace_dask_needs", default=None)
_supplies: ContextVar[Sequence[Any]] = ContextVar("headrace_dask_supplies", default=())


@contextmanager
def noted() -> Iterator[Needs[Any]]:
    """Note what is needed by that which is pickled inside the block."""
    found: Needs[Any] = Needs()
    token = _needs.set(found)
    try:
        yield found
    finally:
        _needs.reset(token)


def needs() -> Needs[Any]:
    """Return where to note what is needed; raise TypeError where nothing is being sent to the cluster."""
    found = _needs.get()
    if found is None:
        raise TypeError("what stands for a result on the Dask cluster can only be pickled on its way there")
    return found


@contextmanager
def supplying(values: Sequence[Any]) -> Iterator[None]:
    """Fill in ``values``, in the order of their places, in what is unpickled inside the block."""
    token = _supplies.set(values)
    try:
        yield
    finally:
        _supplies.reset(token)


def whole() -> int:
    """Return the index that stands for all of a value."""
    return _WHOLE


def supply(place: int) -> Any:
    """Return the value at a place."""
    return _supplies.get()[place]


def supplied(place: int, index: int) -> Any:
    """Return the value at a place, or one element of it."""
    return element_of(supply(place), index)


def lent(place: int) -> Any:
    """Return the value of the pickle at a place."""
    return pickle.loads(supply(place))


def unpacked(data: bytes, index: int) -> Any:
    """Return the value of a pickle that travelled with the call, or one element of it."""
    return element_of(pickle.loads(data), index)


def element_of(value: Any, index: int) -> Any:
    """Return the element that iterating comes to after ``index`` others, or the whole value."""
    if index == _WHOLE:
        return value
    return value[index] if hasattr(value, "__getitem__") else next(islice(iter(value), index, None))
