"""One look at the metadata of what is installed, for the entry points that concern headrace.

Importing a metadata library costs more than everything else a small run does before its first task. The metadata of
ordinary directories, which is nearly all there is, is therefore read here; zip archives and import hooks that bring
distributions of their own are left to importlib_metadata, which is imported if there are any.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, NamedTuple

from headrace.hooks.kinds import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from importlib_metadata import Distribution

    class _Source(Protocol):
        """Where the metadata of one distribution lies. ``name`` is normalized."""

        name: str
        location: str

        def has_metadata(self) -> bool: ...

        def records(self) -> list[PluginRecord]: ...


__all__ = ["PluginRecord", "Scan", "ScanFailure", "normalize", "refresh", "scan"]

_PREFIX = "headrace."
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginRecord:
    """One entry point of a ``headrace.*`` group. Knowing it has imported nothing of the plugin."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    summary: str = ""

    @property
    def kind(self) -> str:
        """The kind of plugin, or the rest of the group's name where headrace has no such kind."""
        return GROUPS.get(self.group, self.group.removeprefix(_PREFIX))

    @property
    def owner(self) -> str:
        """The distribution with its version, as messages name it."""
        return f"{self.distribution} {self.version}".rstrip()


class ScanFailure(NamedTuple):
    """A distribution that seems to offer plugins and whose metadata cannot be read."""

    location: str
    reason: str


class Scan(NamedTuple):
    """What one scan found, the records sorted by distribution and name."""

    records: tuple[PluginRecord, ...]
    failures: tuple[ScanFailure, ...]


def scan() -> Scan:
    """Return the plugins that are installed.

    The answer is kept for the process and taken again only when ``sys.path`` has changed or after `refresh`.
    """
    return _scan(tuple((entry or os.getcwd()) for entry in sys.path if isinstance(entry, str)))


def refresh() -> None:
    """Forget earlier scans, so that the next one sees what was installed meanwhile."""
    _scan.cache_clear()


def normalize(distribution: str) -> str:
    """Return the name of a distribution as it compares: ``Headrace.Dask`` is ``headrace-dask``."""
    return _SEPARATORS.sub("-", distribution).lower()


@lru_cache(maxsize=8)
def _scan(path: tuple[str, ...]) -> Scan:
    records: list[PluginRecord] = []
    failures: list[ScanFailure] = []
    for source in _first_of_each(_sources(path, failures)):
        try:
            records += source.records()
        except Exception as error:  # noqa: BLE001 - foreign metadata can be broken in any way
            failures.append(_failure(source.location, error))
    records.sort(key=lambda record: (normalize(record.distribution), record.name, record.group))
    return Scan(tuple(records), tuple(failures))


def _failure(location: str, error: Exception) -> ScanFailure:
    return ScanFailure(location, f"{type(error).__name__}: {error}")


def _first_of_each(sources: Iterable[_Source]) -> Iterable[_Source]:
    """Keep, of several distributions with one name, the one that Python's own metadata module answers with."""
    chosen: dict[str, _Source] = {}
    for source in sources:
        earlier = chosen.setdefault(source.name, source)
        # An uninstallation that went wrong leaves a directory without metadata; it must not hide a sound one.
        if earlier is not source and not earlier.has_metadata() and source.has_metadata():
            chosen[source.name] = source
    return chosen.values()


def _sources(path: tuple[str, ...], failures: list[ScanFailure]) -> Iterator[_Source]:
    for finder in sys.meta_path:
        if finder is PathFinder:
            yield from _on_path(path, failures)
        elif _brings_distributions(finder):
            yield from _brought_by(finder, None, failures)


def _on_path(path: tuple[str, ...], failures: list[ScanFailure]) -> Iterator[_Source]:
    for entry in path:
        try:
            children = os.listdir(entry)
        except NotADirectoryError:
            from importlib_metadata import MetadataPathFinder  # noqa: PLC0415 - seldom needed, and slow to import

            yield from _brought_by(MetadataPathFinder(), entry, failures)
        except OSError:
            continue  # an entry that does not exist is normal, and one that cannot be read holds no importable plugin
        else:
            yield from _in_directory(entry, children)


