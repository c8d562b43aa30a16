"""Schedules as plain data, and back."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, WEEKLY, rrule, rruleset

from headrace.exceptions import ScheduleError
from headrace.schedules import Schedule, adjustments, filters
from headrace.schedules.clocks import Clock, CronClock, DatesClock, IntervalClock, RRuleClock

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rule_set() -> rruleset:
    rules = rruleset()
    rules.rrule(rrule(WEEKLY, dtstart=datetime(2024, 1, 1, 9, tzinfo=BERLIN), byweekday=(0, 4)))
    rules.exrule(rrule(WEEKLY, dtstart=datetime(2024, 1, 8, 9, tzinfo=BERLIN), interval=2))
    rules.rdate(datetime(2024, 1, 3, 12, tzinfo=BERLIN))
    rules.exdate(datetime(2024, 1, 5, 8, tzinfo=UTC))
    return rules


@pytest.mark.parametrize(
    "clock",
    [
        IntervalClock(timedelta(microseconds=1500), START, START + HOUR, {"a": [1, None]}, ["x"]),
        IntervalClock(HOUR, datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)),
        CronClock("0 9 13 * FRI", datetime(2024, 1, 1, tzinfo=BERLIN), day_or=False),
        CronClock("@hourly", timezone="+05:30"),
        DatesClock([START, datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)], {"a": 1}),
        RRuleClock(
            rrule(DAILY, dtstart=datetime(2024, 1, 1, 9, tzinfo=BERLIN), until=datetime(2024, 1, 9, tzinfo=UTC))
        ),
        RRuleClock(rrule(DAILY, dtstart=datetime(2024, 1, 1), count=3), timezone="Europe/Berlin", labels=["x"]),
        RRuleClock(rule_set()),
        RRuleClock(rruleset(), timezone="UTC"),
    ],
    ids=lambda clock: type(clock).__name__,
)
def test_a_clock_comes_back_equal_from_json_and_gives_the_same_events(clock: Clock) -> None:
    schedule = Schedule([clock])
    again = Schedule.from_dict(json.loads(json.dumps(schedule.to_dict())))
    assert again == schedule
    after = datetime(2023, 12, 31)
    assert again.next(20, after, return_events=True) == schedule.next(20, after, return_events=True)


def test_filters_and_adjustments_come_back_equal() -> None:
    schedule = Schedule(
        [IntervalClock(HOUR)],
        filters=[
            filters.is_weekday,
            filters.between_times(time(9), time(17, 30, 0, 5)),
            filters.between_datetimes(START, datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)),
        ],
        or_filters=[filters.at_time(time(9)), filters.is_day_of_week(3), filters.is_month_end],
        not_filters=[filters.between_dates(12, 24, 1, 6), filters.on_date(5, 1), filters.on_datetime(START)],
        adjustments=[adjustments.next_weekday, adjustments.add(timedelta(days=1, microseconds=1))],
    )
    assert Schedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule


def test_a_function_of_ones_own_is_refused_and_named() -> None:
    def only_in_may(moment: datetime) -> bool:
        return moment.month == 5

    with pytest.raises(ScheduleError, match=r"only_in_may.*`filters`"):
        Schedule([IntervalClock(HOUR)], filters=[only_in_may]).to_dict()


def test_a_function_that_only_has_the_name_of_a_filter_is_refused() -> None:
    def is_weekday(moment: datetime) -> bool:
        return True

    with pytest.raises(ScheduleError, match="is_weekday"):
        Schedule([IntervalClock(HOUR)], filters=[is_weekday]).to_dict()


def test_a_parameter_that_json_cannot_hold_is_named() -> None:
    with pytest.raises(ScheduleError, match="'when'"):
        Schedule([IntervalClock(HOUR, parameter_defaults={"when": START})]).to_dict()


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_another_version_is_refused(version: object) -> None:
    record = Schedule([IntervalClock(HOUR)]).to_dict() | {"version": version}
    with pytest.raises(ScheduleError, match="version"):
        Schedule.from_dict(record)


@pytest.mark.parametrize(
    "change",
    [
        {"clocks": [{"type": "IntervalClok"}]},
        {"clocks": [{"type": "IntervalClock"}]},
        {"clocks": [{"type": "IntervalClock", "interval": {"microseconds": "x"}}]},
        {"clocks": [{}]},
        {"clocks": 5},
        {"filters": [{"name": "is_wekday"}]},
        {"filters": [{"name": "at_time", "arguments": {"t": {"time": "late"}}}]},
        {"adjustments": None},
        {"adjustments": [{"name": "is_weekday"}]},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    record = Schedule([IntervalClock(HOUR)]).to_dict() | change
    with pytest.raises(ScheduleError):
        Schedule.from_dict(record)
