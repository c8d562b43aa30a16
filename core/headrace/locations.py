"""Locations that can be read: what a state's ``location`` is where the run's own result store does not have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Location", "NotedLocation", "Owner", "located", "noted"]


class Owner(Protocol):
    """What wrote a result, and reads it back: ``reload`` returns the result that its arguments name."""

    @property
    def reload(self) -> Callable[..., object]: ...


class NotedLocation(str):
    """A location with what a history notes of it, so that a later run finds the result: see `split_location` there.

    ``kind`` says whose store it is in, and ``digest`` is that of the serialized value.
    """

    __slots__ = ("digest", "kind")
    kind: str
    digest: bytes

    @property
    def note(self) -> tuple[str, str, bytes]:
        """What `noted` makes it of."""
        return str(self), self.kind, self.digest

    def __reduce__(self) -> tuple[object, ...]:
        return noted, self.note


def noted(text: str, kind: str, digest: bytes) -> NotedLocation:
    """Return ``text`` as a location in a store of that kind, where there is a result with ``digest``."""
    location = NotedLocation(text)
    location.kind, location.digest = kind, digest
    return location


class Location(NotedLocation):
    """A location that its ``owner`` can read, for as long as its run goes on; pickled without that."""

    __slots__ = ("arguments", "owner")
    owner: Owner
    arguments: tuple[Any, ...]

    def load(self) -> object:
        """Return what is there."""
        return self.owner.reload(*self.arguments)


def located(text: str, owner: Owner, *arguments: Any, kind: str, digest: bytes) -> Location:
    """Return ``text`` as a location that ``owner.reload(*arguments)`` reads; the others are as for `noted`."""
    location = Location(text)
    location.owner, location.arguments = owner, arguments
    location.kind, location.digest = kind, digest
    return location
