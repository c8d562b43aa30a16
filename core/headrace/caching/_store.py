"""The store behind the cache: entries in buckets, on top of any `headrace.abc.ResultStore`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from headrace.caching._entries import Entry, entry_location
from headrace.caching._locks import KeyLock
from headrace.envelope import digest_in, digest_of, safe_name, seal, unseal
from headrace.exceptions import ForeignResultError, ResultError, ResultNotFoundError, SealError
from headrace.history.sealing import ProjectSealer
from headrace.project import make_private, project_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.abc import ResultStore
    from headrace.history.sealing import Sealer

__all__ = ["CacheStore", "open_cache"]

# A larger value gets a file of its own, so that looking through the entries stays cheap.
_INLINE: Final = 65_536


class CacheStore:
    """The cache. Used from any thread; everything it writes appears whole or not at all.

    ``sealer`` seals the entries, and those that it has not sealed are refused; None is for a store that nobody else can
    write to. ``locks`` is the folder for the locks, and ``own_folder`` the folder in the project that is made for it,
    if any. ``place`` is what messages say of where it is. ``written`` counts the bytes that were written in this
    process, and ``refused`` the entries that were.
    """

    def __init__(
        self,
        store: ResultStore,
        sealer: ProjectSealer | Sealer | None,
        locks: Path,
        own_folder: Path | None = None,
        *,
        place: str = "cache:",
    ) -> None:
        self.written = Tally()
        self.refused = Tally()
        self._store = store
        self._sealer = sealer
        self._locks = locks
        self._own_folder = own_folder
        self._place = place

    def prepare(self) -> None:
        """See to it that what is computed can be sealed. Raises HistoryError if there can be no key."""
        if isinstance(self._sealer, ProjectSealer):
            self._sealer.prepare()

    def lock(self, bucket: str, key: str) -> KeyLock:
        """Return the lock of one key."""
        return self.lock_at(f"{safe_name(bucket)}-{key}")

    def lock_at(self, name: str) -> KeyLock:
        """Return a lock by its own name."""
        if self._own_folder is not None:
            try:
                make_private(self._own_folder)
            except OSError as error:
                raise ResultError(
                    f"The folder {self._own_folder} for the cache cannot be made: {error.strerror or error}.",
                    hint="Check the permissions, or set `url` under [cache] in the configuration.",
                ) from error
        return KeyLock(self._locks / f"{name}.lock")

    def read(self, bucket: str, key: str) -> Entry | None:
        """Return an entry, or None if there is none.

        Raises ResultError if it is damaged, and ForeignResultError if this project has not sealed it.
        """
        return self.read_at(entry_location(bucket, key))

    def read_at(self, location: str) -> Entry | None:
        """Return the entry at a location, as `read` does."""
        try:
            return Entry.decode(self._store.read(location), location, self._sealer)
        except ResultNotFoundError:
            return None
        except SealError as error:
            raise ForeignResultError(f"{self._place}/{location}") from error

    def peek_at(self, location: str) -> tuple[Entry, int] | None:
        """Return the facts of the entry at a location, whoever wrote it, and how much room it takes with its value.

        Raises ResultError if it is damaged.
        """
        try:
            stored = self._store.read(location)
        except ResultNotFoundError:
            return None
        entry = Entry.peek(stored, location)
        return entry, len(stored) + _apart(entry)

    def value_of(self, entry: Entry) -> bytes:
        """Return the value of ``entry`` as bytes; raise ResultError if it is damaged or was removed meanwhile.

        Raises ForeignResultError for another value than the one that the entry speaks of.
        """
        if entry.value_at is None:
            return entry.data
        stored = self._store.read(entry.value_at)
        data = unseal(stored, entry.value_at)
        if digest_in(stored).hex() != entry.digest:
            raise ForeignResultError(f"{self._place}/{entry.value_at}")
        return data

    def write(self, entry: Entry, data: bytes) -> None:
        """Store ``entry`` with its value, replacing the one with its key."""
        before = self._known(entry)
        entry = replace(entry, digest=digest_of(data).hex())
        if len(data) <= _INLINE:
            entry = replace(entry, data=data, size=len(data))
        else:
            value_at = f"{safe_name(entry.bucket)}/{entry.key}-{os.urandom(4).hex()}.value"
            self._store.write(value_at, seal(data))
            entry = replace(entry, value_at=value_at, size=len(data))
        encoded = entry.encode(self._sealer)
        try:
            self._store.write(entry.location, encoded)
        except BaseException:
            if entry.value_at is not None:
                self._store.delete(entry.value_at)
            raise
        if before is not None and before.value_at is not None:
            self._store.delete(before.value_at)
        self.written.add(len(encoded) + _apart(entry))

    def _known(self, entry: Entry) -> Entry | None:
        try:
            seen = self.peek_at(entry.location)
        except ResultError:  # a damaged one is replaced, which is why we are here
            return None
        return None if seen is None else seen[0]

    def remove(self, entry: Entry) -> None:
        """Forget ``entry``."""
        self._store.delete(entry.location)
        if entry.value_at is not None:
            self._store.delete(entry.value_at)

    def clear(self, bucket: str) -> int:
        """Forget everything in ``bucket``; return how many entries there were."""
        entries = self.locations(bucket, ".entry")
        for location in (*entries, *self.locations(bucket, ".value")):
            self._store.delete(location)
        return len(entries)

    def entries(
        self, bucket: str | None = None, *, damaged: Callable[[str, ResultError], object] | None = None
    ) -> Iterator[Entry]:
        """Yield what is stored, the newest first; ``damaged`` is told of what cannot be read."""
        found: list[Entry] = []
        for location in self.locations(bucket, ".entry"):
            try:
                entry = self.read_at(location)
            except ResultError as error:
                if damaged is not None:
                    damaged(location, error)
                continue
            if entry is not None:
                found.append(entry)
        found.sort(key=lambda entry: (-entry.created, entry.bucket, entry.key))
        yield from found

    def locations(self, bucket: str | None, suffix: str) -> list[str]:
        """Return where there is something in a bucket, or in all, with a name that ends in ``suffix``."""
        folder = "" if bucket is None else safe_name(bucket)
        return [location for location in self._store.locations(folder) if location.endswith(suffix)]

    def bytes_at(self, location: str) -> bytes:
        """Return what is at a location; raise ResultNotFoundError."""
        return self._store.read(location)

    def write_at(self, location: str, data: bytes) -> None:
        """Store something that is no entry."""
        self._store.write(location, data)

    def delete(self, location: str) -> None:
        """Remove whatever is at a location."""
        self._store.delete(location)


class Tally:
    """A sum that any thread may add to; it begins anew in another process."""

    __slots__ = ("_lock", "total")

    def __init__(self) -> None:
        self.total = 0
        self._lock = Lock()

    def add(self, number: int) -> int:
        """Add ``number``, and return the sum."""
        with self._lock:
            self.total += number
            return self.total

    def __reduce__(self) -> tuple[type[Tally], tuple[()]]:
        return Tally, ()


def _apart(entry: Entry) -> int:
    return entry.size if entry.value_at is not None else 0


def open_cache(config: Mapping[str, Any], make_store: Callable[[str], ResultStore]) -> CacheStore:
    """Return the configured cache; ``make_store`` makes a store from a URL.

    By default it lies in the project, in ``.headrace/cache``. Entries are sealed with the key of the project, wherever
    they lie, but for those in the memory of this process.
    """
    url, project = config["cache"]["url"], project_folder()
    if not url:
        folder = project / "cache"
        store = make_store(f"file:{quote(os.fsencode(folder.as_posix()))}")
        return CacheStore(store, ProjectSealer(project), folder / ".locks", folder, place=str(folder))
    sealer = None if urlsplit(url).scheme == "memory" else ProjectSealer(project)
    return CacheStore(make_store(url), sealer, _locks_of(url), place=_place_of(url))


def _folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme != "file" or not parts.path:
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path))).expanduser()


def _place_of(url: str) -> str:
    """Return what is said of the cache at ``url``, without a password."""
    parts = urlsplit(url)
    return str(_folder_of(url) or f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")


def _locks_of(url: str) -> Path:
    """Return the folder for the locks of the cache at ``url``: inside it if that is a folder of this machine."""
    folder = _folder_of(url)
    if folder is not None:
        return folder / ".locks"
    from hashlib import blake2b  # noqa: PLC0415 - only for a cache that is elsewhere
    from tempfile import gettempdir  # noqa: PLC0415

    # What is in the memory of this process concerns no other.
    parts = urlsplit(url)
    name = f"{url} of {os.getpid()}" if parts.scheme == "memory" else url
    user = getattr(os, "getuid", lambda: "user")()
    return Path(gettempdir()) / f"headrace-locks-{user}" / blake2b(name.encode(), digest_size=8).hexdigest()
