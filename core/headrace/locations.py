"""Locations that can be read: what a state's ``location`` is where the run's own result store does not have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Location", "located"]


class Location(str):
    """A location that knows how to read what is there, for as long as its run goes on; pickled as the bare text."""

    __slots__ = ("load",)
    load: Callable[[], object]

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def located(text: str, load: Callable[[], object]) -> Location:
    """Return ``text`` as a location that ``load`` reads."""
    location = Location(text)
    location.load = load
    return location
