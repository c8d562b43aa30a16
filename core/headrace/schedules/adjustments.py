"""Adjustments: functions that move the times of a schedule after the filters have chosen them.

They count in local time: a day later is the same time on the wall, and what the clock skips there comes as much later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.schedules._zones import MICROSECOND, instant_of, plain_local, span

__all__ = ["add", "next_weekday"]


@dataclass(frozen=True, slots=True)
class add:  # noqa: N801 - a class, so that it can be pickled, compared and serialized
    """Add a span of time: its days on the calendar, the rest in time that passes."""

    interval: timedelta

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", span(self.interval, "What add takes"))

    def __call__(self, dt: datetime) -> datetime:
        days = timedelta(days=self.interval.days)
        return _moved(dt, days, self.interval - days)


def next_weekday(dt: datetime) -> datetime:
    """Move Saturdays and Sundays to the Monday after, at the same time."""
    weekday = dt.weekday()
    return dt if weekday < 5 else _moved(dt, timedelta(days=7 - weekday), timedelta(0))


def _moved(moment: datetime, days: timedelta, rest: timedelta) -> datetime:
    """Return a datetime moved on the calendar by ``days`` and then in time by ``rest``."""
    zone = moment.tzinfo or UTC
    if days:
        moment = datetime.__add__(moment, days).replace(tzinfo=zone)
    return plain_local(zone)(instant_of(moment) + rest // MICROSECOND)
