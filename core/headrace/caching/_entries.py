"""What the cache keeps of one result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from headrace.envelope import safe_name, seal, unseal
from headrace.exceptions import ResultError
from headrace.history.sealing import content_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.history.sealing import ProjectSealer, Sealer

__all__ = ["Entry", "entry_location"]

_BYTES: Final = ("cached_parameters", "data")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One cached result and what it was computed from.

    ``inputs``, ``parameters`` and ``code`` are hashes by name of what counts for this entry; ``created`` and
    ``expires`` are in seconds since the epoch. A large value lies apart, at ``value_at``; ``data`` is then empty.
    ``digest`` is that of the value, in hexadecimal digits: an entry is sealed with the project's key, and so speaks for
    the value wherever that lies.
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
    digest: str = ""
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

    def encode(self, sealer: ProjectSealer | Sealer | None) -> bytes:
        """Return the entry as bytes: a line of JSON, then what is not text, under a seal, if any, and a digest."""
        facts = asdict(self)
        parts = [facts.pop(name) for name in _BYTES]
        line = json.dumps({**facts, "lengths": [len(part) for part in parts]})
        content = b"".join([line.encode(), b"\n", *parts])
        return seal(content if sealer is None else sealer.seal(content))

    @classmethod
    def decode(cls, stored: bytes, location: str, sealer: ProjectSealer | Sealer | None) -> Entry:
        """Return the entry that ``stored``, which was found at ``location``, holds.

        Raises SealError if there is a ``sealer`` that has not sealed it, and ResultError if it is damaged, from another
        version or from another location. The digest tells what is damaged from what others wrote.
        """
        sealed = unseal(stored, location)
        return cls._parsed(sealed if sealer is None else sealer.unseal(sealed, location), location)

    @classmethod
    def peek(cls, stored: bytes, location: str) -> Entry:
        """Return the entry without what is no text, whoever wrote it: fit for being listed and removed.

        Raises ResultError as `decode` does.
        """
        return replace(cls._parsed(content_of(unseal(stored, location)), location), data=b"", cached_parameters=b"")

    @classmethod
    def _parsed(cls, content: bytes, location: str) -> Entry:
        line, _, rest = content.partition(b"\n")
        try:
            facts: dict[str, Any] = json.loads(line)
            first, second = facts.pop("lengths")
            known = {f.name for f in fields(cls)}
            entry = cls(
                **{name: value for name, value in facts.items() if name in known},
                cached_parameters=rest[:first],
                data=rest[first : first + second],
            )
            entry._check_types()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ResultError(
                f"The cache entry at {location!r} is not one that this version reads: {error}."
            ) from error
        entry._check_place(location)
        return entry

    def _check_types(self) -> None:
        """Raise TypeError if something is not what it is counted with or looked up by."""
        numbers = (self.created, self.size, self.created if self.expires is None else self.expires)
        texts = (self.bucket, self.key, self.task, self.digest, self.value_at or "")
        if not (all(isinstance(n, int | float) for n in numbers) and all(isinstance(text, str) for text in texts)):
            raise TypeError("a number or a text is something else")

    def _check_place(self, location: str) -> None:
        """Raise ResultError for an entry, or a value of one, that somebody moved."""
        place = location.removesuffix(".entry")
        apart = self.value_at is None or self.value_at.startswith(f"{place}-")
        if self.location != location or not apart:
            raise ResultError(f"The cache entry at {location!r} is that of another location.", hint="Remove it.")


def entry_location(bucket: str, key: str) -> str:
    """Return where the entry with ``key`` of ``bucket`` is."""
    return f"{safe_name(bucket)}/{key}.entry"
