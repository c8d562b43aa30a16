"""Schedules: clocks put together, filtered and adjusted."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules._zones import instant_of, local_times, zone_name
from headrace.schedules.clocks import Clock, CronClock, IntervalClock, RRuleClock, instant_after
from headrace.schedules.events import ClockEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from dateutil.rrule import rrule, rruleset
    from pendulum import DateTime

    Filter = Callable[[datetime], bool]
    Adjustment = Callable[[datetime], datetime]

__all__ = ["CronSchedule", "IntervalSchedule", "RRuleSchedule", "Schedule"]

# How many events in a row the filters may turn down before the schedule counts as over.
EXAMINED = 10_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a flow runs: the times of all ``clocks``, in order, each once.

    Clocks that agree on an instant give one event if their parameters and labels are equal, and otherwise one each.

    A time counts if all ``filters`` accept it, and one of the ``or_filters`` if there are any, and none of the
    ``not_filters``. When filters have turned down 10,000 events in a row the schedule ends there: choose clocks that
    are near to what is wanted. ``adjustments`` then move the times that are left, one after the other; events that
    become equal by it are one.

    Raises DefinitionTypeError, a TypeError, for what is not a clock, a filter or an adjustment.
    """

    clocks: tuple[Clock, ...]
    filters: tuple[Filter, ...] = ()
    or_filters: tuple[Filter, ...] = ()
    not_filters: tuple[Filter, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()

    def __init__(
        self,
        clocks: Iterable[Clock],
        filters: Iterable[Filter] | None = None,
        or_filters: Iterable[Filter] | None = None,
        not_filters: Iterable[Filter] | None = None,
        adjustments: Iterable[Adjustment] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "clocks", _checked_clocks(clocks))
        put(self, "filters", _checked_functions("filters", filters))
        put(self, "or_filters", _checked_functions("or_filters", or_filters))
        put(self, "not_filters", _checked_functions("not_filters", not_filters))
        put(self, "adjustments", _checked_functions("adjustments", adjustments))

    @property
    def start_date(self) -> datetime | None:
        """The earliest start of the clocks, or None if one of them has none."""
        dates = [clock.start_date for clock in self.clocks]
        return min((date for date in dates if date), key=instant_of, default=None) if all(dates) else None

    @property
    def end_date(self) -> datetime | None:
        """The latest end of the clocks, or None if one of them has none."""
        dates = [clock.end_date for clock in self.clocks]
        return max((date for date in dates if date), key=instant_of, default=None) if all(dates) else None

    @overload
    def next(self, n: int, after: datetime | None = None, return_events: Literal[False] = False) -> list[DateTime]: ...
    @overload
    def next(self, n: int, after: datetime | None = None, *, return_events: Literal[True]) -> list[ClockEvent]: ...
    @overload
    def next(self, n: int, after: datetime | None, return_events: Literal[True]) -> list[ClockEvent]: ...
    def next(
        self, n: int, after: datetime | None = None, return_events: bool = False
    ) -> list[DateTime] | list[ClockEvent]:
        """Return the next ``n`` times, or fewer if the schedule ends, as pendulum datetimes or as events.

        They are later than ``after``, or than now, before adjustments; an ``after`` without a time zone is UTC.
        """
        events = list(islice(self.events(after), max(0, n)))
        return events if return_events else [cast("DateTime", event.start_time) for event in events]

    def events(self, after: datetime | None = None) -> Iterator[ClockEvent]:
        """Yield the events later than ``after``, or than now, before adjustments.

        They come in the order of their times before adjustments. A loop that runs a flow does well to keep one such
        stream: an adjustment to earlier times would let a new one begin with what has just run.
        """
        # One now for all clocks.
        after = local_times("UTC")(instant_after(after))
        streams = [clock.events(after) for clock in self.clocks]
        events = streams[0] if len(streams) == 1 else merge(*streams, key=attrgetter("instant"))
        events = self._accepted(_distinct(events))
        return self._adjusted(events) if self.adjustments else events

    def _accepted(self, events: Iterator[ClockEvent]) -> Iterator[ClockEvent]:
        if not (self.filters or self.or_filters or self.not_filters):
            yield from events
            return
        turned_down = 0
        for event in events:
            if self._accepts(event.start_time):
                turned_down = 0
                yield event
            else:
                turned_down += 1
                if turned_down >= EXAMINED:
                    return

    def _accepts(self, moment: datetime) -> bool:
        return (
            all(accepts(moment) for accepts in self.filters)
            and (not self.or_filters or any(accepts(moment) for accepts in self.or_filters))
            and not any(refuses(moment) for refuses in self.not_filters)
        )

    def _adjusted(self, events: Iterator[ClockEvent]) -> Iterator[ClockEvent]:
        adjust = _adjuster(self.adjustments)
        recent: list[ClockEvent] = []
        for event in events:
            adjusted = adjust(event)
            # An equal event can be the one before, or one that was moved to where the clocks have not got to yet.
            recent = [other for other in recent[:-1] if other.instant >= event.instant] + recent[-1:]
            if adjusted not in recent:
                recent.append(adjusted)
                yield adjusted

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as plain data that JSON can hold.

        Raises ScheduleError for filters, adjustments and clocks that are not among headrace's own, and for parameter
        defaults that JSON cannot hold.
        """
        from headrace.schedules._records import schedule_record  # noqa: PLC0415 - few schedules are serialized

        return schedule_record(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Make a schedule from what `to_dict` returned; raise ScheduleError for anything else."""
        from headrace.schedules._records import schedule_parts  # noqa: PLC0415 - few schedules are serialized

        return cls(**schedule_parts(record))


def _distinct(events: Iterable[ClockEvent]) -> Iterator[ClockEvent]:
    """Leave out events that equal an earlier one of the same instant."""
    instant = None
    at_instant: list[ClockEvent] = []
    for event in events:
        if event.instant != instant:
            instant = event.instant
            at_instant = [event]
        elif event in at_instant:
            continue
        else:
            at_instant.append(event)
        yield event


def _adjuster(adjustments: Sequence[Adjustment]) -> Callable[[ClockEvent], ClockEvent]:
    """Return a function from an event to the adjusted event."""
    in_zone = functools.cache(local_times)

    def adjusted_event(event: ClockEvent) -> ClockEvent:
        moment = event.start_time
        for adjust in adjustments:
            adjusted: object = adjust(moment)
            if not isinstance(adjusted, datetime) or adjusted.tzinfo is None:
                raise DefinitionTypeError(
                    f"Adjustment {adjust!r} returned {adjusted!r}, and a datetime with a time zone was expected."
                )
            # Each adjustment gets the class of datetime that filters get, whatever the one before returned.
            moment = in_zone(zone_name(adjusted.tzinfo))(instant_of(adjusted))
        return ClockEvent(moment, event.parameter_defaults, event.labels)

    return adjusted_event


def _checked_clocks(clocks: object) -> tuple[Clock, ...]:
    if isinstance(clocks, Clock):
        raise DefinitionTypeError(f"A schedule takes a list of clocks, and got {clocks!r}.", hint="Put it in a list.")
    found = tuple(cast("Iterable[Clock]", clocks))
    for clock in found:
        if not isinstance(clock, Clock):
            raise DefinitionTypeError(
                f"A schedule takes clocks, and got {clock!r}.", hint="headrace.schedules.clocks has them."
            )
    return found


def _checked_functions(what: str, functions: object) -> tuple[Any, ...]:
    if callable(functions):
        raise DefinitionTypeError(f"`{what}` takes a list of functions, and got {functions!r}.", hint="Use a list.")
    found = tuple(cast("Iterable[object]", functions or ()))
    for function in found:
        if not callable(function):
            raise DefinitionTypeError(f"`{what}` takes functions of a datetime, and got {function!r}.")
        if isinstance(function, type):
            raise DefinitionTypeError(
                f"`{what}` got {function.__name__} itself.", hint=f"Write {function.__name__}(...)."
            )
    return found


def IntervalSchedule(  # noqa: N802 - stands for a class, and is written like one
    start_date: datetime | None = None,
    interval: timedelta | None = None,
    end_date: datetime | None = None,
    *,
    timezone: str = "",
) -> Schedule:
    """Return a schedule of one `headrace.schedules.clocks.IntervalClock`."""
    if interval is None:
        raise ScheduleError("IntervalSchedule needs an interval.", hint="Write interval=timedelta(hours=1).")
    return Schedule([IntervalClock(interval, start_date, end_date, timezone=timezone)])


def CronSchedule(  # noqa: N802 - stands for a class, and is written like one
    cron: str,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    day_or: bool | None = None,
    *,
    timezone: str = "",
) -> Schedule:
    """Return a schedule of one `headrace.schedules.clocks.CronClock`."""
    return Schedule([CronClock(cron, start_date, end_date, day_or=day_or, timezone=timezone)])


def RRuleSchedule(  # noqa: N802 - stands for a class, and is written like one
    rrule_obj: rrule | rruleset,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    *,
    timezone: str = "",
) -> Schedule:
    """Return a schedule of one `headrace.schedules.clocks.RRuleClock`."""
    return Schedule([RRuleClock(rrule_obj, start_date, end_date, timezone=timezone)])
