"""Clocks: where the times of a schedule come from.

Every clock takes ``parameter_defaults``, which become the parameters of the runs it starts, and ``labels``.
Those with a ``start_date`` and an ``end_date`` give times from the one to the other, both included. A date without a
time zone is one of ``timezone``, and of UTC if that is not given either; ``timezone`` is by default that of the start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules._identity import ComparedByInstant
from headrace.schedules._walls import days_around, instants_of_days
from headrace.schedules._zones import (
    FIRST,
    LAST,
    MICROSECOND,
    aware,
    instant_of,
    local_times,
    settled,
    span,
    zone_name,
    zone_named,
)
from headrace.schedules.events import ClockEvent, event_maker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dateutil.rrule import rrule, rruleset

__all__ = ["Clock", "ClockEvent", "CronClock", "DatesClock", "IntervalClock", "RRuleClock"]

# Where intervals are counted from when nothing else is said: any fixed time does, so that processes agree.
_COUNTED_FROM = datetime(2019, 1, 1, tzinfo=UTC)


class Clock(ABC):
    """An ascending stream of instants.

    A clock of your own defines `instants`, and the attributes ``start_date``, ``end_date``, ``parameter_defaults``,
    ``labels`` and ``timezone``.
    """

    __slots__ = ()

    start_date: datetime | None
    end_date: datetime | None
    parameter_defaults: dict[str, Any]
    labels: list[str] | None
    timezone: str

    @abstractmethod
    def instants(self, after: int) -> Iterator[int]:
        """Yield the instants later than ``after``, ascending, in microseconds since 1970 in UTC."""

    def events(self, after: datetime | None = None) -> Iterator[ClockEvent]:
        """Yield an event for each time later than ``after``, or than now, in the clock's time zone.

        The times are pendulum datetimes. The stream ends with the year 9999 at the latest.
        """
        make_event = event_maker(self._local_times(), self.parameter_defaults, self.labels)
        return map(make_event, self.instants(instant_after(after)))

    def _local_times(self) -> Callable[[int], datetime]:
        return local_times(self.timezone)


def instant_after(after: datetime | None) -> int:
    """Return the instant of ``after``, or of now."""
    return time_ns() // 1000 if after is None else instant_of(aware(after, "`after`"))


@dataclass(frozen=True, slots=True, eq=False)
class IntervalClock(ComparedByInstant, Clock):
    """The start date and every ``interval`` after it, in time that passes: clocks on walls may be moved meanwhile.

    For "every day at nine" wherever summer time is kept, use `CronClock`.

    Args:
        interval: longer than nothing, of any resolution.
        start_date: what intervals are counted from; by default the beginning of 2019 in UTC.
        end_date, parameter_defaults, labels, timezone: see the module.

    Raises:
        ScheduleError: a ValueError; the interval is not positive, or no zone has that name.
        DefinitionTypeError: a TypeError; an argument has the wrong type.
    """

    interval: timedelta
    start_date: datetime | None = None
    end_date: datetime | None = None
    parameter_defaults: dict[str, Any] = field(default_factory=dict, hash=False)
    labels: list[str] | None = field(default=None, hash=False)
    _: KW_ONLY
    timezone: str = ""

    def __post_init__(self) -> None:
        _set(self, interval=span(self.interval, "An interval"))
        if self.interval <= timedelta(0):
            raise ScheduleError(f"An interval is longer than nothing, and got {self.interval!r}.")
        if self.start_date is None:
            _set(self, start_date=_COUNTED_FROM)
        _settle(self)

    def instants(self, after: int) -> Iterator[int]:
        """Yield the instants later than ``after``."""
        assert self.start_date is not None
        after, until = _window(self, after)
        start, step = instant_of(self.start_date), self.interval // MICROSECOND
        first = start + ((after - start) // step + 1) * step
        return iter(range(first, until + 1, step))


@dataclass(frozen=True, slots=True, eq=False)
class CronClock(ComparedByInstant, Clock):
    """The local times that match a cron expression. Needs the extra ``headrace[cron]``.

    The fields are minute, hour, day of month, month, day of week and, if there is a sixth, second. Names, ranges,
    steps, ``L``, ``LW``, ``5L`` or ``L5``, ``5#2`` and aliases such as ``@daily`` are understood.

    A local time that is skipped when the clock is put forward runs as much later, a repeated one runs the first time.
    An expression whose hours are all 24 runs in every hour that passes instead.

    Args:
        cron: the expression.
        start_date: the first time that may be given.
        end_date, parameter_defaults, labels, timezone: see the module.
        day_or: what to do if day of month and day of week are both restricted. None: either is enough, but both must
            match if one of the fields begins with ``*``, as in Debian. True: either is enough, unless one is a plain
            ``*``. False: both must match.

    Raises:
        ScheduleError: a ValueError; a field cannot be, no day can match, or no zone has that name.
        DefinitionTypeError: a TypeError; an argument has the wrong type.
        MissingDependencyError: an ImportError; the extra is not installed.
    """

    cron: str
    start_date: datetime | None = None
    end_date: datetime | None = None
    parameter_defaults: dict[str, Any] = field(default_factory=dict, hash=False)
    labels: list[str] | None = field(default=None, hash=False)
    day_or: bool | None = None
    _: KW_ONLY
    timezone: str = ""

    def __post_init__(self) -> None:
        from headrace.schedules._cron import CronTable  # noqa: PLC0415 - other clocks need none of it

        CronTable(self.cron, self.day_or)
        _settle(self)

    def instants(self, after: int) -> Iterator[int]:
        """Yield the instants later than ``after``."""
        from headrace.schedules._cron import CronTable  # noqa: PLC0415 - other clocks need none of it

        after, until = _window(self, after)
        if after >= until:
            return iter(())
        zone, table = zone_named(self.timezone), CronTable(self.cron, self.day_or)
        days = table.days(*days_around(after, until, zone))
        return _until(until, instants_of_days(days, zone, after, every_hour=table.every_hour))


@dataclass(frozen=True, slots=True, eq=False)
class DatesClock(ComparedByInstant, Clock):
    """The given datetimes, each in a time zone of its own.

    Args:
        dates: at least one, in any order.
        parameter_defaults, labels: see the module.
        timezone: that of dates without one; by default UTC.
    """

    dates: Sequence[datetime]
    parameter_defaults: dict[str, Any] = field(default_factory=dict, hash=False)
    labels: list[str] | None = field(default=None, hash=False)
    _: KW_ONLY
    timezone: str = ""
    start_date: datetime | None = field(init=False, repr=False)
    end_date: datetime | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given: object = self.dates
        if not isinstance(given, Iterable):
            raise DefinitionTypeError(f"DatesClock takes a list of datetimes, and got {given!r}.")
        zone = zone_named(self.timezone or "UTC")
        by_instant = {instant_of(date): date for date in (settled(date, "A date", zone) for date in given)}
        if not by_instant:
            raise ScheduleError("DatesClock got no dates.", hint="Give it at least one.")
        dates = tuple(by_instant[instant] for instant in sorted(by_instant))
        names = [zone_name(date.tzinfo or UTC) for date in dates]
        _set(self, dates=dates, start_date=dates[0], end_date=dates[-1], timezone=self.timezone or names[0])
        _set(self, **_extras(self))

    def instants(self, after: int) -> Iterator[int]:
        """Yield the instants later than ``after``."""
        return (instant for instant in map(instant_of, self.dates) if after < instant <= LAST)

    def _local_times(self) -> Callable[[int], datetime]:
        zones = {instant_of(date): zone_name(date.tzinfo or UTC) for date in self.dates}
        in_zone = {name: local_times(name) for name in set(zones.values())}
        return lambda instant: in_zone[zones[instant]](instant)


@dataclass(frozen=True, slots=True, eq=False)
class RRuleClock(ComparedByInstant, Clock):
    """The times of a recurrence rule of dateutil.

    A rule names local times. One that is skipped when the clock is put forward runs as much later, a repeated one runs
    the first time, whatever the frequency: for every hour that passes, use `IntervalClock`.

    Finding the next time of a rule that counts its times, or of a set of rules, takes as long as there are times
    before it.

    Args:
        rrule_obj: an rrule or an rruleset.
        start_date: the first time that may be given.
        end_date, parameter_defaults, labels: see the module.
        timezone: that of a rule without one; by default that of the start date.

    Raises:
        ScheduleError: a ValueError; there is no time zone, or more than one, or no zone has that name.
        DefinitionTypeError: a TypeError; an argument has the wrong type.
    """

    rrule_obj: rrule | rruleset = field(compare=False, repr=False)
    start_date: datetime | None = None
    end_date: datetime | None = None
    parameter_defaults: dict[str, Any] = field(default_factory=dict, hash=False)
    labels: list[str] | None = field(default=None, hash=False)
    _: KW_ONLY
    timezone: str = ""
    rule: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        from headrace.schedules import _rules  # noqa: PLC0415 - dateutil, which other clocks do not need

        zone = _rules.zone_of_rule(self.rrule_obj)
        if zone is not None:
            if self.timezone and self.timezone != zone_name(zone):
                raise ScheduleError(
                    f"The rule is in the time zone {zone_name(zone)!r}, and the clock in {self.timezone!r}.",
                    hint="Leave out `timezone`, or give the rule a start without a time zone.",
                )
            _set(self, timezone=zone_name(zone))
        elif not self.timezone and (self.start_date is None or self.start_date.tzinfo is None):
            raise ScheduleError(
                f"The rule {_rules.spoken(self.rrule_obj)} has no time zone, so its local times could mean anything.",
                hint='Write RRuleClock(rule, timezone="Europe/Berlin"), or give the rule a `dtstart` with a time zone.',
            )
        _settle(self)
        _set(self, rule=_rules.described(self.rrule_obj, zone_named(self.timezone)))

    def instants(self, after: int) -> Iterator[int]:
        """Yield the instants later than ``after``."""
        from headrace.schedules._rules import days_of_rule  # noqa: PLC0415 - dateutil, which other clocks do not need

        after, until = _window(self, after)
        if after >= until:
            return iter(())
        zone = zone_named(self.timezone)
        days = days_of_rule(self.rrule_obj, *days_around(after, until, zone))
        return _until(until, instants_of_days(days, zone, after))


class _Bounded(Protocol):
    @property
    def start_date(self) -> datetime | None: ...
    @property
    def end_date(self) -> datetime | None: ...


def _window(clock: _Bounded, after: int) -> tuple[int, int]:
    """Return the instant that times must be later than, and the last one they may have."""
    start, end = clock.start_date, clock.end_date
    after = max(after, FIRST if start is None else instant_of(start) - 1, FIRST)
    return after, LAST if end is None else min(instant_of(end), LAST)


def _until(until: int, instants: Iterable[int]) -> Iterator[int]:
    for instant in instants:
        if instant > until:
            return
        yield instant


def _settle(clock: IntervalClock | CronClock | RRuleClock) -> None:
    """Check the arguments that clocks share and put them into their final form."""
    start, end = clock.start_date, clock.end_date
    name = clock.timezone
    if not name:
        given = None if start is None else aware(start, "The start date of a clock").tzinfo
        name = zone_name(given or UTC)
    zone = zone_named(name)
    _set(
        clock,
        timezone=name,
        start_date=None if start is None else settled(start, "The start date of a clock", zone),
        end_date=None if end is None else settled(end, "The end date of a clock", zone),
        **_extras(clock),
    )


def _extras(clock: Clock) -> dict[str, object]:
    parameters: object = clock.parameter_defaults or {}
    labels: object = clock.labels
    if not isinstance(parameters, Mapping):
        raise DefinitionTypeError(
            f"The parameter defaults of a clock are a dict from name to value, and got {parameters!r}."
        )
    if isinstance(labels, str) or not isinstance(labels, Iterable | None):
        raise DefinitionTypeError(f"The labels of a clock are a list, and got {labels!r}.")
    return {"parameter_defaults": dict(parameters), "labels": None if labels is None else list(labels)}


def _set(clock: Clock, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(clock, name, value)
