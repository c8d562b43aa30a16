"""What leaves the cache: what has expired or is damaged, and what is more than the configured limits allow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from headrace.exceptions import ResultError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from headrace.caching._entries import Entry
    from headrace.caching._store import CacheStore

__all__ = ["Limits", "Pruned", "Removal", "keep_within", "prune"]

_USAGE: Final = "usage.json"
# What others removed or added makes the account of the size wrong, so it is made anew once a day.
_ACCOUNT_HOLDS: Final = 86_400.0
# A cache that is full makes room for more than one result at a time.
_FILLED_TO: Final = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many bytes the cache may take, and how old a result may become in seconds; 0 for as much as there is."""

    max_bytes: int = 0
    max_age: float = 0.0

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Limits:
        """Return the limits that ``[cache]`` of the configuration sets."""
        return cls(max_bytes=int(section["max_bytes"]), max_age=float(section["max_age"]))

    def __bool__(self) -> bool:
        return self.max_bytes > 0 or self.max_age > 0


class Removal(NamedTuple):
    """An entry that is gone, without its value, and why."""

    entry: Entry
    why: Literal["expired", "old", "space"]


class Pruned(NamedTuple):
    """What was removed; how many bytes the rest takes, and when its oldest entry was made."""

    removed: list[Removal]
    bytes: int
    oldest: float | None


class _Seen(NamedTuple):
    entry: Entry
    bytes: int


def prune(store: CacheStore, now: float, limits: Limits, keep: Collection[str] = ()) -> Pruned:
    """Remove what has expired or is damaged, values that no entry has, and what ``limits`` do not allow.

    If there is too much, the oldest goes first, until a tenth of the room is free. What somebody is computing just now
    stays, and so do the locations in ``keep``.
    """
    seen = sorted(_look_through(store), key=lambda one: one.entry.created)
    total, removed, left = sum(one.bytes for one in seen), [], []
    for one in seen:
        why = None if one.entry.location in keep else _useless(one.entry, now, limits)
        if why is not None and _remove(store, one.entry):
            removed.append(Removal(one.entry, why))
            total -= one.bytes
        else:
            left.append(one)
    if 0 < limits.max_bytes < total:
        room, oldest_first, left = limits.max_bytes * _FILLED_TO, left, []
        for one in oldest_first:
            if total > room and one.entry.location not in keep and _remove(store, one.entry):
                removed.append(Removal(one.entry, "space"))
                total -= one.bytes
            else:
                left.append(one)
    _remove_orphans(store)
    return Pruned(removed, total, left[0].entry.created if left else None)


def _useless(entry: Entry, now: float, limits: Limits) -> Literal["expired", "old"] | None:
    if entry.is_expired(now):
        return "expired"
    return "old" if 0 < limits.max_age <= now - entry.created else None


def _look_through(store: CacheStore) -> Iterator[_Seen]:
    """Yield the entries without their values, also those of other projects; remove what is damaged."""
    for location in store.locations(None, ".entry"):
        try:
            seen = store.peek_at(location)
        except ResultError:
            store.delete(location)
            continue
        if seen is not None:
            yield _Seen(*seen)


def _remove(store: CacheStore, entry: Entry) -> bool:
    """Remove an entry, unless somebody is at it or has replaced it."""
    lock = store.lock(entry.bucket, entry.key)
    if not lock.acquire():
        return False
    try:
        found = store.peek_at(entry.location)
        if found is None or (found[0].created, found[0].value_at) != (entry.created, entry.value_at):
            return False
        store.remove(entry)
        return True
    except ResultError:
        return False
    finally:
        lock.release()


def _remove_orphans(store: CacheStore) -> None:
    for location in store.locations(None, ".value"):
        folder, _, name = location.rpartition("/")
        key = name.partition("-")[0]
        lock = store.lock_at(f"{folder}-{key}")
        if lock.acquire():
            try:
                _remove_orphan(store, location, f"{folder}/{key}.entry")
            finally:
                lock.release()


def _remove_orphan(store: CacheStore, location: str, entry_at: str) -> None:
    try:
        seen = store.peek_at(entry_at)
    except ResultError:
        seen = None
    if seen is None or seen[0].value_at != location:
        store.delete(location)


# After a run


class _Usage(NamedTuple):
    """The account of a cache: how much there is, since when, and when that was found out."""

    bytes: int
    oldest: float
    counted: float


def keep_within(store: CacheStore, limits: Limits, now: float, written: int, keep: Collection[str]) -> None:
    """Prune a cache to which ``written`` bytes were added, if it may have come to a limit.

    An account that is kept beside the entries saves looking through them each time. 0 bytes means that nobody knows
    how many. If somebody else is at it just now, nothing happens.
    """
    lock = store.lock_at("usage")
    if not lock.acquire():
        return
    try:
        usage = _read_usage(store)
        if usage is None or not written or _is_due(usage, limits, now, written):
            pruned = prune(store, now, limits, keep)
            usage = _Usage(pruned.bytes, now if pruned.oldest is None else pruned.oldest, now)
        else:
            usage = usage._replace(bytes=usage.bytes + written)
        store.write_at(_USAGE, json.dumps(usage).encode())
    finally:
        lock.release()


def _is_due(usage: _Usage, limits: Limits, now: float, written: int) -> bool:
    return (
        0 < limits.max_bytes < usage.bytes + written
        or 0 < limits.max_age <= now - usage.oldest
        or not usage.counted <= now < usage.counted + _ACCOUNT_HOLDS
    )


def _read_usage(store: CacheStore) -> _Usage | None:
    try:
        size, oldest, counted = json.loads(store.bytes_at(_USAGE))
        return _Usage(int(size), float(oldest), float(counted))
    except (ResultError, ValueError, TypeError):
        return None
