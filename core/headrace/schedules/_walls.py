"""From what a clock on the wall shows to instants.

A rule such as "every day at 02:30" names local times. Twice a year some of them happen never or twice:

- a skipped one runs as much later as the clock is moved, so 02:30 runs at 03:30;
- a repeated one runs the first time;
- except that a rule for every hour of the day means the hours that pass, and not their names: it runs whenever the
  clock shows a matching time, and its skipped times are no hours at all.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.schedules._zones import DAY, EPOCH, FIRST, LAST, MICROSECOND, plain_local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

EPOCH_ORDINAL = EPOCH.toordinal()
LAST_ORDINAL = date.max.toordinal()


def days_around(after: int, until: int, zone: tzinfo) -> tuple[int, int]:
    """Return the ordinals of the first and last local day whose times may fall between two instants.

    Local times of the day before can come later than those of a day: around midnight, and where a zone has skipped a
    whole day.
    """
    local = plain_local(zone)
    first = local(max(after, FIRST)).toordinal() - 1
    last = local(min(until, LAST)).toordinal() + 1
    return max(first, 1), min(last, LAST_ORDINAL - 1)


def instants_of_days(
    days: Iterable[tuple[int, Sequence[int]]], zone: tzinfo, after: int, *, every_hour: bool = False
) -> Iterator[int]:
    """Yield the instants later than ``after`` of local times, ascending, each once.

    ``days`` holds ordinals of dates, ascending, each with the microseconds of its day, ascending.
    """
    waiting: Sequence[int] = ()
    for block in _blocks(days, zone, every_hour=every_hour):
        if waiting and block and block[0] <= waiting[-1]:
            waiting = sorted({*waiting, *block})
        else:
            yield from waiting[bisect_right(waiting, after) :]
            waiting = block
    yield from waiting[bisect_right(waiting, after) :]


def _blocks(days: Iterable[tuple[int, Sequence[int]]], zone: tzinfo, *, every_hour: bool) -> Iterator[Sequence[int]]:
    following, offset = 0, 0
    for ordinal, times in days:
        before = offset if ordinal == following else _offset(datetime.fromordinal(ordinal).replace(tzinfo=zone))
        offset = _offset(datetime.fromordinal(ordinal + 1).replace(tzinfo=zone, fold=1))
        if before == offset:
            # No zone has ever changed its offset and changed it back within a day.
            following = ordinal + 1
            midnight = (ordinal - EPOCH_ORDINAL) * DAY - offset
            yield [midnight + time for time in times]
        elif block := _uneven_day(ordinal, times, zone, every_hour=every_hour):
            yield block


def _uneven_day(ordinal: int, times: Iterable[int], zone: tzinfo, *, every_hour: bool) -> Sequence[int]:
    """Return the instants of a day on which the clock is moved."""
    midnight = datetime.fromordinal(ordinal).replace(tzinfo=zone)
    found: set[int] = set()
    for time in times:
        wall = midnight + timedelta(microseconds=time)
        as_utc = (ordinal - EPOCH_ORDINAL) * DAY + time
        first, second = _offset(wall), _offset(wall.replace(fold=1))
        if first >= second or not every_hour:
            found.add(as_utc - first)
        if first > second and every_hour:
            found.add(as_utc - second)
    return sorted(found)


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset // MICROSECOND
