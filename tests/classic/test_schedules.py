"""Schedules, section 6 of the classic reference: what somebody who wrote them for the classic engine expects."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, HOURLY, rrule, rruleset

from headrace import Flow, Parameter, context, task, testing
from headrace.schedules import CronSchedule, IntervalSchedule, RRuleSchedule, Schedule, adjustments, filters
from headrace.schedules.clocks import Clock, ClockEvent, CronClock, DatesClock, IntervalClock, RRuleClock

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEW_YORK = ZoneInfo("America/New_York")


def iso(schedule: Schedule, n: int, after: datetime) -> list[str]:
    return [moment.isoformat() for moment in schedule.next(n, after)]


# Schedule


def test_a_schedule_takes_clocks_filters_or_filters_not_filters_and_adjustments_in_this_order():
    schedule = Schedule(
        [IntervalClock(HOUR, START)],
        [filters.is_weekday],
        [filters.at_time(time(9)), filters.at_time(time(15))],
        [filters.on_date(1, 2)],
        [adjustments.add(timedelta(minutes=5))],
    )
    assert iso(schedule, 3, START) == [
        "2026-01-01T09:05:00+00:00",
        "2026-01-01T15:05:00+00:00",
        "2026-01-05T09:05:00+00:00",
    ]


def test_everything_but_the_clocks_may_be_left_out_or_none():
    assert iso(Schedule([IntervalClock(HOUR, START)], None, None, None, None), 1, START) == [
        "2026-01-01T01:00:00+00:00"
    ]


def test_a_schedule_begins_with_the_first_of_its_clocks_and_ends_with_the_last():
    schedule = Schedule(clocks=[IntervalClock(HOUR, START + DAY, START + 2 * DAY), DatesClock([START, START + DAY])])
    assert (schedule.start_date, schedule.end_date) == (START, START + 2 * DAY)


def test_a_schedule_with_a_clock_that_never_ends_has_no_end():
    """A departure: the classic engine gives the latest end that any clock has."""
    schedule = Schedule(clocks=[IntervalClock(HOUR, START), DatesClock([START])])
    assert schedule.end_date is None


def test_adjustments_are_applied_one_after_the_other():
    saturday = datetime(2026, 1, 3, 9, tzinfo=UTC)
    schedule = Schedule([DatesClock([saturday])], adjustments=[adjustments.next_weekday, adjustments.add(HOUR)])
    assert iso(schedule, 1, START) == ["2026-01-05T10:00:00+00:00"]


def test_next_returns_fewer_times_where_the_schedule_ends():
    assert len(Schedule([IntervalClock(HOUR, START, START + 3 * HOUR)]).next(10, after=START)) == 3


def test_after_is_excluded_and_positional():
    assert iso(Schedule([IntervalClock(HOUR, START)]), 1, START)[0] == "2026-01-01T01:00:00+00:00"


def test_an_event_carries_its_start_time_parameters_and_labels():
    clock = IntervalClock(HOUR, START, parameter_defaults={"x": 1}, labels=["a"])
    (event,) = Schedule([clock]).next(1, after=START, return_events=True)
    assert isinstance(event, ClockEvent)
    assert (event.start_time, event.parameter_defaults, event.labels) == (START + HOUR, {"x": 1}, ["a"])


def test_an_event_needs_a_start_time_only():
    event = ClockEvent(START)
    assert (event.parameter_defaults, event.labels) == ({}, None)
    assert event == ClockEvent(start_time=START, parameter_defaults={}, labels=None)


def test_clocks_that_agree_give_one_event_and_clocks_that_differ_in_parameters_two():
    def count(*defaults):
        clocks = [IntervalClock(HOUR, START, parameter_defaults=each) for each in defaults]
        return len([e for e in Schedule(clocks).next(5, START, return_events=True) if e.start_time == START + HOUR])

    assert count({"x": 1}, {"x": 1}) == 1
    assert count({"x": 1}, {"x": 2}) == 2


# Shorthands


def test_interval_schedule_takes_start_interval_and_end():
    schedule = IntervalSchedule(START, HOUR, START + 2 * HOUR)
    assert iso(schedule, 5, START) == ["2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+00:00"]
    assert isinstance(schedule, Schedule)
    assert isinstance(IntervalSchedule(interval=HOUR), Schedule)


def test_cron_schedule_takes_expression_start_end_and_day_or():
    schedule = CronSchedule("0 0 13 * 5", START, datetime(2026, 12, 31, tzinfo=UTC), False)
    assert iso(schedule, 5, START) == [
        "2026-02-13T00:00:00+00:00",
        "2026-03-13T00:00:00+00:00",
        "2026-11-13T00:00:00+00:00",
    ]


def test_rrule_schedule_takes_rule_start_and_end():
    rule = rrule(DAILY, dtstart=START)
    schedule = RRuleSchedule(rule, START + DAY, START + 2 * DAY)
    assert iso(schedule, 5, START - DAY) == ["2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]


# Clocks


@pytest.mark.parametrize(
    "clock",
    [
        IntervalClock(HOUR, START, START + DAY, {"x": 1}, ["a"]),
        CronClock("0 * * * *", START, START + DAY, {"x": 1}, ["a"]),
        RRuleClock(rrule(HOURLY, dtstart=START), START, START + DAY, {"x": 1}, ["a"]),
        DatesClock([START + HOUR], {"x": 1}, ["a"]),
    ],
)
def test_every_clock_takes_parameter_defaults_and_labels_after_its_dates(clock: Clock):
    assert next(clock.events(after=START)) == ClockEvent(START + HOUR, {"x": 1}, ["a"])


def test_the_last_argument_of_a_cron_clock_is_day_or():
    clock = CronClock("0 0 13 * 5", None, None, {}, None, False)
    assert [e.start_time.day for e, _ in zip(clock.events(START), range(2), strict=False)] == [13, 13]


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1)])
def test_an_interval_that_is_not_positive_is_a_value_error(interval: timedelta):
    with pytest.raises(ValueError, match="longer than nothing"):
        IntervalClock(interval)


def test_an_interval_of_less_than_a_minute_can_be_serialized():
    """A departure: sixty seconds were the least that a server took."""
    schedule = IntervalSchedule(START, timedelta(seconds=5))
    assert Schedule.from_dict(schedule.to_dict()) == schedule


def test_the_start_date_of_an_interval_clock_is_its_first_time_and_the_end_date_may_be_its_last():
    clock = IntervalClock(timedelta(days=2), START, START + timedelta(days=4))
    assert iso(Schedule([clock]), 5, START - DAY) == [
        "2026-01-01T00:00:00+00:00",
        "2026-01-03T00:00:00+00:00",
        "2026-01-05T00:00:00+00:00",
    ]


def test_without_a_start_date_intervals_count_from_2019_in_utc():
    assert IntervalClock(HOUR).start_date == datetime(2019, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("expression", ["", "hello", "* * * *", "61 * * * *", "0 0 * * 9"])
def test_an_expression_that_is_not_cron_is_a_value_error(expression: str):
    with pytest.raises(ValueError, match="Cron expression"):
        CronClock(expression)


def test_cron_is_read_in_the_zone_of_the_start_date():
    schedule = CronSchedule("0 9 * * *", datetime(2026, 1, 1, tzinfo=NEW_YORK))
    assert iso(schedule, 1, START) == ["2026-01-01T09:00:00-05:00"]


def test_cron_without_a_start_date_is_read_in_utc():
    assert iso(CronSchedule("0 9 * * *"), 1, START) == ["2026-01-01T09:00:00+00:00"]


def test_a_cron_stream_does_not_end_after_a_thousand_times():
    """A departure: the classic clock gives up after 1000 iterations."""
    assert len(CronSchedule("* * * * *").next(2500, START)) == 2500


def test_a_dates_clock_begins_and_ends_with_its_dates():
    clock = DatesClock([START + DAY, START])
    assert (clock.start_date, clock.end_date) == (START, START + DAY)
    assert iso(Schedule([clock]), 5, START - DAY) == ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"]


def test_only_rules_of_dateutil_make_an_rrule_clock():
    with pytest.raises(TypeError, match="rrule"):
        RRuleClock("FREQ=DAILY")  # type: ignore[arg-type]


def test_a_set_of_rules_makes_an_rrule_clock():
    rules = rruleset()
    rules.rrule(rrule(DAILY, dtstart=START, count=3))
    rules.exdate(START + DAY)
    assert iso(RRuleSchedule(rules), 5, START - DAY) == ["2026-01-01T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]


def test_times_of_a_rule_are_later_than_after_like_those_of_every_clock():
    """A departure: without ``after``, the classic clock may give this very moment."""
    rule = rrule(DAILY, dtstart=START)
    assert iso(RRuleSchedule(rule), 1, START) == ["2026-01-02T00:00:00+00:00"]


def test_a_rule_without_a_zone_is_refused():
    """A departure: the classic clock takes it for UTC."""
    with pytest.raises(ValueError, match="no time zone"):
        RRuleClock(rrule(DAILY, dtstart=datetime(2026, 1, 1)))


# Summer time


def test_36_hours_in_utc_are_36_hours():
    schedule = IntervalSchedule(START, timedelta(hours=36))
    assert iso(schedule, 2, START) == ["2026-01-02T12:00:00+00:00", "2026-01-04T00:00:00+00:00"]


def test_an_interval_of_less_than_a_day_counts_time_that_passes():
    before = datetime(2026, 3, 7, 21, tzinfo=NEW_YORK)
    schedule = IntervalSchedule(before, timedelta(hours=12))
    assert iso(schedule, 2, before) == ["2026-03-08T10:00:00-04:00", "2026-03-08T22:00:00-04:00"]


def test_an_interval_of_a_day_counts_time_that_passes_as_well_and_cron_keeps_the_hour():
    """A departure: intervals of a day and more keep the wall-clock hour in the classic engine."""
    before = datetime(2026, 3, 7, 9, tzinfo=NEW_YORK)
    assert iso(IntervalSchedule(before, DAY), 1, before) == ["2026-03-08T10:00:00-04:00"]
    assert iso(CronSchedule("0 9 * * *", before), 1, before) == ["2026-03-08T09:00:00-04:00"]


def test_a_time_that_is_skipped_runs_an_hour_later_on_that_day_only():
    schedule = CronSchedule("30 2 * * *", datetime(2026, 3, 7, tzinfo=NEW_YORK))
    assert iso(schedule, 3, datetime(2026, 3, 7, tzinfo=NEW_YORK)) == [
        "2026-03-07T02:30:00-05:00",
        "2026-03-08T03:30:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ]


@pytest.mark.parametrize(
    "clock", [IntervalClock(HOUR, START.astimezone(NEW_YORK)), CronClock("0 * * * *", timezone="America/New_York")]
)
def test_an_hourly_clock_runs_in_both_hours_of_one_name(clock: Clock):
    """A departure: the classic schedule loses the second one."""
    after = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
    assert iso(Schedule([clock]), 3, after) == [
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ]


# Filters and adjustments


def test_filters_look_at_the_time_in_the_zone_of_the_clock():
    clock = CronClock("0 * * * *", start_date=datetime(2026, 1, 1, tzinfo=NEW_YORK))
    assert iso(Schedule([clock], filters=[filters.at_time(time(23))]), 1, START) == ["2026-01-01T23:00:00-05:00"]


@pytest.mark.parametrize(
    ("chosen", "days"),
    [
        (filters.on_date(1, 5), [5]),
        (filters.on_datetime(datetime(2026, 1, 7, tzinfo=UTC)), [7]),
        (filters.between_datetimes(START + DAY, START + 3 * DAY), [2, 3, 4]),
        (filters.between_dates(12, 30, 1, 2), [1, 2]),
        (filters.is_weekend, [3, 4, 10, 11, 17, 18, 24, 25, 31]),
        (filters.is_month_start, [1]),
        (filters.is_month_end, [31]),
        (filters.is_day_of_week(0), [5, 12, 19, 26]),
    ],
)
def test_a_month_of_days_through_a_filter(chosen, days):
    schedule = Schedule([IntervalClock(DAY, START, datetime(2026, 1, 31, tzinfo=UTC))], filters=[chosen])
    assert [moment.day for moment in schedule.next(31, START - DAY)] == days


def test_between_dates_may_wrap_around_within_one_month():
    """A departure: the classic filter matches nothing."""
    wrapped = filters.between_dates(1, 20, 1, 10)
    assert [wrapped(datetime(2026, 1, day)) for day in (10, 15, 20)] == [True, False, True]


def test_between_times_includes_both_ends_and_wraps_around_midnight():
    at_night = filters.between_times(time(22), time(6))
    hours = [hour for hour in range(24) if at_night(datetime(2026, 1, 1, hour))]
    assert hours == [0, 1, 2, 3, 4, 5, 6, 22, 23]


def test_monday_is_day_0_of_the_week():
    """As the classic filter works, whatever its documentation says."""
    assert filters.is_day_of_week(0)(datetime(2026, 1, 5))
    assert not filters.is_day_of_week(0)(datetime(2026, 1, 4))


def test_functions_of_ones_own_filter_and_adjust_and_cannot_be_serialized():
    schedule = Schedule(
        [IntervalClock(HOUR, START)],
        filters=[lambda moment: moment.hour % 6 == 0],
        adjustments=[lambda moment: moment + timedelta(minutes=1)],
    )
    assert iso(schedule, 2, START) == ["2026-01-01T06:01:00+00:00", "2026-01-01T12:01:00+00:00"]
    with pytest.raises(ValueError, match="cannot be serialized"):
        schedule.to_dict()


# Flows with a schedule


def scheduled_flow(seen: list[tuple[object, str]], clock: Clock) -> Flow:
    @task
    def note(x):
        seen.append((x, context.scheduled_start_time.isoformat()))

    with Flow("scheduled", schedule=Schedule([clock])) as flow:
        note(Parameter("x", default="default"))
    return flow


def test_a_flow_runs_at_each_event_with_the_parameters_of_the_clock():
    seen: list[tuple[object, str]] = []
    testing.run(scheduled_flow(seen, IntervalClock(HOUR, START, START + 2 * HOUR, parameter_defaults={"x": "clock"})))
    assert seen == [("clock", "2026-01-01T01:00:00+00:00"), ("clock", "2026-01-01T02:00:00+00:00")]


def test_a_clock_without_parameters_leaves_those_of_the_flow():
    seen: list[tuple[object, str]] = []
    testing.run(scheduled_flow(seen, DatesClock([START + HOUR])))
    assert seen == [("default", "2026-01-01T01:00:00+00:00")]


def test_run_on_schedule_false_runs_once_and_now():
    seen: list[tuple[object, str]] = []
    flow = scheduled_flow(seen, IntervalClock(HOUR, START))
    assert flow.run(run_on_schedule=False).is_successful()
    assert [x for x, _ in seen] == ["default"]


def test_a_schedule_can_be_set_after_the_flow_was_made():
    flow = Flow("later")
    flow.schedule = IntervalSchedule(START, HOUR)
    assert flow.schedule.next(1, START)[0] == START + HOUR
