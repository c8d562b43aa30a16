"""Schedules: unions of clocks, filters, adjustments, and what `next` returns."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import pickle
import random
from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.exceptions import DefinitionTypeError
from headrace.schedules import CronSchedule, IntervalSchedule, Schedule, adjustments, filters
from headrace.schedules.clocks import ClockEvent, CronClock, DatesClock, IntervalClock

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOURLY = IntervalClock(HOUR, START)
DAILY = IntervalClock(DAY, START)


def test_clocks_are_merged_by_time() -> None:
    schedule = Schedule([IntervalClock(3 * HOUR, START), IntervalClock(2 * HOUR, START)])
    assert [moment.hour for moment in schedule.next(5, START)] == [2, 3, 4, 6, 8]


def test_equal_clocks_give_one_event() -> None:
    assert Schedule([HOURLY, HOURLY]).next(2, START) == [START + HOUR, START + 2 * HOUR]


def test_clocks_of_different_zones_agree_on_an_instant_once() -> None:
    berlin = CronClock("0 9 * * *", timezone="Europe/Berlin")
    utc = CronClock("0 8 * * *", timezone="UTC")
    found = Schedule([berlin, utc]).next(2, START)
    assert [moment.isoformat() for moment in found] == ["2024-01-01T09:00:00+01:00", "2024-01-02T09:00:00+01:00"]


def test_parameters_of_clocks_are_kept_apart() -> None:
    clocks = [IntervalClock(HOUR, START, parameter_defaults={"a": value}) for value in (1, 2, 1)]
    events = Schedule(clocks).next(4, START, return_events=True)
    assert [event.parameter_defaults["a"] for event in events] == [1, 2, 1, 2]
    assert [event.start_time for event in events] == [START + HOUR] * 2 + [START + 2 * HOUR] * 2


def test_labels_keep_events_apart() -> None:
    clocks = [IntervalClock(HOUR, START, labels=[label]) for label in ("a", "b")]
    assert [event.labels for event in Schedule(clocks).next(2, START, return_events=True)] == [["a"], ["b"]]


def test_an_hour_that_comes_twice_is_run_twice() -> None:
    clock = IntervalClock(HOUR, datetime(2024, 10, 27, 1, tzinfo=BERLIN))
    found = Schedule([clock, clock]).next(4, datetime(2024, 1, 1))
    assert [moment.isoformat() for moment in found] == [
        "2024-10-27T01:00:00+02:00",
        "2024-10-27T02:00:00+02:00",
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T03:00:00+01:00",
    ]


some_clocks = st.lists(
    st.one_of(
        st.integers(1, 300).map(lambda minutes: IntervalClock(timedelta(minutes=minutes), START)),
        st.sampled_from(["*/30 * * * *", "30 2 * * *", "0 */2 * * *"]).flatmap(
            lambda cron: st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"]).map(
                lambda zone: CronClock(cron, timezone=zone)
            )
        ),
        st.integers(0, 10**6).map(
            lambda seed: DatesClock([START + timedelta(minutes=30 * random.Random(seed).randrange(20_000))])
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(some_clocks, st.sampled_from([datetime(2024, 3, 31), datetime(2024, 4, 6, 12), datetime(2024, 10, 26, 20)]))
def test_a_union_has_every_instant_of_its_clocks_once(clocks, after) -> None:
    until = after.replace(tzinfo=UTC) + 2 * DAY
    single = {
        event.instant
        for clock in clocks
        for event in takewhile(lambda event: event.start_time <= until, clock.events(after))
    }
    found = [event.instant for event in islice(Schedule(clocks).events(after), len(single))]
    assert found == sorted(single)
    assert all(first < second for first, second in pairwise(found))


@settings(max_examples=30, deadline=None)
@given(some_clocks, st.integers(1, 20))
def test_asking_again_after_each_time_gives_the_same_times(clocks, count) -> None:
    schedule = Schedule(clocks)
    after = datetime(2024, 10, 26, 20, tzinfo=UTC)
    at_once = schedule.next(count, after)
    one_by_one = []
    for _ in at_once:
        (after,) = schedule.next(1, after)
        one_by_one.append(after)
    assert [moment.timestamp() for moment in one_by_one] == [moment.timestamp() for moment in at_once]


def test_next_gives_datetimes_of_pendulum_or_events() -> None:
    schedule = Schedule([HOURLY])
    assert isinstance(schedule.next(1, START)[0], pendulum.DateTime)
    assert schedule.next(1, START, return_events=True) == [ClockEvent(START + HOUR)]


@pytest.mark.parametrize("count", [0, -1])
def test_next_of_nothing_is_nothing(count: int) -> None:
    assert Schedule([HOURLY]).next(count) == []


def test_a_schedule_without_clocks_has_no_times() -> None:
    assert Schedule([]).next(3) == []


def test_next_counts_from_now() -> None:
    (found,) = Schedule([HOURLY]).next(1)
    assert datetime.now(UTC) - HOUR < found <= datetime.now(UTC) + HOUR


def test_after_without_a_zone_is_utc() -> None:
    assert Schedule([HOURLY]).next(1, datetime(2024, 1, 1)) == [START + HOUR]


def test_after_is_a_datetime() -> None:
    with pytest.raises(DefinitionTypeError, match="`after`"):
        Schedule([HOURLY]).next(1, "2024-01-01")  # type: ignore[call-overload]


def test_all_filters_must_accept() -> None:
    schedule = Schedule([HOURLY], filters=[filters.is_weekend, filters.at_time(time(9))])
    assert schedule.next(2, START) == [datetime(2024, 1, 6, 9, tzinfo=UTC), datetime(2024, 1, 7, 9, tzinfo=UTC)]


def test_one_of_the_or_filters_must_accept() -> None:
    schedule = Schedule([HOURLY], or_filters=[filters.at_time(time(9)), filters.at_time(time(17))])
    assert [moment.hour for moment in schedule.next(3, START)] == [9, 17, 9]


def test_none_of_the_not_filters_may_accept() -> None:
    schedule = Schedule([DAILY], not_filters=[filters.is_weekend, filters.on_date(1, 3)])
    assert [moment.day for moment in schedule.next(4, START)] == [2, 4, 5, 8]


def test_filters_see_the_time_of_the_clock() -> None:
    clocks = [IntervalClock(HOUR, START.astimezone(ZoneInfo("America/New_York")))]
    (found,) = Schedule(clocks, filters=[filters.at_time(time(9))]).next(1, START)
    assert found.isoformat() == "2024-01-01T09:00:00-05:00"


def test_filters_that_never_accept_end_the_schedule_after_10_000_events() -> None:
    seen = []
    schedule = Schedule([HOURLY], filters=[lambda moment: bool(seen.append(moment))])  # type: ignore[func-returns-value]
    assert schedule.next(5, START) == []
    assert len(seen) == 10_000


def test_a_filter_that_accepts_now_and_then_does_not_end_the_schedule() -> None:
    schedule = Schedule([IntervalClock(timedelta(minutes=1), START)], filters=[filters.at_time(time(9))])
    assert len(schedule.next(30, START)) == 30


def test_there_is_no_limit_without_filters() -> None:
    assert len(Schedule([HOURLY]).next(25_000, START)) == 25_000


def test_what_a_filter_raises_is_raised() -> None:
    def breaks(moment: datetime) -> bool:
        raise LookupError(moment.day)

    with pytest.raises(LookupError):
        Schedule([HOURLY], filters=[breaks]).next(1)


def test_adjustments_are_applied_in_order_after_the_filters() -> None:
    schedule = Schedule(
        [DAILY], filters=[filters.is_month_start], adjustments=[adjustments.next_weekday, adjustments.add(9 * HOUR)]
    )
    assert [moment.isoformat() for moment in schedule.next(3, START)] == [
        "2024-02-01T09:00:00+00:00",
        "2024-03-01T09:00:00+00:00",
        "2024-04-01T09:00:00+00:00",
    ]
    assert schedule.next(5, START)[-1] == datetime(2024, 6, 3, 9, tzinfo=UTC)


def test_an_adjustment_to_earlier_times_can_return_earlier_ones() -> None:
    assert Schedule([HOURLY], adjustments=[adjustments.add(-2 * HOUR)]).next(1, START) == [START - HOUR]


def test_events_that_become_equal_are_one() -> None:
    """Saturday, Sunday and Monday all run on Monday, once at nine and once at ten."""
    clocks = [CronClock("0 9,10 * * *")]
    found = Schedule(clocks, adjustments=[adjustments.next_weekday]).next(6, datetime(2024, 1, 4, 12))
    assert [(moment.day, moment.hour) for moment in found] == [(5, 9), (5, 10), (8, 9), (8, 10), (9, 9), (9, 10)]


def test_an_adjusted_event_keeps_its_parameters() -> None:
    clock = IntervalClock(HOUR, START, parameter_defaults={"a": 1}, labels=["x"])
    (event,) = Schedule([clock], adjustments=[adjustments.add(HOUR)]).next(1, START, return_events=True)
    assert event == ClockEvent(START + 2 * HOUR, {"a": 1}, ["x"])


def test_an_adjustment_of_ones_own_may_return_a_plain_datetime() -> None:
    schedule = Schedule(
        [HOURLY], adjustments=[lambda moment: datetime(2030, 1, 1, tzinfo=BERLIN), adjustments.add(DAY)]
    )
    (found,) = schedule.next(1, START)
    assert isinstance(found, pendulum.DateTime)
    assert found.isoformat() == "2030-01-02T00:00:00+01:00"


@pytest.mark.parametrize("result", [None, "tomorrow", datetime(2024, 1, 1)])
def test_an_adjustment_that_returns_something_else_is_told(result: object) -> None:
    with pytest.raises(DefinitionTypeError, match="returned"):
        Schedule([HOURLY], adjustments=[lambda _: result]).next(1)  # type: ignore[list-item,return-value]


def test_start_and_end_are_those_of_all_clocks() -> None:
    schedule = Schedule([DatesClock([START, START + DAY]), IntervalClock(HOUR, START - DAY, START)])
    assert (schedule.start_date, schedule.end_date) == (START - DAY, START + DAY)


def test_a_clock_without_start_or_end_leaves_the_schedule_without() -> None:
    schedule = Schedule([CronClock("0 9 * * *"), DatesClock([START])])
    assert (schedule.start_date, schedule.end_date) == (None, None)


@pytest.mark.parametrize("clocks", [HOURLY, [HOUR], ["* * * * *"]])
def test_other_things_than_clocks_are_refused(clocks: object) -> None:
    with pytest.raises(DefinitionTypeError, match="clocks"):
        Schedule(clocks)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [filters.is_weekday, [filters.at_time], ["weekday"]])
def test_other_things_than_filters_are_refused(given: object) -> None:
    """Above all one whose arguments were forgotten, which would accept everything."""
    with pytest.raises(DefinitionTypeError, match="`filters`"):
        Schedule([HOURLY], filters=given)  # type: ignore[arg-type]


def test_schedules_can_be_pickled_compared_and_hashed() -> None:
    schedule = Schedule([HOURLY], filters=[filters.is_weekday], adjustments=[adjustments.add(HOUR)])
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)


def test_shorthands_are_schedules_of_one_clock() -> None:
    assert IntervalSchedule(START, HOUR) == Schedule([HOURLY])
    assert CronSchedule("0 9 * * *", START, timezone="UTC") == Schedule([CronClock("0 9 * * *", START)])
