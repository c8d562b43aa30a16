"""The result store ``memory:``: results that live as long as the store object."""

from __future__ import annotations

from headrace.abc import ResultStore
from headrace.exceptions import ResultNotFoundError
from headrace.plugins import ResultStoreSpec, hookimpl
from headrace_plugins._locations import checked

__all__ = ["MemoryStore"]


class MemoryStore(ResultStore):
    """Keeps bytes in a dictionary. For tests, and for releasing large values that compress well."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self._data: dict[str, bytes] = {}

    def write(self, location: str, data: bytes) -> None:
        """Store ``data``; a dictionary changes in one step, so readers see the old bytes or the new."""
        self._data[str(checked(location))] = bytes(data)

    def read(self, location: str) -> bytes:
        """Return the bytes at ``location``."""
        try:
            return self._data[str(checked(location))]
        except KeyError:
            raise ResultNotFoundError(f"There is no result at {location!r} in {self.url}.") from None

    def exists(self, location: str) -> bool:
        """Tell whether something is stored at ``location``."""
        return str(checked(location)) in self._data

    def delete(self, location: str) -> None:
        """Forget what is at ``location``."""
        self._data.pop(str(checked(location)), None)

    def locations(self, folder: str = "") -> list[str]:
        """Return what is stored below ``folder``."""
        start = f"{checked(folder)}/" if folder else ""
        return [location for location in sorted(self._data) if location.startswith(start)]


@hookimpl
def headrace_result_stores() -> list[ResultStoreSpec]:
    """Offer the store."""
    return [
        ResultStoreSpec(
            name="memory",
            factory="headrace_plugins.memory:MemoryStore",
            summary="Results in the memory of this process.",
        )
    ]
