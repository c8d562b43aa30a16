"""Clocks of intervals, dates and rules; zones, bounds and arguments of all of them."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pendulum
import pytest
from dateutil import tz
from dateutil.rrule import DAILY, HOURLY, MINUTELY, MONTHLY, WEEKLY, YEARLY, rrule, rruleset, rrulestr
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules import IntervalSchedule, RRuleSchedule, Schedule
from headrace.schedules._zones import _hint
from headrace.schedules.clocks import Clock, ClockEvent, CronClock, DatesClock, IntervalClock, RRuleClock

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def times(clock: Clock, after: datetime | None, count: int) -> list[datetime]:
    return [event.start_time for event in islice(clock.events(after), count)]


class TestIntervals:
    def test_the_start_date_is_the_first_time(self) -> None:
        assert times(IntervalClock(HOUR, START), datetime(2020, 1, 1), 2) == [START, START + HOUR]

    def test_times_are_later_than_after(self) -> None:
        assert times(IntervalClock(HOUR, START), START, 1) == [START + HOUR]
        assert times(IntervalClock(HOUR, START), START + HOUR - timedelta(microseconds=1), 1) == [START + HOUR]

    def test_the_end_date_is_included(self) -> None:
        assert times(IntervalClock(HOUR, START, START + HOUR), datetime(2020, 1, 1), 9) == [START, START + HOUR]

    def test_an_end_before_the_start_leaves_nothing(self) -> None:
        assert times(IntervalClock(HOUR, START, START - HOUR), datetime(2020, 1, 1), 9) == []

    def test_without_a_start_intervals_count_from_2019(self) -> None:
        clock = IntervalClock(timedelta(days=7))
        assert clock.start_date == datetime(2019, 1, 1, tzinfo=UTC)
        assert times(clock, datetime(2018, 1, 1), 2) == [
            datetime(2019, 1, 1, tzinfo=UTC),
            datetime(2019, 1, 8, tzinfo=UTC),
        ]

    def test_an_interval_can_be_a_microsecond(self) -> None:
        tick = timedelta(microseconds=1)
        assert times(IntervalClock(tick, START), START, 2) == [START + tick, START + 2 * tick]

    @given(
        st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=400)),
        st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),
        st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),
    )
    def test_the_first_time_after_any_moment_is_the_nearest(self, interval, start, after) -> None:
        start, after = start.replace(tzinfo=UTC), after.replace(tzinfo=UTC)
        (event,) = islice(IntervalClock(interval, start).events(after), 1)
        # pendulum cannot divide by a plain timedelta.
        found = datetime.fromisoformat(event.start_time.isoformat())
        assert found > after
        assert found == start or (found - start) % interval == timedelta(0)
        assert found == start or found - interval <= after

    @pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1)])
    def test_an_interval_of_nothing_is_refused(self, interval: timedelta) -> None:
        with pytest.raises(ScheduleError, match="longer than nothing"):
            IntervalClock(interval)

    def test_a_duration_of_pendulum_is_an_interval(self) -> None:
        assert IntervalClock(pendulum.duration(days=1, hours=1)) == IntervalClock(timedelta(hours=25))

    def test_a_number_is_not_an_interval(self) -> None:
        with pytest.raises(DefinitionTypeError, match="timedelta"):
            IntervalClock(60)  # type: ignore[arg-type]

    def test_the_shorthand_needs_an_interval(self) -> None:
        with pytest.raises(ValueError, match="needs an interval"):
            IntervalSchedule(START)


class TestDates:
    def test_dates_come_in_order_and_once(self) -> None:
        assert times(DatesClock([START + HOUR, START, START]), datetime(2020, 1, 1), 9) == [START, START + HOUR]

    def test_start_and_end_are_the_first_and_last(self) -> None:
        clock = DatesClock([START + HOUR, START])
        assert (clock.start_date, clock.end_date) == (START, START + HOUR)

    def test_each_date_keeps_its_zone(self) -> None:
        found = times(DatesClock([datetime(2024, 6, 1, 9, tzinfo=BERLIN), START]), datetime(2020, 1, 1), 9)
        assert [time.isoformat() for time in found] == ["2024-01-01T00:00:00+00:00", "2024-06-01T09:00:00+02:00"]

    def test_one_name_can_stand_for_two_hours(self) -> None:
        first = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        found = times(DatesClock([first.replace(fold=1), first]), datetime(2020, 1, 1), 9)
        assert [time.utcoffset() for time in found] == [timedelta(hours=2), timedelta(hours=1)]

    def test_no_dates_are_refused(self) -> None:
        with pytest.raises(ScheduleError, match="at least one"):
            DatesClock([])

    @pytest.mark.parametrize("dates", [START, [date(2024, 1, 1)], ["2024-01-01"]])
    def test_other_things_than_datetimes_are_refused(self, dates: object) -> None:
        with pytest.raises(DefinitionTypeError, match="datetime"):
            DatesClock(dates)  # type: ignore[arg-type]


class TestRules:
    def test_a_rule_with_a_zone_gives_its_times(self) -> None:
        rule = rrule(DAILY, dtstart=datetime(2024, 3, 30, 2, 30, tzinfo=BERLIN), count=3)
        found = times(RRuleClock(rule), datetime(2020, 1, 1), 9)
        assert [time.isoformat() for time in found] == [
            "2024-03-30T02:30:00+01:00",
            "2024-03-31T03:30:00+02:00",
            "2024-04-01T02:30:00+02:00",
        ]

    def test_the_zone_may_come_from_dateutil_or_pendulum(self) -> None:
        for zone in (tz.UTC, pendulum.timezone("UTC"), tz.tzoffset(None, 0)):
            rule = rrule(DAILY, dtstart=START.replace(tzinfo=zone))
            assert RRuleClock(rule).timezone == "UTC"

    def test_a_rule_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ScheduleError, match=r"'DTSTART:20240101T000000 RRULE:FREQ=DAILY'.*no time zone.*timezone="):
            RRuleSchedule(rrule(DAILY, dtstart=datetime(2024, 1, 1)))

    def test_a_set_without_a_zone_is_refused(self) -> None:
        rules = rruleset()
        rules.rdate(datetime(2024, 1, 1))
        with pytest.raises(ScheduleError, match="The rule set has no time zone"):
            RRuleClock(rules)

    def test_a_rule_without_a_zone_takes_that_of_the_clock(self) -> None:
        rule = rrule(DAILY, dtstart=datetime(2024, 6, 1, 9))
        (found,) = RRuleSchedule(rule, timezone="Europe/Berlin").next(1, datetime(2024, 1, 1))
        assert found.isoformat() == "2024-06-01T09:00:00+02:00"

    def test_or_that_of_the_start_date(self) -> None:
        rule = rrule(DAILY, dtstart=datetime(2024, 6, 1, 9))
        clock = RRuleClock(rule, datetime(2024, 7, 1, tzinfo=BERLIN))
        assert times(clock, datetime(2024, 1, 1), 1)[0].isoformat() == "2024-07-01T09:00:00+02:00"

    def test_two_zones_are_refused(self) -> None:
        rule = rrule(DAILY, dtstart=START)
        with pytest.raises(ScheduleError, match=r"'UTC'.*'Europe/Berlin'"):
            RRuleClock(rule, timezone="Europe/Berlin")

    def test_a_set_of_two_zones_is_refused(self) -> None:
        rules = rruleset()
        rules.rrule(rrule(DAILY, dtstart=START))
        rules.rrule(rrule(DAILY, dtstart=START.replace(tzinfo=BERLIN)))
        with pytest.raises(ScheduleError, match="mixes"):
            RRuleClock(rules)

    def test_a_set_with_and_without_a_zone_is_refused(self) -> None:
        rules = rruleset()
        rules.rdate(START)
        rules.rdate(datetime(2024, 1, 2))
        with pytest.raises(ScheduleError, match="mixes"):
            RRuleClock(rules)

    def test_a_set_leaves_out_its_exceptions(self) -> None:
        rules = rruleset()
        rules.rrule(rrule(DAILY, dtstart=START, count=3))
        rules.exdate(START + timedelta(days=1))
        rules.rdate(START + timedelta(days=9))
        assert [time.day for time in times(RRuleClock(rules), datetime(2020, 1, 1), 9)] == [1, 3, 10]

    def test_start_and_end_cut_a_rule_and_are_included(self) -> None:
        clock = RRuleClock(rrule(DAILY, dtstart=START), START + timedelta(days=2), START + timedelta(days=4))
        assert [time.day for time in times(clock, datetime(2020, 1, 1), 9)] == [3, 4, 5]

    @pytest.mark.parametrize("rule", ["FREQ=DAILY", None, rrulestr])
    def test_other_things_than_rules_are_refused(self, rule: object) -> None:
        with pytest.raises(DefinitionTypeError, match="rrule"):
            RRuleClock(rule)  # type: ignore[arg-type]

    @settings(max_examples=40, deadline=None)
    @given(
        st.sampled_from([YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY]),
        st.sampled_from([1, 2, 3, 7, 50]),
        st.sampled_from([{}, {"byweekday": (0, 4)}, {"byhour": (2, 3)}, {"bysetpos": -1, "byhour": (1, 2)}]),
        st.datetimes(datetime(2023, 12, 1), datetime(2024, 1, 1)),
        st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 20)),
    )
    def test_a_late_look_at_a_rule_gives_what_counting_from_its_start_gives(
        self, frequency, interval, more, start, after
    ) -> None:
        try:
            rule = rrule(frequency, dtstart=start.replace(microsecond=0), interval=interval, **more)
        except ValueError:
            # From that start it never gets to those hours.
            reject()
        counted = (time.replace(tzinfo=UTC) for time in islice(rule, 80_000))
        expected = list(islice((time for time in counted if time > after.replace(tzinfo=UTC)), 3))
        assert times(RRuleClock(rule, timezone="UTC"), after, 3) == expected

    def test_a_late_look_in_the_middle_of_a_week_leaves_out_no_day(self) -> None:
        """The rule begins on a Wednesday; so the weeks it is moved ahead by do."""
        rule = rrule(WEEKLY, dtstart=datetime(2024, 1, 3), byweekday=(0, 4), interval=2)
        found = times(RRuleClock(rule, timezone="UTC"), datetime(2024, 5, 23), 3)
        assert [(time.month, time.day) for time in found] == [(5, 24), (6, 3), (6, 7)]

    def test_a_late_look_at_a_frequent_rule_is_quick(self) -> None:
        """Counting the minutes from year 1 would take an hour."""
        clock = RRuleClock(rrule(MINUTELY, dtstart=datetime(1, 1, 1)), timezone="UTC")
        assert times(clock, START, 1) == [START + timedelta(minutes=1)]


class TestZones:
    def test_the_zone_is_that_of_the_start_date(self) -> None:
        clock = CronClock("0 9 * * *", datetime(2024, 6, 1, tzinfo=BERLIN))
        assert clock.timezone == "Europe/Berlin"
        assert times(clock, datetime(2024, 1, 1), 1)[0].isoformat() == "2024-06-01T09:00:00+02:00"

    def test_a_start_without_a_zone_is_utc(self) -> None:
        clock = IntervalClock(HOUR, datetime(2024, 1, 1))
        assert clock.timezone == "UTC"
        assert clock.start_date == START

    def test_a_start_without_a_zone_is_in_that_of_the_clock(self) -> None:
        clock = IntervalClock(HOUR, datetime(2024, 1, 1), timezone="Europe/Berlin")
        assert clock.start_date == datetime(2024, 1, 1, tzinfo=BERLIN)

    def test_a_fixed_offset_is_a_zone(self) -> None:
        clock = CronClock("0 9 * * *", datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))))
        assert clock.timezone == "+05:30"
        assert times(clock, START, 1)[0].isoformat() == "2024-01-01T09:00:00+05:30"

    def test_times_are_pendulum_datetimes_that_can_be_counted_with(self) -> None:
        (found,) = times(CronClock("0 9 * * *", timezone="Europe/Berlin"), datetime(2024, 3, 29, 12), 1)
        assert isinstance(found, pendulum.DateTime)
        assert found.add(days=1).isoformat() == "2024-03-31T09:00:00+02:00"

    def test_an_unknown_zone_is_named_with_the_nearest(self) -> None:
        with pytest.raises(ScheduleError, match=r"'Europe/Berln'.*Did you mean 'Europe/Berlin'"):
            CronClock("0 9 * * *", timezone="Europe/Berln")

    def test_without_any_zone_the_package_that_has_them_is_named(self) -> None:
        assert _hint("Europe/Berlin", set()) == "There are none at all here: install the package tzdata."

    @pytest.mark.parametrize("name", ["Europe", "../etc/passwd", "/etc/passwd", "a\0b", "x" * 300, "+25:00"])
    def test_what_is_no_zone_is_refused(self, name: str) -> None:
        with pytest.raises(ScheduleError, match="no time zone named"):
            IntervalClock(HOUR, timezone=name)

    def test_a_zone_is_given_by_name(self) -> None:
        with pytest.raises(DefinitionTypeError, match="by name"):
            IntervalClock(HOUR, timezone=BERLIN)  # type: ignore[arg-type]

    def test_a_zone_that_has_no_name_is_refused(self) -> None:
        class Mine(type(tz.UTC)):  # type: ignore[misc]
            def utcoffset(self, dt):
                return None

        with pytest.raises(ScheduleError, match="no name"):
            IntervalClock(HOUR, datetime(2024, 1, 1, tzinfo=Mine()))

    def test_a_date_is_not_a_start(self) -> None:
        with pytest.raises(DefinitionTypeError, match="datetime"):
            CronClock("0 9 * * *", date(2024, 1, 1))  # type: ignore[arg-type]


class TestEnds:
    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"])
    def test_streams_end_with_the_year_9999(self, zone: str) -> None:
        late = datetime(9999, 12, 29, tzinfo=UTC)
        for clock in (
            IntervalClock(timedelta(days=1), START, timezone=zone),
            CronClock("0 0 * * *", timezone=zone),
            RRuleClock(rrule(DAILY, dtstart=datetime(2024, 1, 1)), timezone=zone),
        ):
            assert len(list(clock.events(late))) in {1, 2}

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_there_is_nothing_after_the_end_of_time(self, zone: str) -> None:
        last = datetime.max.replace(tzinfo=UTC)
        for clock in (
            IntervalClock(HOUR, timezone=zone),
            CronClock("* * * * *", timezone=zone),
            RRuleClock(rrule(DAILY, dtstart=datetime(2024, 1, 1)), timezone=zone),
            DatesClock([last]),
        ):
            assert list(clock.events(last)) == []

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_streams_can_begin_with_the_year_1(self, zone: str) -> None:
        first = times(CronClock("0 0 * * *", timezone=zone), datetime.min.replace(tzinfo=UTC), 2)
        assert [time.year for time in first] == [1, 1]


class TestArguments:
    CLOCKS = (
        IntervalClock(HOUR, START, parameter_defaults={"a": 1}, labels=["x"]),
        CronClock("0 9 * * *", parameter_defaults={"a": 1}, labels=["x"]),
        DatesClock([START], {"a": 1}, ["x"]),
        RRuleClock(rrule(DAILY, dtstart=START), parameter_defaults={"a": 1}, labels=["x"]),
    )

    @pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: type(clock).__name__)
    def test_events_carry_parameters_and_labels_of_their_own(self, clock: Clock) -> None:
        event = next(clock.events(datetime(2020, 1, 1)))
        assert event.parameter_defaults == {"a": 1}
        assert event.labels == ["x"]
        event.parameter_defaults["a"] = 2
        assert clock.parameter_defaults == {"a": 1}

    @pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: type(clock).__name__)
    def test_clocks_can_be_pickled_compared_and_hashed(self, clock: Clock) -> None:
        again = pickle.loads(pickle.dumps(clock))
        assert again == clock
        assert hash(again) == hash(clock)
        assert list(islice(again.events(datetime(2020, 1, 1)), 1)) == list(
            islice(clock.events(datetime(2020, 1, 1)), 1)
        )

    def test_clocks_that_start_at_two_hours_of_one_name_differ(self) -> None:
        first = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        assert IntervalClock(HOUR, first) != IntervalClock(HOUR, first.replace(fold=1))
        assert IntervalClock(HOUR, first) == IntervalClock(HOUR, pendulum.instance(first))

    def test_a_pickled_clock_still_knows_which_of_two_hours_it_starts_at(self) -> None:
        start = pendulum.instance(datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1))
        clock = IntervalClock(HOUR, start)
        assert pickle.loads(pickle.dumps(clock)) == clock

    def test_clocks_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            IntervalClock(HOUR).interval = 2 * HOUR  # type: ignore[misc]

    def test_labels_are_a_list(self) -> None:
        with pytest.raises(DefinitionTypeError, match="labels"):
            IntervalClock(HOUR, labels="nightly")  # type: ignore[arg-type]

    def test_parameter_defaults_are_a_dict(self) -> None:
        with pytest.raises(DefinitionTypeError, match="parameter defaults"):
            IntervalClock(HOUR, parameter_defaults=["a"])  # type: ignore[arg-type]

    def test_without_after_times_are_later_than_now(self) -> None:
        before = datetime.now(UTC)
        (found,) = times(IntervalClock(timedelta(milliseconds=1), START), None, 1)
        assert found > before - timedelta(milliseconds=1)
        assert found < datetime.now(UTC) + timedelta(seconds=1)


class TestEvents:
    def test_events_are_equal_by_instant_parameters_and_labels(self) -> None:
        assert ClockEvent(START) == ClockEvent(START.astimezone(BERLIN))
        assert ClockEvent(START) != ClockEvent(START, {"a": 1})
        assert ClockEvent(START) != ClockEvent(START, labels=["a"])
        assert ClockEvent(START) != START

    def test_two_hours_of_one_name_are_different_and_ordered(self) -> None:
        first = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        assert ClockEvent(first) != ClockEvent(first.replace(fold=1))
        assert ClockEvent(first) < ClockEvent(first.replace(fold=1))
        assert ClockEvent(first.replace(fold=1)) >= ClockEvent(first)

    def test_events_are_ordered_by_time_alone(self) -> None:
        later = ClockEvent(START + HOUR)
        assert sorted([later, ClockEvent(START, {"a": 1}), ClockEvent(START)]) == [
            ClockEvent(START, {"a": 1}),
            ClockEvent(START),
            later,
        ]
        assert later > ClockEvent(START)
        assert ClockEvent(START) <= ClockEvent(START, {"a": 1})

    def test_a_pickled_event_still_knows_which_of_two_hours_it_means(self) -> None:
        events = IntervalClock(HOUR, datetime(2024, 10, 27, 1, tzinfo=BERLIN), labels=["x"]).events(
            datetime(2024, 1, 1)
        )
        for event in islice(events, 4):
            again = pickle.loads(pickle.dumps(event))
            assert again == event
            assert again.start_time.isoformat() == event.start_time.isoformat()

    def test_a_start_without_a_zone_is_utc(self) -> None:
        assert ClockEvent(datetime(2024, 1, 1)).start_time == START


class EveryOtherDay(Clock):
    """A clock as somebody may write one."""

    start_date = None
    end_date = None
    labels = None
    timezone = "Europe/Berlin"

    def __init__(self) -> None:
        self.parameter_defaults = {}

    def instants(self, after: int) -> Iterator[int]:
        day = 86_400_000_000
        return iter(range(after // day * day + 2 * day, after + 9 * day, 2 * day))


def test_a_clock_of_ones_own_needs_a_stream_of_instants_only() -> None:
    assert Schedule([EveryOtherDay()]).next(2, START) == [START + timedelta(days=2), START + timedelta(days=4)]
