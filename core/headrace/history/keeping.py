"""Results on their way into a history: small ones travel with the outcome, large ones go to a result store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.envelope import seal
from headrace.exceptions import TransferError
from headrace.remote.pickles import Pickler
from headrace.results import ResultKeeper

if TYPE_CHECKING:
    from headrace.abc import ResultStore, Serializer
    from headrace.engine.worker import Work

__all__ = ["InlineValue", "KeptLocation", "RecordingKeeper"]

LARGEST_INLINE: Final = 32_768
"""The size in bytes up to which a serialized result is kept in the history itself."""


class InlineValue(str):
    """The location of a result that needs none: ``data`` is the serialized value."""

    __slots__ = ("data",)
    data: bytes

    def __reduce__(self) -> tuple[object, ...]:
        return _inline, (self.data,)


def _inline(data: bytes) -> InlineValue:
    value = InlineValue("")
    value.data = data
    return value


class KeptLocation(str):
    """The location of a result where whoever resumes the run looks, unlike those in a store of the task's or run's."""

    __slots__ = ()


class RecordingKeeper(ResultKeeper):
    """Keeps the results of a run that is recorded and was given no result store of its own.

    What cannot be serialized is not kept, and its task is none the worse for it: it runs again if it has to.
    """

    def __init__(self, store: ResultStore, serializer: Serializer, prefix: str) -> None:
        super().__init__(store, serializer, prefix)
        self._pickler = Pickler()

    def keep(self, work: Work, value: object) -> str | None:
        """Return the result as an `InlineValue`, or the location it was stored at, or None for one that is not kept."""
        try:
            data = self._pickler.dump(value, "The result")
        except TransferError:
            return None
        if len(data) <= LARGEST_INLINE:
            return _inline(data)
        location = self.location_of(work)
        self._store.write(location, seal(data))
        return KeptLocation(location)
