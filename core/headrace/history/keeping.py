"""Results on their way into a history: small ones travel with the outcome, large ones go to a result store."""

from __future__ import annotations

import hashlib
import pickle
from functools import cache
from typing import TYPE_CHECKING, Final

from headrace.envelope import digest_in, seal
from headrace.exceptions import TransferError
from headrace.masking import masker
from headrace.remote.pickles import Pickler
from headrace.results import ResultKeeper

if TYPE_CHECKING:
    from headrace.abc import ResultStore, Serializer
    from headrace.engine.worker import Work

__all__ = ["NOTHING", "InlineValue", "KeptLocation", "RecordingKeeper", "folder_of", "kept_at"]

_FOLDER: Final = "recorded"

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


NOTHING: Final = _inline(pickle.dumps(None, pickle.HIGHEST_PROTOCOL))
"""None, which is what most tasks return that are run for what they do."""


class KeptLocation(str):
    """The location of a result where whoever resumes the run looks, unlike those in a store of the task's or run's.

    ``digest`` is that of the serialized value.
    """

    __slots__ = ("digest",)
    digest: bytes

    def __reduce__(self) -> tuple[object, ...]:
        return kept_at, (str(self), self.digest)


def kept_at(location: str, digest: bytes) -> KeptLocation:
    """Return ``location`` as that of a result with ``digest``."""
    kept = KeptLocation(location)
    kept.digest = digest
    return kept


def folder_of(history: str) -> str:
    """Return the folder that the results of a history go to, of which others may share the store.

    ``history`` is what `RunStore.place` says of it.
    """
    return f"{_FOLDER}/{hashlib.blake2b(history.encode(errors='surrogateescape'), digest_size=6).hexdigest()}"


@cache
def _learn_configured_secrets() -> None:
    from headrace import config  # noqa: PLC0415 - read in each process that keeps results

    for value in config.current()["context"]["secrets"].values():
        masker.add(value)


class RecordingKeeper(ResultKeeper):
    """Keeps the results of a run that is recorded and was given no result store of its own.

    What cannot be serialized is not kept, nor is what a secret is known to be in; their tasks are none the worse for
    it: they run again if they have to.
    """

    def __init__(self, store: ResultStore, serializer: Serializer, prefix: str, folder: str = _FOLDER) -> None:
        super().__init__(store, serializer, prefix)
        self._prefix = f"{folder}/{self._prefix}"
        self._pickler = Pickler()

    def keep(self, work: Work, value: object) -> str | None:
        """Return the result as an `InlineValue`, or the location it was stored at, or None for one that is not kept."""
        if value is None:
            return NOTHING
        try:
            data = self._pickler.dump(value, "The result")
        except TransferError:
            return None
        # Another process may have asked for it, and passed it on.
        _learn_configured_secrets()
        if masker.is_in(data):
            return None
        if len(data) <= LARGEST_INLINE:
            return _inline(data)
        location, sealed = self.location_of(work), seal(data)
        self._store.write(location, sealed)
        return kept_at(location, digest_in(sealed))

    def load(self, location: str) -> object:
        """Return the value at ``location``, if it is the one that was kept there."""
        if isinstance(location, KeptLocation):
            return self.load_exactly(location, location.digest)
        return super().load(location)