def _in_directory(directory: str, children: list[str]) -> Iterator[_Source]:
    base = os.path.basename(directory).lower()
    for child in children:
        low = child.lower()
        if low.endswith((".dist-info", ".egg-info")):
            yield _Directory(low[: low.rindex(".")], os.path.join(directory, child))
        elif low == "egg-info" and base.endswith(".egg"):
            yield _Directory(base.removesuffix(".egg"), os.path.join(directory, child))


class _Directory:
    """A ``.dist-info`` or ``.egg-info`` directory, whose name begins with that of the distribution."""

    __slots__ = ("location", "name", "stem")

    def __init__(self, stem: str, location: str) -> None:
        self.stem = stem
        self.name = normalize(stem.partition("-")[0])
        self.location = location

    def has_metadata(self) -> bool:
        return self._text("METADATA") is not None or self._text("PKG-INFO") is not None

    def records(self) -> list[PluginRecord]:
        data = self._text("entry_points.txt")
        if data is None or _PREFIX.encode() not in data:
            return []
        entries = list(_entries(data.decode("utf-8")))
        return _records(entries, self._header()) if entries else []

    def _header(self) -> dict[str, str]:
        name, _, version = self.stem.partition("-")
        header = {"name": name, "version": version.partition("-")[0]}
        data = self._text("METADATA") or self._text("PKG-INFO") or b""
        return header | _fields(data.decode("utf-8", "replace"))

    def _text(self, file: str) -> bytes | None:
        try:
            with open(os.path.join(self.location, file), "rb", buffering=0) as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _fields(metadata: str) -> dict[str, str]:
    """Return the name, version and summary from the header of a metadata file."""
    fields: dict[str, str] = {}
    for line in metadata.splitlines():
        if not line:
            break
        key, _, value = line.partition(":")
        if key.lower() in {"name", "version", "summary"} and value.strip():
            fields.setdefault(key.lower(), value.strip())
    return fields


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the group, name and value of each entry point that is ours; raise ``ValueError`` at one that is neither."""
    group = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif line and not line.startswith("#") and group.startswith(_PREFIX):
            name, _, value = (part.strip() for part in line.partition("="))
            if not name or not value:
                raise ValueError(
                    f"line {number} of entry_points.txt, under [{group}], is not `name = module`: {line!r}"
                )
            yield group, name, value


def _records(entries: Iterable[tuple[str, str, str]], header: dict[str, str]) -> list[PluginRecord]:
    return [
        PluginRecord(
            group=group,
            name=name,
            value=value,
            distribution=header["name"],
            version=header["version"],
            summary=header.get("summary", ""),
        )
        for group, name, value in entries
    ]


def _brings_distributions(finder: object) -> bool:
    """Tell whether a finder of ``sys.meta_path`` has distributions that are not on ``sys.path``."""
    owner = finder if isinstance(finder, type) else type(finder)
    # importlib_metadata puts a finder of its own there, and packages that bundle it another; both search sys.path.
    return hasattr(finder, "find_distributions") and not owner.__module__.endswith("importlib_metadata")


def _brought_by(finder: object, entry: str | None, failures: list[ScanFailure]) -> Iterator[_Source]:
    from importlib_metadata import DistributionFinder  # noqa: PLC0415 - as above

    try:
        where = {} if entry is None else {"path": [entry]}
        context = DistributionFinder.Context(**where)  # type: ignore[no-untyped-call]
        distributions = list(finder.find_distributions(context))  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - an import hook is code of others too
        failures.append(_failure(entry or repr(finder), error))
        return
    for distribution in distributions:
        try:
            source = _Distribution(distribution)
        except Exception as error:  # noqa: BLE001 - as in _scan
            failures.append(_failure(str(distribution), error))
        else:
            yield source


class _Distribution:
    """A distribution that is not in an ordinary directory."""

    __slots__ = ("_distribution", "_header", "location", "name")

    def __init__(self, distribution: Distribution) -> None:
        metadata = distribution.metadata
        self._distribution = distribution
        self._header = {key.lower(): metadata[key] or "" for key in ("Name", "Version", "Summary") if key in metadata}
        self.name = normalize(self._header["name"])
        self.location = str(distribution)

    def has_metadata(self) -> bool:
        return True

    def records(self) -> list[PluginRecord]:
        points = self._distribution.entry_points
        ours = [(point.group, point.name, point.value) for point in points if point.group.startswith(_PREFIX)]
        return _records(ours, self._header)
