"""Recurrence rules of dateutil: read, moved ahead, taken apart and put together again.

dateutil offers no other way to ask a rule what it says than the attributes it keeps to itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from dateutil.rrule import DAILY, HOURLY, MINUTELY, SECONDLY, WEEKLY, rrule, rruleset, rrulestr

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules._zones import SECOND, zone_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

_PERIODS: Final = {
    WEEKLY: timedelta(weeks=1),
    DAILY: timedelta(days=1),
    HOURLY: timedelta(hours=1),
    MINUTELY: timedelta(minutes=1),
    SECONDLY: timedelta(seconds=1),
}

# What each part of a rule set is called in its description, and where the set keeps it.
_RULES: Final = {"rule": "_rrule", "except rule": "_exrule"}
_DATES: Final = {"date": "_rdate", "except date": "_exdate"}


def zone_of_rule(rule: object) -> tzinfo | None:
    """Return the time zone that the times of a rule are in, or None for one without."""
    if not isinstance(rule, rrule | rruleset):
        raise DefinitionTypeError(
            f"RRuleClock takes an rrule or rruleset of dateutil, and got {rule!r}.",
            hint='dateutil.rrule.rrulestr("FREQ=DAILY") makes one from text.',
        )
    try:
        first = next(iter(rule), None)
    except TypeError as error:
        raise ScheduleError(
            "The rule set mixes times with and without a time zone.", hint="Give all of them the same zone."
        ) from error
    return first.tzinfo if first else None


def spoken(rule: rrule | rruleset) -> str:
    """Return what messages call a rule."""
    if isinstance(rule, rrule):
        return repr(str(rule).replace("\n", " "))
    return " ".join(["set", ", ".join(map(spoken, vars(rule)["_rrule"]))]).strip()


def days_of_rule(rule: rrule | rruleset, first: int, last: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield the ordinals of the days of a rule from ``first`` to ``last``, with their times in microseconds."""
    times = iter(_moved_ahead(rule, first))
    for ordinal, group in groupby(_one_zone(times), datetime.toordinal):
        if ordinal > last:
            return
        block = [(time.hour * 3600 + time.minute * 60 + time.second) * SECOND + time.microsecond for time in group]
        if ordinal >= first:
            yield ordinal, block


def _one_zone(times: Iterable[datetime]) -> Iterator[datetime]:
    zone: tzinfo | None = None
    for count, time in enumerate(times):
        if not count:
            zone = time.tzinfo
        elif time.tzinfo is not zone:
            raise _mixed(zone, time.tzinfo)
        yield time


def _moved_ahead(rule: rrule | rruleset, first: int) -> rrule | rruleset:
    """Return a rule with the same times from the day ``first`` on, which need not be counted up to there."""
    said = vars(rule)
    if isinstance(rule, rruleset) or said["_count"] is not None or said["_freq"] not in _PERIODS:
        return rule
    period = _PERIODS[said["_freq"]] * said["_interval"]
    start: datetime = said["_dtstart"]
    periods = (datetime.fromordinal(first) - start.replace(tzinfo=None)) // period
    return rule.replace(dtstart=start + periods * period) if periods > 0 else rule


def described(rule: rrule | rruleset, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    """Return what a rule says as pairs of plain text, its times as local times of ``zone``."""
    if isinstance(rule, rrule):
        return (("", _rule_text(rule, zone)),)
    return (
        *((kind, _rule_text(part, zone)) for kind, place in _RULES.items() for part in vars(rule)[place]),
        *((kind, _date_text(time, zone)) for kind, place in _DATES.items() for time in sorted(vars(rule)[place])),
    )


def from_description(description: Iterable[Sequence[str]]) -> rrule | rruleset:
    """Make a rule of `described` again; its times have no time zone."""
    parts = [(kind, text) for kind, text in description]
    if len(parts) == 1 and not parts[0][0]:
        return rrulestr(parts[0][1])
    whole = rruleset()
    for kind, text in parts:
        if kind in _RULES:
            getattr(whole, "rrule" if kind == "rule" else "exrule")(rrulestr(text))
        else:
            getattr(whole, "rdate" if kind == "date" else "exdate")(datetime.fromisoformat(text))
    return whole


def _rule_text(rule: rrule, zone: tzinfo) -> str:
    # Its text shows the last time without the zone it is in, which is often UTC.
    said = vars(rule)
    until: datetime | None = said["_until"]
    own: tzinfo | None = said["_dtstart"].tzinfo
    if own is not None and zone_name(own) != zone_name(zone):
        raise _mixed(own, zone)
    if until is not None and until.tzinfo is not None:
        rule = rule.replace(until=until.astimezone(zone))
    return str(rule)


def _date_text(time: datetime, zone: tzinfo) -> str:
    return (time.astimezone(zone) if time.tzinfo else time).replace(tzinfo=None).isoformat()


def _mixed(*zones: tzinfo | None) -> ScheduleError:
    return ScheduleError(
        f"The rule set mixes the time zones {' and '.join(map(str, zones))}.", hint="Use a clock for each."
    )
