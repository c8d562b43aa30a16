"""What stands for the result of a task, in the process that drives the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from headrace.abc import ResultReference
from headrace.exceptions import ResultError, describe
from headrace.remote.pickles import load
from headrace_dask.shipping import element_of, needs, supplied, unpacked, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributed import Future

__all__ = ["Again", "DaskReference", "Kept", "Lender", "Missing", "SmallResult", "unavailable"]

# An element that is larger travels by itself, a smaller one with the whole of which it is a part.
_LARGE_ELEMENT: Final = 65_536


class Missing:
    """Stands for a value that cannot be had."""

    __slots__ = ("error",)

    def __init__(self, error: ResultError) -> None:
        self.error = error


class Lender(ABC):
    """What can fetch values from the cluster; `headrace_dask.session.Session` is one."""

    @abstractmethod
    def fetch(self, kept: Sequence[Kept]) -> list[Any | Missing]:
        """Return values, each or why it cannot be had."""


class Again(NamedTuple):
    """What makes a value on the cluster: a function, and what makes the data that it is called with."""

    function: Callable[[bytes], Any]
    data: Callable[[], bytes]


class Kept:
    """One value on the cluster, shared by all that stands for it or for a part of it.

    Attributes:
        label: what messages call it.
        future: what Dask knows it by; None until there is one.
        lost: why it is gone, if it is.
        again: what makes it on the cluster, for the first time or if it is lost, if anything can.
        origin: for an element, the value that it is an element of, and the index.
        basis: for an element, what Dask knew that value by when the element was taken.
    """

    __slots__ = ("__weakref__", "again", "basis", "future", "label", "lost", "origin")

    def __init__(self, label: str, future: Future | None, *, origin: tuple[Kept, int] | None = None) -> None:
        self.label = label
        self.future = future
        self.lost: str | None = None
        self.again: Again | None = None
        self.origin = origin
        self.basis: Future | None = None

    def depends_on(self, other: Kept) -> bool:
        """Tell whether this is ``other``, or made of it."""
        return self is other or (self.origin is not None and self.origin[0].depends_on(other))

    def check(self) -> None:
        """Note if it is lost, or what it is made of: as far as Dask has told this process."""
        if self.future is not None and self.future.cancelled():
            self.lost = self.lost or "the cluster does not have it any more"
        if self.origin is not None:
            self.origin[0].check()


class DaskReference(ResultReference):
    """Stands for a result, or an element of one, that stays on the Dask cluster."""

    __slots__ = ("_fetched", "_index", "_kept", "_lender", "length", "outlives_run", "size")

    def __init__(
        self, lender: Lender, kept: Kept, size: int, length: int | None, *, index: int | None = None, outlives_run: bool
    ) -> None:
        self._lender = lender
        self._kept = kept
        self._index = whole() if index is None else index
        self._fetched: list[Any] = []
        self.size = size
        self.length = length
        self.outlives_run = outlives_run

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._kept.label}>"

    @property
    def future(self) -> Future | None:
        """What Dask knows the value by: for an element, the value that it is an element of."""
        return self._kept.future

    def load(self) -> object:
        if not self._fetched:
            self._fetched = self._lender.fetch([self._kept])
        value = self._fetched.pop()
        if isinstance(value, Missing):
            raise value.error
        return element_of(value, self._index)

    def element(self, index: int) -> DaskReference:
        size = self.size // max(1, self.length or 1)
        if size >= _LARGE_ELEMENT:
            kept = Kept(f"element {index} of {self._kept.label}", None, origin=(self._kept, index))
            return DaskReference(self._lender, kept, size, None, outlives_run=self.outlives_run)
        return DaskReference(self._lender, self._kept, size, None, index=index, outlives_run=self.outlives_run)

    @classmethod
    def prefetch(cls, references: Sequence[Self]) -> None:
        # All of one run, so all of one cluster.
        lender = references[0]._lender
        for reference, value in zip(references, lender.fetch([each._kept for each in references]), strict=True):
            reference._fetched = [value]

    def __reduce__(self) -> tuple[Any, ...]:
        return supplied, (needs().place(self._kept), self._index)


class SmallResult(ResultReference):
    """Stands for a result that is here as a pickle, which is read only where the value is wanted."""

    __slots__ = ("_data", "_index", "_label", "length", "outlives_run", "size")

    def __init__(self, label: str, data: bytes, length: int | None, index: int | None = None) -> None:
        self._label = label
        self._data = data
        self._index = whole() if index is None else index
        self.size = len(data)
        self.length = length
        self.outlives_run = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._label}>"

    def load(self) -> object:
        return element_of(load(self._data, self._label), self._index)

    def element(self, index: int) -> SmallResult:
        return SmallResult(f"element {index} of {self._label}", self._data, None, index)

    def __reduce__(self) -> tuple[Any, ...]:
        needs()
        return unpacked, (self._data, self._index)


def unavailable(kept: Kept, error: BaseException | str) -> ResultError:
    """Return the error for a value that cannot be had."""
    reason = error if isinstance(error, str) else describe(error)
    return ResultError(
        f"{kept.label[0].upper()}{kept.label[1:]} cannot be had: {reason}.",
        hint='Keep results in a store, `results="file:..."`: what is lost on the cluster is then read back from there.',
    )
