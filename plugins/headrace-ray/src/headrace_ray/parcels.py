"""Values as Ray carries them: a pickle and the large buffers beside it, which are never copied into it.

Headrace pickles by itself, since it can say what in a value is in the way, and since what a flow file defines has to
be pickled by value. Ray sees a list of buffers, which it puts into shared memory as they are and maps from there.
"""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.remote.pickles import Pickler, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "Arrivals",
    "Parcel",
    "arrived",
    "arrived_element",
    "arrived_inline",
    "arriving",
    "pack",
    "size_of",
    "unpack",
]

_WHAT = "A result of another task"

Parcel: TypeAlias = "list[Any]"


def pack(pickler: Pickler, value: object, what: str, parts: Mapping[str, object] | None = None) -> Parcel:
    """Return ``value`` as buffers, its pickle first; raise `TransferError` naming what cannot be pickled."""
    buffers: list[Any] = []
    data = pickler.dump(value, what, buffers, parts)
    return [pickle.PickleBuffer(data), *buffers]


def size_of(parcel: Parcel) -> int:
    """Return how many bytes the buffers have."""
    return sum(buffer.raw().nbytes for buffer in parcel)


def unpack(parcel: Parcel, what: str) -> Any:
    """Return the value; raise `TransferError` if it cannot be read here."""
    data, *buffers = parcel
    return load(data, what, buffers)


class Arrivals:
    """The parcels that came beside a call, each read once."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self._parcels = parcels
        self._values: dict[int, Any] = {}

    def value(self, position: int) -> Any:
        """Return what is in the parcel at ``position``."""
        if position not in self._values:
            self._values[position] = unpack(self._parcels[position], _WHAT)
        return self._values[position]


_arrivals: ContextVar[Arrivals] = ContextVar("headrace_ray_arrivals")


@contextmanager
def arriving(parcels: Sequence[Parcel]) -> Iterator[None]:
    """Let references that are unpickled inside the block become what is in ``parcels``."""
    token = _arrivals.set(Arrivals(parcels))
    try:
        yield
    finally:
        _arrivals.reset(token)


def arrived(position: int) -> Any:
    """Return the value that a reference stood for; pickles of calls name this function."""
    return _arrivals.get().value(position)


def arrived_element(position: int, index: int) -> Any:
    """Return the element that a reference stood for; pickles of calls name this function."""
    return _arrivals.get().value(position)[index]


def arrived_inline(data: bytes) -> Any:
    """Return the value that a small result's reference stood for; pickles of calls name this function."""
    return load(data, _WHAT)
