"""Clocks of local times against a look at the wall every minute, around the changes of the offset of many zones."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import functools
import random
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, HOURLY, MINUTELY, rrule
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.schedules.oracle import DAY, MICROSECONDS, Rule, brute_force, changes, offset_at, zones

from headrace.schedules.clocks import Clock, CronClock, IntervalClock, RRuleClock

ZONES = zones()
changes_of = functools.cache(changes)


def instants(clock: Clock, start: int, end: int) -> list[int]:
    stream = clock.instants(start * MICROSECONDS)
    return list(takewhile(lambda instant: instant <= end * MICROSECONDS, stream))


def listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def cron_and_rule(
    minutes: frozenset[int], hours: frozenset[int], weekdays: frozenset[int], days: frozenset[int]
) -> tuple[str, Rule]:
    """Return an expression and the rule it stands for; an empty set of days is no restriction."""

    def matches_day(day: date) -> bool:
        by_week, by_month = day.isoweekday() % 7 in weekdays, day.day in days
        return (by_week or by_month) if weekdays and days else (by_week or not weekdays) and (by_month or not days)

    expression = f"{listed(minutes)} {listed(hours)} {listed(days) or '*'} * {listed(weekdays) or '*'}"
    return expression, Rule(minutes, hours, matches_day, every_hour=len(hours) == 24)


def some_window(name: str, pick: random.Random) -> tuple[int, int]:
    """Return a span of time around a change of offset of a zone, or around any time if it has none."""
    moments = changes_of(name)
    middle = pick.choice(moments) if moments else pick.randrange(0, 2_000_000_000)
    whole_minutes = all(offset_at(ZoneInfo(name), second) % 60 == 0 for second in (middle - DAY, middle + DAY))
    reach = 30 * 3600 if whole_minutes else 4 * 3600
    return middle - reach + pick.randrange(3600), middle + reach


some_minutes = st.frozensets(st.sampled_from([0, 1, 10, 15, 29, 30, 31, 44, 45, 59]), min_size=1, max_size=4)
some_hours = st.one_of(
    st.just(frozenset(range(24))),
    st.just(frozenset(range(0, 24, 2))),
    st.frozensets(st.sampled_from([0, 1, 2, 3, 4, 9, 12, 22, 23]), min_size=1, max_size=5),
)
some_weekdays: st.SearchStrategy[frozenset[int]] = st.one_of(
    st.just(frozenset()), st.frozensets(st.integers(0, 6), min_size=1)
)
some_days: st.SearchStrategy[frozenset[int]] = st.one_of(
    st.just(frozenset()), st.frozensets(st.integers(1, 31), min_size=20)
)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ZONES), st.integers(0), some_minutes, some_hours, some_weekdays, some_days)
def test_cron_runs_when_a_look_at_the_wall_says_so(name, seed, minutes, hours, weekdays, days) -> None:
    expression, rule = cron_and_rule(minutes, hours, weekdays, days)
    start, end = some_window(name, random.Random(seed))
    assert instants(CronClock(expression, timezone=name), start, end) == brute_force(rule, name, start, end)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ZONES), st.integers(0), some_minutes, some_hours)
def test_a_recurrence_rule_runs_when_a_look_at_the_wall_says_so(name, seed, minutes, hours) -> None:
    start, end = some_window(name, random.Random(seed))
    begin = datetime.fromtimestamp(start, ZoneInfo(name)).replace(tzinfo=None, second=0, microsecond=0)
    rule = rrule(DAILY, dtstart=begin - timedelta(days=3), byhour=sorted(hours), byminute=sorted(minutes), bysecond=0)
    expected = brute_force(Rule(minutes, hours, lambda _: True), name, start, end)
    assert instants(RRuleClock(rule, timezone=name), start, end) == expected


@pytest.mark.parametrize("name", ZONES)
def test_cron_agrees_with_the_wall_at_changes_of_every_kind(name: str) -> None:
    """Of each zone, the first and last change and some between, for a daily, a two-hourly and an hourly job."""
    pick = random.Random(name)
    for _ in range(2):
        start, end = some_window(name, pick)
        for hours in (frozenset(range(24)), frozenset(range(0, 24, 2)), frozenset({0, 2, 23})):
            expression, rule = cron_and_rule(frozenset({0, 30}), hours, frozenset(), frozenset())
            found = instants(CronClock(expression, timezone=name), start, end)
            assert found == brute_force(rule, name, start, end), (expression, start, end)


@pytest.mark.parametrize("name", ZONES)
def test_intervals_are_as_long_on_the_days_of_a_change(name: str) -> None:
    start, end = some_window(name, random.Random(name))
    begin = datetime.fromtimestamp(start, UTC).astimezone(ZoneInfo(name))
    found = instants(IntervalClock(timedelta(minutes=20), begin), start, end)
    assert found == [second * MICROSECONDS for second in range(start + 1200, end + 1, 1200)]


def shown(clock: Clock, after: datetime, count: int) -> list[str]:
    events = clock.events(after)
    return [next(events).start_time.isoformat(timespec="minutes") for _ in range(count)]


def test_a_skipped_time_runs_as_much_later_as_the_clock_is_moved() -> None:
    clock = CronClock("30 2 * * *", timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 3, 30), 3) == [
        "2024-03-30T02:30+01:00",
        "2024-03-31T03:30+02:00",
        "2024-04-01T02:30+02:00",
    ]


def test_a_repeated_time_runs_the_first_time_only() -> None:
    clock = CronClock("30 2 * * *", timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 10, 26), 3) == [
        "2024-10-26T02:30+02:00",
        "2024-10-27T02:30+02:00",
        "2024-10-28T02:30+01:00",
    ]


def test_an_hourly_job_runs_in_both_of_two_hours_of_one_name() -> None:
    clock = CronClock("0 * * * *", timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 10, 26, 22, 30), 4) == [
        "2024-10-27T01:00+02:00",
        "2024-10-27T02:00+02:00",
        "2024-10-27T02:00+01:00",
        "2024-10-27T03:00+01:00",
    ]


def test_an_hourly_job_leaves_out_the_hour_that_does_not_exist() -> None:
    clock = CronClock("0 * * * *", timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 3, 30, 23, 30), 2) == ["2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"]


def test_skipped_times_meet_others_once_and_in_order() -> None:
    """02:00 and 02:30 move to where 03:00 and 03:30 are."""
    clock = CronClock("0,30 2,3 * * *", timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 3, 30, 12), 3) == [
        "2024-03-31T03:00+02:00",
        "2024-03-31T03:30+02:00",
        "2024-04-01T02:00+02:00",
    ]


def test_lord_howe_moves_its_clock_by_half_an_hour() -> None:
    clock = CronClock("15 2 * * *", timezone="Australia/Lord_Howe")
    assert shown(clock, datetime(2024, 10, 5), 2) == ["2024-10-06T02:45+11:00", "2024-10-07T02:15+11:00"]
    assert shown(CronClock("45 1 * * *", timezone="Australia/Lord_Howe"), datetime(2024, 4, 6), 2) == [
        "2024-04-07T01:45+11:00",
        "2024-04-08T01:45+10:30",
    ]


def test_the_day_that_samoa_left_out_is_run_on_the_next() -> None:
    """30 December 2011 was a Friday that never came."""
    fridays = CronClock("0 9 * * 5", timezone="Pacific/Apia")
    assert shown(fridays, datetime(2011, 12, 24), 2) == ["2011-12-31T09:00+14:00", "2012-01-06T09:00+14:00"]
    midnight_of_saturday = datetime(2011, 12, 30, 10)
    assert shown(fridays, midnight_of_saturday, 1) == ["2011-12-31T09:00+14:00"]
    daily = CronClock("0 9 * * *", timezone="Pacific/Apia")
    assert shown(daily, datetime(2011, 12, 29), 3) == [
        "2011-12-29T09:00-10:00",
        "2011-12-31T09:00+14:00",
        "2012-01-01T09:00+14:00",
    ]


def test_midnight_is_skipped_in_santiago() -> None:
    clock = CronClock("0 0 * * *", timezone="America/Santiago")
    assert shown(clock, datetime(2024, 9, 7, 12), 2) == ["2024-09-08T01:00-03:00", "2024-09-09T00:00-03:00"]


def test_an_interval_of_a_day_is_24_hours() -> None:
    clock = IntervalClock(timedelta(days=1), datetime(2024, 3, 30, 9, tzinfo=ZoneInfo("Europe/Berlin")))
    assert shown(clock, datetime(2024, 3, 30), 2) == ["2024-03-30T09:00+01:00", "2024-03-31T10:00+02:00"]


@pytest.mark.parametrize(
    "rule",
    [
        rrule(HOURLY, dtstart=datetime(2024, 10, 1)),
        rrule(MINUTELY, dtstart=datetime(2024, 10, 1), byminute=0),
    ],
)
def test_a_frequent_rule_runs_once_for_each_name_of_an_hour(rule: rrule) -> None:
    clock = RRuleClock(rule, timezone="Europe/Berlin")
    assert shown(clock, datetime(2024, 10, 26, 22, 30), 3) == [
        "2024-10-27T01:00+02:00",
        "2024-10-27T02:00+02:00",
        "2024-10-27T03:00+01:00",
    ]
