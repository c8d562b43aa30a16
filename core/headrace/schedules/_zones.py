"""Time zones by name, and instants: whole microseconds since 1970 in UTC.

Instants are what clocks count and compare in. Two datetimes of one zone compare by what the clock on the wall shows,
so the second 02:30 of a night in autumn would equal the first; instants tell them apart.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from difflib import get_close_matches
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from headrace.exceptions import DefinitionTypeError, ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from pendulum import DateTime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
DAY = 86_400 * SECOND

# A day from either end of the calendar, so that an instant has a local time in every zone.
FIRST = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND - 1

_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)(?::(\d\d))?")


def zone_named(name: str) -> tzinfo:
    """Return the zone with an IANA name, or with a fixed offset such as ``"+05:30"``."""
    if not isinstance(name, str):
        raise DefinitionTypeError(f"A time zone is given by name, and got {name!r}.", hint='Write "Europe/Berlin".')
    if name == "UTC":
        return UTC
    if match := _OFFSET.fullmatch(name):
        sign, hours, minutes, seconds = match.groups(default="0")
        size = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        if size < timedelta(days=1):
            return timezone(-size if sign == "-" else size)
    try:
        return ZoneInfo(name)
    # What is not found, not a plain name, and a folder of zones, in this order.
    except (KeyError, ValueError, OSError) as error:
        raise ScheduleError(
            f"There is no time zone named {name!r}.", hint=_hint(name, available_timezones())
        ) from error


def _hint(name: str, known: set[str]) -> str:
    if not known:
        return "There are none at all here: install the package tzdata."
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    question = f"Did you mean {near[0]!r}? " if near else ""
    return f"{question}Names look like 'Europe/Berlin'; zoneinfo.available_timezones() lists them."


def zone_name(zone: tzinfo) -> str:
    """Return the name under which `zone_named` finds a zone of whatever library."""
    # pytz calls it zone; zoneinfo, pendulum and newer versions of dateutil call it key.
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str):
        zone_named(name)
        return name
    offset = zone.utcoffset(None)
    if offset is None or offset % timedelta(seconds=1):
        raise ScheduleError(
            f"The time zone {zone!r} has no name, so its rules cannot be looked up.",
            hint='Use zoneinfo.ZoneInfo("Europe/Berlin"), or another name.',
        )
    text = timezone(offset).tzname(None)
    return text if text == "UTC" else text.removeprefix("UTC")


def aware(value: object, what: str, zone: tzinfo = UTC) -> datetime:
    """Return ``value`` with a time zone: its own, or ``zone`` if it has none."""
    if not isinstance(value, datetime):
        hint = "Write datetime(year, month, day)." if isinstance(value, date) else None
        raise DefinitionTypeError(f"{what} is a datetime, and got {value!r}.", hint=hint)
    return value.replace(tzinfo=zone) if value.tzinfo is None else value


def settled(value: object, what: str, zone: tzinfo = UTC) -> datetime:
    """Return ``value`` as a plain datetime in a zone of the standard library: its own, or ``zone`` if it has none.

    Those of other libraries may forget which of two repeated hours they are in when they are pickled.
    """
    t = aware(value, what, zone)
    own = zone_named(zone_name(t.tzinfo or zone))
    return datetime(t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond, tzinfo=own, fold=t.fold)


def span(value: object, what: str) -> timedelta:
    """Return ``value`` as a plain timedelta; those of pendulum cannot be divided by others."""
    if not isinstance(value, timedelta):
        raise DefinitionTypeError(f"{what} is a timedelta, and got {value!r}.", hint="Write timedelta(hours=1).")
    return timedelta(microseconds=timedelta.__floordiv__(value, MICROSECOND))


def instant_of(moment: datetime) -> int:
    """Return the instant of an aware datetime; a local time that is skipped counts as if the clock had not moved."""
    # pendulum's own subtraction builds a calendar interval, which takes twenty times as long.
    return datetime.__sub__(moment, EPOCH) // MICROSECOND


def plain_local(zone: tzinfo) -> Callable[[int], datetime]:
    """Return a function from an instant to its local time."""
    return lambda instant: (EPOCH + timedelta(microseconds=instant)).astimezone(zone)


def local_times(name: str) -> Callable[[int], DateTime]:
    """Return a function from an instant to its local time, in the class that people work with."""
    import pendulum  # noqa: PLC0415 - a schedule that nobody asks for times does not pay for it

    zone = zone_named(name)
    offset = None if isinstance(zone, ZoneInfo) or zone is UTC else zone.utcoffset(None)
    shown = pendulum.timezone(name) if offset is None else pendulum.FixedTimezone(int(offset.total_seconds()))
    datetime_class = pendulum.DateTime
    epoch, delta = EPOCH, timedelta

    def local_time(instant: int) -> DateTime:
        t = (epoch + delta(0, 0, instant)).astimezone(zone)
        return datetime_class(
            t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond, tzinfo=shown, fold=t.fold
        )

    return local_time
