"""When a rule runs, found by looking at the clock on the wall every minute: slow, and simple enough to be believed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

DAY = 86_400
MICROSECONDS = 1_000_000

# Half an hour, a day left out, midnight, a day twice, two hours, winter as the exception, a war, the pole.
ODD_ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/Santiago",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Manila",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Kwajalein",
]
ALL_ZONES = os.environ.get("HEADRACE_ALL_ZONES") == "1"


def zones() -> list[str]:
    """Return every zone if ``HEADRACE_ALL_ZONES=1``, and otherwise the odd ones and some drawn by a fixed seed."""
    # Names that are no places are copies of others, or local to the machine.
    every = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix/")))
    return every if ALL_ZONES else sorted({*ODD_ZONES, *random.Random(3).sample(every, 10)})


def offset_at(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def changes(name: str) -> list[int]:
    """Return the seconds since 1970 at which a zone changes its offset, from 1890 to 2045.

    No two changes are nearer to each other than some days.
    """
    zone = ZoneInfo(name)
    found = []
    first = int(datetime(1890, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(2045, 1, 1, tzinfo=UTC).timestamp())
    for before in range(first, last, 3 * DAY):
        low, high = before, before + 3 * DAY
        if offset_at(zone, low) != offset_at(zone, high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_at(zone, middle) == offset_at(zone, low) else (low, middle)
            found.append(high)
    return found


@dataclass(frozen=True)
class Rule:
    minutes: frozenset[int]
    hours: frozenset[int]
    matches_day: Callable[[date], bool]
    every_hour: bool = False

    def matches(self, wall: datetime) -> bool:
        return (
            wall.second == 0
            and wall.minute in self.minutes
            and wall.hour in self.hours
            and self.matches_day(wall.date())
        )


def brute_force(rule: Rule, name: str, start: int, end: int) -> list[int]:
    """Return the instants of a rule later than ``start`` and not later than ``end``, both in seconds.

    Looking begins before, so that it is known what the clock has shown already. Where offsets have seconds, it is done
    every second, and begins later: such changes are small.
    """
    zone = ZoneInfo(name)
    step = 60 if offset_at(zone, start) % 60 == offset_at(zone, end) % 60 == 0 else 1
    tick = timedelta(seconds=step)
    found: set[int] = set()
    before: datetime | None = None
    latest = datetime.min  # noqa: DTZ901 - times on a wall have no zone
    begin = start - (2 * DAY if step == 60 else 7200)
    for second in range(begin - begin % step, end + 1, step):
        wall = datetime.fromtimestamp(second, zone).replace(tzinfo=None)
        if before is not None and not rule.every_hour:
            found.update(skipped(rule, before, wall, second - step, tick))
        if rule.matches(wall) and (rule.every_hour or wall > latest):
            found.add(second)
        before, latest = wall, max(wall, latest)
    return sorted(second * MICROSECONDS for second in found if start < second <= end)


def skipped(rule: Rule, before: datetime, now: datetime, second: int, tick: timedelta) -> set[int]:
    """Return when the times between two looks run: as much after the first look as if the clock had gone on."""
    found = set()
    wall = before + tick
    while wall < now:
        if rule.matches(wall):
            found.add(second + int((wall - before).total_seconds()))
        wall += tick
    return found
