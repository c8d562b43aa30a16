"""Results in a store: each under a location of its own, with a digest that is checked when it is read back."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from headrace.exceptions import ResultError

if TYPE_CHECKING:
    from headrace.abc import ResultStore, Serializer
    from headrace.engine.worker import Work

__all__ = ["ResultKeeper"]

_MAGIC = b"headrace-result 1\n"
_DIGEST_SIZE = 32
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 100


class ResultKeeper:
    """Writes the results of one run to a store and reads them back. Used from any thread.

    What is stored is a magic line, the BLAKE2b digest of the rest, and the serialized value.
    """

    def __init__(self, store: ResultStore, serializer: Serializer, prefix: str) -> None:
        self._store = store
        self._serializer = serializer
        self._prefix = _safe(prefix)

    def keep(self, work: Work, value: object) -> str:
        """Store what ``work`` returned and return the location. Called where the task runs."""
        index = "" if work.map_index < 0 else f"/{work.map_index}"
        run = work.parent.lookup("flow_run_id") if work.parent else "run"
        location = f"{self._prefix}/{run}/{_safe(work.slug)}{index}.result"
        data = self._serializer.serialize(value)
        self._store.write(location, _MAGIC + _digest(data) + data)
        return location

    def load(self, location: str) -> object:
        """Return the value at ``location``; raise ResultError if it is damaged, ResultNotFoundError if it is gone."""
        stored = self._store.read(location)
        digest, data = stored[len(_MAGIC) :][:_DIGEST_SIZE], stored[len(_MAGIC) + _DIGEST_SIZE :]
        if not stored.startswith(_MAGIC) or digest != _digest(data):
            raise ResultError(
                f"The result at {location!r} is damaged: its digest does not match.", hint="Run the task again."
            )
        return self._serializer.deserialize(data)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).digest()


def _safe(text: str) -> str:
    """Return ``text`` as one part of a path that is fit for every file system; different texts never become the same.

    Some file systems take no more than 255 bytes, and some make no difference between upper and lower case.
    """
    plain = _UNSAFE.sub("-", text).strip("-.")[:_LONGEST]
    if plain and plain == text.lower():
        return plain
    return f"{plain or 'unnamed'}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
