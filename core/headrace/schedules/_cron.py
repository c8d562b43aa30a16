"""Cron expressions: what they say is read by cronsim, when that happens is worked out here.

cronsim walks from one time to the next, which takes some 30 µs for a daily job. A day's times are the same each day,
and a month's days depend on its first weekday and its length alone, so both are tables here.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from headrace.exceptions import DefinitionTypeError, MissingDependencyError, ScheduleError
from headrace.schedules._zones import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cronsim import CronSim

_ALIASES: Final = {
    "@annually": "0 0 1 1 *",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@midnight": "0 0 * * *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@yearly": "0 0 1 1 *",
}
# As cronsim names them in its messages, with the places they have in an expression.
_FIELDS: Final = {
    "minute": (0, "0-59"),
    "hour": (1, "0-23"),
    "day-of-month": (2, "1-31, L for the last, LW for the last weekday"),
    "month": (3, "1-12 or JAN-DEC"),
    "day-of-week": (4, "0-7 or SUN-SAT, 5L for the last Friday, 5#2 for the second"),
    "second": (5, "0-59"),
}


class CronTable:
    """A cron expression in a form that times can be read from."""

    def __init__(self, expression: str, day_or: bool | None) -> None:
        parsed = _parse(expression)
        if day_or is not None:
            parsed.day_and = not day_or or "*" in {parsed.parts[3], parsed.parts[5]}
        self._parsed = parsed
        self._days: dict[tuple[int, int], tuple[int, ...]] = {}
        self.every_hour: Final = len(parsed.hours) == 24
        if not self._can_match():
            raise ScheduleError(
                f"Cron expression {expression!r} never matches: no day fits all its fields.",
                hint="Look at its day of month, month and day of week.",
            )

    def times(self) -> list[int]:
        """Return the times of a matching day, in microseconds."""
        parsed = self._parsed
        return [
            (hour * 3600 + minute * 60 + second) * SECOND
            for hour in sorted(parsed.hours)
            for minute in sorted(parsed.minutes)
            for second in sorted(parsed.seconds)
        ]

    def days(self, first: int, last: int) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield the ordinals of the matching days from ``first`` to ``last``, with their times."""
        times = self.times()
        start = date.fromordinal(first)
        months = sorted(self._parsed.months)
        for year in range(start.year, date.fromordinal(last).year + 1):
            for month in months:
                if year > start.year or month >= start.month:
                    before = date(year, month, 1).toordinal() - 1
                    for day in self._days_of_month(year, month):
                        ordinal = before + day
                        if ordinal > last:
                            return
                        if ordinal >= first:
                            yield ordinal, times

    def _days_of_month(self, year: int, month: int) -> tuple[int, ...]:
        shape = monthrange(year, month)
        days = self._days.get(shape)
        if days is None:
            matches = self._parsed.match_day
            days = tuple(day for day in range(1, shape[1] + 1) if matches(date(year, month, day)))
            self._days[shape] = days
        return days

    def _can_match(self) -> bool:
        # In 28 consecutive years of this century, months of each length begin on each weekday.
        return any(self._days_of_month(year, month) for month in self._parsed.months for year in range(2001, 2029))


def _parse(expression: str) -> CronSim:
    if not isinstance(expression, str):
        raise DefinitionTypeError(f"A cron expression is a text, and got {expression!r}.")
    try:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - an extra, which only cron clocks need
    except ImportError as error:
        raise MissingDependencyError("CronClock", "cronsim", "cron") from error
    fields = _ALIASES.get(expression.strip().lower(), expression).upper().split()
    if len(fields) not in {5, 6}:
        raise ScheduleError(
            f"Cron expression {expression!r} has {len(fields)} fields, and 5 or 6 are expected.",
            hint=f"They are minute, hour, day of month, month, day of week and, if there are six, second; "
            f"or one of {', '.join(_ALIASES)}.",
        )
    # The last Friday is L5 in what people bring along and 5L in cronsim.
    fields[4] = re.sub(r"\bL(\w+)", r"\1L", fields[4])
    in_order = [*fields[5:], *fields[:5]]
    try:
        return CronSim(" ".join(in_order), datetime(2000, 1, 1))  # noqa: DTZ001 - only the fields are used
    except (CronSimError, AssertionError) as error:
        raise _field_error(expression, fields, str(error)) from error


def _field_error(expression: str, fields: list[str], message: str) -> ScheduleError:
    name = message.removeprefix("Bad ")
    if name not in _FIELDS:
        return ScheduleError(f"Cron expression {expression!r} cannot be read: {message or 'a step has no range'}.")
    place, allowed = _FIELDS[name]
    return ScheduleError(
        f"Cron expression {expression!r} has the {name.replace('-', ' ')} {fields[place]!r}, which cannot be.",
        hint=f"It takes {allowed}, with commas, ranges from low to high, and steps.",
    )
