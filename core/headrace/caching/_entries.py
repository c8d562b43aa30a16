"""What the cache keeps of one result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from headrace.envelope import safe_name, seal, unseal
from headrace.exceptions import ResultError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "entry_location"]

_BYTES: Final = ("cached_parameters", "data")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One cached result and what it was computed from.

    ``inputs``, ``parameters`` and ``code`` are hashes by name of what counts for this entry; ``created`` and
    ``expires`` are in seconds since the epoch. A large value lies apart, at ``value_at``; ``data`` is then empty.
    """

    bucket: str
    key: str
    task: str
    flow: str | None
    validator: str
    index: int | None
    inputs: Mapping[str, str]
    parameters: Mapping[str, str]
    code: Mapping[str, str]
    created: float
    expires: float | None
    size: int
    value_at: str | None = None
    cached_parameters: bytes = field(default=b"", repr=False)
    data: bytes = field(default=b"", repr=False)

    @property
    def location(self) -> str:
        """Where in the store this entry is."""
        return entry_location(self.bucket, self.key)

    def is_expired(self, now: float) -> bool:
        """Tell whether the entry is of no use at ``now``."""
        return self.expires is not None and self.expires <= now

    def encode(self) -> bytes:
        """Return the entry as bytes: a line of JSON, then what is not text, under a digest."""
        facts = asdict(self)
        parts = [facts.pop(name) for name in _BYTES]
        line = json.dumps({**facts, "lengths": [len(part) for part in parts]})
        return seal(b"".join([line.encode(), b"\n", *parts]))

    @classmethod
    def decode(cls, stored: bytes, location: str) -> Entry:
        """Return the entry that ``stored`` holds; raise ResultError if it is damaged or from another version."""
        line, _, rest = unseal(stored, location).partition(b"\n")
        try:
            facts: dict[str, Any] = json.loads(line)
            first, second = facts.pop("lengths")
            known = {f.name for f in fields(cls)}
            return cls(
                **{name: value for name, value in facts.items() if name in known},
                cached_parameters=rest[:first],
                data=rest[first : first + second],
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ResultError(
                f"The cache entry at {location!r} is not one that this version reads: {error}."
            ) from error


def entry_location(bucket: str, key: str) -> str:
    """Return where the entry with ``key`` of ``bucket`` is."""
    return f"{safe_name(bucket)}/{key}.entry"
