"""Filters: which times of a schedule count.

A filter is a function from a datetime, in the time zone of its clock, to whether it counts. All ranges include both
ends. Datetimes given to a filter without a time zone are UTC; times and dates are those on the wall.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules._identity import ComparedByInstant
from headrace.schedules._zones import instant_of, settled

__all__ = [
    "at_time",
    "between_dates",
    "between_datetimes",
    "between_times",
    "is_day_of_week",
    "is_month_end",
    "is_month_start",
    "is_weekday",
    "is_weekend",
    "on_date",
    "on_datetime",
]

# Classes, so that they can be pickled, compared and serialized; their names are those that people call.
# ruff: noqa: N801


@dataclass(frozen=True, slots=True, eq=False)
class on_datetime(ComparedByInstant):
    """Accept one instant."""

    dt: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", settled(self.dt, "What on_datetime takes"))

    def __call__(self, dt: datetime) -> bool:
        return instant_of(dt) == instant_of(self.dt)


@dataclass(frozen=True, slots=True)
class on_date:
    """Accept one day of every year."""

    month: int
    day: int

    def __post_init__(self) -> None:
        _check_date("on_date", self.month, self.day)

    def __call__(self, dt: datetime) -> bool:
        return (dt.month, dt.day) == (self.month, self.day)


@dataclass(frozen=True, slots=True)
class at_time:
    """Accept one time of every day, to the microsecond."""

    t: time

    def __post_init__(self) -> None:
        _check_time("at_time", self.t)

    def __call__(self, dt: datetime) -> bool:
        return dt.time() == self.t


@dataclass(frozen=True, slots=True, eq=False)
class between_datetimes(ComparedByInstant):
    """Accept the instants from one to another."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", settled(self.start, "What between_datetimes takes"))
        object.__setattr__(self, "end", settled(self.end, "What between_datetimes takes"))

    def __call__(self, dt: datetime) -> bool:
        return instant_of(self.start) <= instant_of(dt) <= instant_of(self.end)


@dataclass(frozen=True, slots=True)
class between_dates:
    """Accept the days of every year from one to another; a range that ends before it starts passes New Year."""

    start_month: int
    start_day: int
    end_month: int
    end_day: int

    def __post_init__(self) -> None:
        _check_date("between_dates", self.start_month, self.start_day)
        _check_date("between_dates", self.end_month, self.end_day)

    def __call__(self, dt: datetime) -> bool:
        start, end = (self.start_month, self.start_day), (self.end_month, self.end_day)
        day = (dt.month, dt.day)
        return start <= day <= end if start <= end else day >= start or day <= end


@dataclass(frozen=True, slots=True)
class between_times:
    """Accept the times of every day from one to another; a range that ends before it starts passes midnight."""

    start: time
    end: time

    def __post_init__(self) -> None:
        _check_time("between_times", self.start)
        _check_time("between_times", self.end)

    def __call__(self, dt: datetime) -> bool:
        now = dt.time()
        return self.start <= now <= self.end if self.start <= self.end else now >= self.start or now <= self.end


@dataclass(frozen=True, slots=True)
class is_day_of_week:
    """Accept one day of the week: 0 is Monday and 6 is Sunday, as in ``datetime.weekday``."""

    day_of_week: int

    def __post_init__(self) -> None:
        if self.day_of_week not in range(7):
            raise ScheduleError(
                f"is_day_of_week takes a day from 0, Monday, to 6, Sunday, and got {self.day_of_week!r}."
            )

    def __call__(self, dt: datetime) -> bool:
        return dt.weekday() == self.day_of_week


def is_weekday(dt: datetime) -> bool:
    """Accept Mondays to Fridays."""
    return dt.weekday() < 5


def is_weekend(dt: datetime) -> bool:
    """Accept Saturdays and Sundays."""
    return dt.weekday() > 4


def is_month_start(dt: datetime) -> bool:
    """Accept the first day of every month."""
    return dt.day == 1


def is_month_end(dt: datetime) -> bool:
    """Accept the last day of every month."""
    return dt.day == monthrange(dt.year, dt.month)[1]


def _check_date(name: str, month: object, day: object) -> None:
    if not isinstance(month, int) or not isinstance(day, int):
        raise DefinitionTypeError(f"{name} takes months and days as numbers, and got {month!r} and {day!r}.")
    # In a leap year, so that 29 February is a day.
    if month not in range(1, 13) or day not in range(1, monthrange(2024, month)[1] + 1):
        raise ScheduleError(f"{name} got month {month} and day {day}, which no year has.")


def _check_time(name: str, value: object) -> None:
    if not isinstance(value, time):
        raise DefinitionTypeError(f"{name} takes a datetime.time, and got {value!r}.", hint="Write time(9, 30).")
    if value.utcoffset() not in {None, timedelta(0)} or value.tzinfo is not None:
        raise DefinitionTypeError(
            f"{name} takes a time on the wall, and got {value!r} with a time zone.",
            hint="The time zone is that of the clock.",
        )
