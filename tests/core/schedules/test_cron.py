"""What cron expressions say, and which ones cannot be."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from headrace.exceptions import DefinitionTypeError, HeadraceError, MissingDependencyError, ScheduleError
from headrace.schedules import CronSchedule
from headrace.schedules.clocks import CronClock

START = datetime(2024, 1, 1, tzinfo=UTC)


def times(cron: str, count: int = 3, *, day_or: bool | None = None) -> list[str]:
    return [time.strftime("%Y-%m-%d %H:%M:%S") for time in CronSchedule(cron, START, day_or=day_or).next(count, START)]


def days(cron: str, count: int, *, day_or: bool | None = None) -> list[str]:
    return [time[5:10] for time in times(cron, count, day_or=day_or)]


def a_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(sorted)
    part = st.one_of(
        number.map(str),
        pair.map(lambda two: f"{two[0]}-{two[1]}"),
        st.tuples(pair, st.integers(1, 9)).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
        st.integers(1, 9).map(lambda step: f"*/{step}"),
    )
    return st.one_of(st.just("*"), part, st.lists(part, min_size=2, max_size=3).map(",".join))


expressions = st.tuples(
    a_field(0, 59),
    a_field(0, 23),
    st.one_of(a_field(1, 28), st.sampled_from(["L", "LW"])),
    a_field(1, 12),
    st.one_of(a_field(0, 7), st.sampled_from(["5L", "1#1", "MON-FRI", "SUN"])),
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(expressions)
def test_times_in_utc_are_those_of_cronsim(expression: str) -> None:
    try:
        schedule = CronSchedule(expression)
    except ScheduleError:
        # cronsim takes half a minute to see that a day never comes.
        reject()
    limit = START + timedelta(days=800)
    expected = list(takewhile(lambda time: time < limit, islice(CronSim(expression, START), 20)))
    assert schedule.next(len(expected), START) == expected


@pytest.mark.parametrize("expression", ["* * * * *", "*/7 * * * *", "15,45 * * * *", "0 * * * 0"])
@pytest.mark.parametrize(
    ("zone", "evening"),
    [
        ("Europe/Berlin", datetime(2024, 3, 30, 20)),
        ("Europe/Berlin", datetime(2024, 10, 26, 20)),
        ("Australia/Lord_Howe", datetime(2024, 4, 6, 20)),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, 20)),
        ("America/Santiago", datetime(2024, 4, 6, 18)),
        ("America/Santiago", datetime(2024, 9, 7, 18)),
    ],
)
def test_jobs_of_every_hour_run_as_cronsim_runs_them_in_debian_cron(
    expression: str, zone: str, evening: datetime
) -> None:
    start = evening.replace(tzinfo=ZoneInfo(zone))
    until = start.timestamp() + 12 * 3600
    expected = [
        time.timestamp() for time in takewhile(lambda time: time.timestamp() < until, CronSim(expression, start))
    ]
    found = CronSchedule(expression, timezone=zone).next(len(expected), start)
    assert [time.timestamp() for time in found] == expected


def test_the_start_date_itself_can_be_a_time() -> None:
    clock = CronClock("0 9 * * *", datetime(2024, 1, 1, 9, tzinfo=UTC))
    assert next(clock.events(datetime(2023, 1, 1))).start_time == datetime(2024, 1, 1, 9, tzinfo=UTC)


def test_the_end_date_itself_can_be_a_time() -> None:
    schedule = CronSchedule("0 9 * * *", START, datetime(2024, 1, 2, 9, tzinfo=UTC))
    assert [time.day for time in schedule.next(5, START)] == [1, 2]


def test_a_fraction_of_a_second_after_a_time_the_next_one_comes() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    schedule = CronSchedule("* * * * *")
    assert schedule.next(1, noon - timedelta(microseconds=1)) == [noon]
    assert schedule.next(1, noon) == [noon + timedelta(minutes=1)]
    assert schedule.next(1, noon + timedelta(microseconds=1)) == [noon + timedelta(minutes=1)]


def test_a_sixth_field_is_the_second() -> None:
    assert times("0 12 * * * 15,45") == ["2024-01-01 12:00:15", "2024-01-01 12:00:45", "2024-01-02 12:00:15"]


def test_names_of_months_and_days_can_be_written_in_any_case() -> None:
    assert days("0 0 * feb Mon", 2) == ["02-05", "02-12"]


def test_sunday_is_both_0_and_7() -> None:
    assert days("0 0 * * 0", 4) == days("0 0 * * 7", 4) == ["01-07", "01-14", "01-21", "01-28"]


def test_the_last_day_and_the_last_weekday_of_a_month() -> None:
    assert days("0 0 L * *", 3) == ["01-31", "02-29", "03-31"]
    assert days("0 0 LW * *", 3) == ["01-31", "02-29", "03-29"]


def test_the_last_friday_can_be_written_both_ways() -> None:
    assert days("0 0 * * 5L", 2) == days("0 0 * * L5", 2) == ["01-26", "02-23"]


def test_the_second_friday() -> None:
    assert days("0 0 * * 5#2", 2) == ["01-12", "02-09"]


def test_a_day_on_leap_days_only() -> None:
    assert [time.year for time in CronSchedule("0 0 29 2 *").next(3, datetime(1896, 3, 1))] == [1904, 1908, 1912]


def test_either_day_is_enough_by_default() -> None:
    assert days("0 0 13 * FRI", 4) == days("0 0 13 * FRI", 4, day_or=True) == ["01-05", "01-12", "01-13", "01-19"]


def test_both_days_must_match_without_day_or() -> None:
    assert days("0 0 13 * FRI", 2, day_or=False) == ["09-13", "12-13"]


def test_a_field_that_begins_with_a_star_must_match_as_in_debian_unless_day_or_says_otherwise() -> None:
    assert days("0 0 */10 * MON", 3) == ["03-11", "04-01", "07-01"]
    assert days("0 0 */10 * MON", 4, day_or=True) == ["01-08", "01-11", "01-15", "01-21"]


def test_a_plain_star_restricts_nothing_even_with_day_or() -> None:
    assert days("0 0 13 * *", 2, day_or=True) == ["01-13", "02-13"]


@pytest.mark.parametrize(
    ("alias", "first"),
    [
        ("@hourly", "2024-01-01 01:00:00"),
        ("@daily", "2024-01-02 00:00:00"),
        ("@midnight", "2024-01-02 00:00:00"),
        ("@weekly", "2024-01-07 00:00:00"),
        ("@Monthly", "2024-02-01 00:00:00"),
        ("@yearly", "2025-01-01 00:00:00"),
        ("@annually", "2025-01-01 00:00:00"),
    ],
)
def test_aliases(alias: str, first: str) -> None:
    assert CronSchedule(alias).next(1, START)[0].strftime("%Y-%m-%d %H:%M:%S") == first


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("61 * * * *", "minute '61'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 32 * *", "day of month '32'"),
        ("* * * 13 *", "month '13'"),
        ("* * * foo *", "month 'FOO'"),
        ("* * * * 8", "day of week '8'"),
        ("* * * * * 60", "second '60'"),
        ("*/0 * * * *", "minute '*/0'"),
        ("9-5 * * * *", "minute '9-5'"),
    ],
)
def test_a_field_that_cannot_be_is_named(expression: str, named: str) -> None:
    with pytest.raises(ScheduleError, match="has the") as caught:
        CronClock(expression)
    assert repr(expression) in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize("expression", ["", "* * * *", "* * * * * * 2024", "@reboot"])
def test_a_wrong_number_of_fields_is_told_with_what_they_are(expression: str) -> None:
    with pytest.raises(ScheduleError, match=r"minute, hour, day of month, month, day of week.*@daily"):
        CronClock(expression)


@pytest.mark.parametrize(("expression", "day_or"), [("0 0 30 2 *", None), ("0 0 31 4,6 MON", False)])
def test_days_that_never_come_are_refused(expression: str, day_or: bool | None) -> None:
    with pytest.raises(ScheduleError, match=r"never matches|day of month"):
        CronClock(expression, day_or=day_or)


def test_an_error_of_an_expression_is_a_value_error_and_one_of_headrace() -> None:
    with pytest.raises(ValueError, match="minute") as caught:
        CronSchedule("x * * * *")
    assert isinstance(caught.value, HeadraceError)


def test_an_expression_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(DefinitionTypeError, match="text"):
        CronClock(5)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(st.text("0123456789*/,-#LW MONSUJAN²", max_size=16))
def test_any_text_either_is_an_expression_or_gives_a_clear_error(text: str) -> None:
    clock = None
    with suppress(ScheduleError):
        clock = CronClock(text)
    if clock is not None:
        instants = list(islice(clock.instants(0), 5))
        assert len(instants) == 5
        assert all(first < second for first, second in pairwise(instants))


def test_a_missing_cronsim_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(MissingDependencyError, match=r"headrace\[cron\]"):
        CronClock("* * * * *")
