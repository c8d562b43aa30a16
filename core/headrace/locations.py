"""Locations that can be read: what a state's ``location`` is where the run's own result store does not have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Location", "Owner", "located"]


class Owner(Protocol):
    """What wrote a result, and reads it back: ``reload`` returns the result that its arguments name."""

    @property
    def reload(self) -> Callable[..., object]: ...


class Location(str):
    """A location that its ``owner`` can read, for as long as its run goes on; pickled as the bare text."""

    __slots__ = ("arguments", "owner")
    owner: Owner
    arguments: tuple[Any, ...]

    def load(self) -> object:
        """Return what is there."""
        return self.owner.reload(*self.arguments)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def located(text: str, owner: Owner, *arguments: Any) -> Location:
    """Return ``text`` as a location that ``owner.reload(*arguments)`` reads."""
    location = Location(text)
    location.owner, location.arguments = owner, arguments
    return location
