"""One occasion on which a flow is to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.schedules._zones import aware, instant_of, local_times, zone_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

__all__ = ["ClockEvent"]


@dataclass(frozen=True, slots=True, eq=False)
class ClockEvent:
    """A time at which to run a flow, with what the clock that said so adds to the run.

    Two events are equal when their instants, parameters and labels are; they are ordered by instant alone.

    Args:
        start_time: when; without a time zone it is UTC.
        parameter_defaults: values for parameters of the flow that the run gets no others for.
        labels: words that travel with the run.
    """

    start_time: datetime
    parameter_defaults: dict[str, Any] = field(default_factory=dict)
    labels: list[str] | None = None
    instant: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        moment = aware(self.start_time, "The start time of an event")
        object.__setattr__(self, "start_time", moment)
        object.__setattr__(self, "parameter_defaults", dict(self.parameter_defaults or {}))
        object.__setattr__(self, "instant", instant_of(moment))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClockEvent):
            return NotImplemented
        return (
            self.instant == other.instant
            and self.parameter_defaults == other.parameter_defaults
            and self.labels == other.labels
        )

    def __hash__(self) -> int:
        return hash(self.instant)

    def __lt__(self, other: ClockEvent) -> bool:
        return self.instant < other.instant

    def __le__(self, other: ClockEvent) -> bool:
        return self.instant <= other.instant

    def __gt__(self, other: ClockEvent) -> bool:
        return self.instant > other.instant

    def __ge__(self, other: ClockEvent) -> bool:
        return self.instant >= other.instant

    def __reduce__(self) -> tuple[object, ...]:
        # Pickled datetimes of pendulum forget which of two repeated hours they are in.
        zone = self.start_time.tzinfo
        assert zone is not None
        return _rebuild, (self.instant, zone_name(zone), self.parameter_defaults, self.labels)


def event_maker(
    local_time: Callable[[int], datetime], parameter_defaults: Mapping[str, Any], labels: list[str] | None
) -> Callable[[int], ClockEvent]:
    """Return a function from an instant to an event at it."""
    new, put = object.__new__, object.__setattr__

    # A third faster than the constructor, which would work the instant out again.
    def make_event(instant: int) -> ClockEvent:
        event = new(ClockEvent)
        put(event, "start_time", local_time(instant))
        put(event, "parameter_defaults", dict(parameter_defaults))
        put(event, "labels", labels and list(labels))
        put(event, "instant", instant)
        return event

    return make_event


def _rebuild(instant: int, zone: str, parameter_defaults: dict[str, Any], labels: list[str] | None) -> ClockEvent:
    return event_maker(local_times(zone), parameter_defaults, labels)(instant)
