"""Locations inside a store: relative POSIX paths that stay inside."""

from __future__ import annotations

from pathlib import PurePosixPath

from headrace.exceptions import ResultLocationError

__all__ = ["checked"]


def checked(location: str) -> PurePosixPath:
    """Return ``location`` as a path; raise ResultLocationError if it is empty, absolute or climbs out."""
    path = PurePosixPath(location)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in location:
        raise ResultLocationError(
            f"{location!r} is no location inside a result store.",
            hint="Use a relative path without `..`, such as `2026/11/total.result`.",
        )
    return path
