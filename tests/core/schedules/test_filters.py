"""Filters and adjustments, one by one."""

# ruff: noqa: DTZ001 - what a datetime without a time zone means is part of what is tested

from __future__ import annotations

import pickle
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest

from headrace.exceptions import DefinitionTypeError, ScheduleError
from headrace.schedules import adjustments, filters

BERLIN = ZoneInfo("Europe/Berlin")


def at(month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, *, year: int = 2024) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("accepts", "yes", "no"),
    [
        (filters.on_datetime(datetime(2024, 1, 1, 8)), [at(hour=9)], [at(hour=8)]),
        (filters.on_date(2, 29), [at(2, 29, 23)], [at(2, 28), at(3, 1)]),
        (filters.at_time(time(9, 30)), [at(1, 1, 9, 30), at(7, 1, 9, 30)], [at(1, 1, 9, 31)]),
        (
            filters.between_datetimes(datetime(2024, 1, 1, 8), at(1, 2)),
            [at(1, 1, 9), at(1, 2)],
            [at(1, 1, 8, 59), at(1, 2, 0, 1)],
        ),
        (filters.between_dates(3, 1, 5, 31), [at(3, 1), at(4, 15), at(5, 31, 23)], [at(2, 29), at(6, 1)]),
        (filters.between_dates(11, 15, 2, 1), [at(11, 15), at(12, 31), at(1, 1), at(2, 1)], [at(11, 14), at(2, 2)]),
        (filters.between_dates(6, 20, 6, 10), [at(6, 20), at(12, 31), at(6, 10)], [at(6, 11), at(6, 19)]),
        (filters.between_dates(6, 10, 6, 10), [at(6, 10)], [at(6, 9), at(6, 11)]),
        (filters.between_times(time(9), time(17)), [at(hour=9), at(hour=17)], [at(1, 1, 8, 59), at(1, 1, 17, 1)]),
        (filters.between_times(time(22), time(6)), [at(hour=22), at(hour=0), at(hour=6)], [at(hour=12)]),
        (filters.is_day_of_week(0), [at(1, 1)], [at(1, 2), at(1, 7)]),
        (filters.is_day_of_week(6), [at(1, 7)], [at(1, 1)]),
        (filters.is_weekday, [at(1, 1), at(1, 5)], [at(1, 6), at(1, 7)]),
        (filters.is_weekend, [at(1, 6), at(1, 7)], [at(1, 1), at(1, 5)]),
        (filters.is_month_start, [at(2, 1)], [at(2, 2), at(1, 31)]),
        (filters.is_month_end, [at(2, 29), at(2, 28, year=2023), at(12, 31)], [at(2, 28), at(12, 30)]),
    ],
)
def test_a_filter_accepts_what_its_name_says(accepts, yes, no) -> None:
    assert [moment for moment in yes if not accepts(moment)] == []
    assert [moment for moment in no if accepts(moment)] == []


def test_the_first_of_two_hours_of_one_name_is_not_the_second() -> None:
    first = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
    assert not filters.on_datetime(first)(first.replace(fold=1))
    assert not filters.between_datetimes(first, first)(first.replace(fold=1))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: filters.on_datetime("2024-01-01"), DefinitionTypeError),  # type: ignore[arg-type]
        (lambda: filters.at_time(datetime(2024, 1, 1)), DefinitionTypeError),  # type: ignore[arg-type]
        (lambda: filters.at_time(time(9, tzinfo=UTC)), DefinitionTypeError),
        (lambda: filters.between_times(time(9), 17), DefinitionTypeError),  # type: ignore[arg-type]
        (lambda: filters.on_date("1", 1), DefinitionTypeError),  # type: ignore[arg-type]
        (lambda: filters.on_date(13, 1), ScheduleError),
        (lambda: filters.on_date(2, 30), ScheduleError),
        (lambda: filters.between_dates(1, 1, 4, 31), ScheduleError),
        (lambda: filters.is_day_of_week(7), ScheduleError),
        (lambda: filters.is_day_of_week("monday"), ScheduleError),  # type: ignore[arg-type]
        (lambda: adjustments.add(5), DefinitionTypeError),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(make, error) -> None:
    with pytest.raises(error):
        make()


@pytest.mark.parametrize("name", filters.__all__)
def test_every_filter_is_a_function_or_makes_one_that_can_be_pickled(name: str) -> None:
    made = {
        "at_time": filters.at_time(time(9)),
        "between_dates": filters.between_dates(1, 1, 2, 2),
        "between_datetimes": filters.between_datetimes(at(), at()),
        "between_times": filters.between_times(time(9), time(10)),
        "is_day_of_week": filters.is_day_of_week(1),
        "on_date": filters.on_date(1, 1),
        "on_datetime": filters.on_datetime(at()),
    }.get(name, getattr(filters, name))
    assert pickle.loads(pickle.dumps(made)) == made


def test_hours_are_added_in_time_that_passes() -> None:
    assert adjustments.add(timedelta(hours=2))(at(3, 31, 1)).isoformat() == "2024-03-31T04:00:00+02:00"


def test_days_are_added_on_the_calendar() -> None:
    assert adjustments.add(timedelta(days=1))(at(3, 30, 9)).isoformat() == "2024-03-31T09:00:00+02:00"
    assert adjustments.add(timedelta(days=1, hours=1))(at(3, 30, 9)).isoformat() == "2024-03-31T10:00:00+02:00"
    assert adjustments.add(timedelta(days=1))(at(3, 30, 2, 30)).isoformat() == "2024-03-31T03:30:00+02:00"


def test_a_duration_of_pendulum_can_be_added() -> None:
    assert adjustments.add(pendulum.duration(hours=1))(at()) == at(hour=1)


def test_time_can_be_taken_away() -> None:
    assert adjustments.add(timedelta(hours=-1))(at(1, 2, 0, 30)).isoformat() == "2024-01-01T23:30:00+01:00"


@pytest.mark.parametrize(("day", "expected"), [(5, 5), (6, 8), (7, 8), (8, 8)])
def test_the_next_weekday_is_the_day_itself_or_monday(day: int, expected: int) -> None:
    assert adjustments.next_weekday(at(1, day, 9)) == at(1, expected, 9)
