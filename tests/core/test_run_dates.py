from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from headrace import Flow, context, task
from headrace.exceptions import ParameterError
from headrace.run_dates import date_value

BEGAN = datetime(2026, 2, 28, 23, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("today", "2026-02-28"),
        ("yesterday", "2026-02-27"),
        ("tomorrow", "2026-03-01"),
        ("today_nodash", "20260228"),
        ("yesterday_nodash", "20260227"),
        ("tomorrow_nodash", "20260301"),
    ],
)
def test_dates_follow_from_the_beginning_of_the_run(key: str, expected: str) -> None:
    assert date_value(key, None, BEGAN) == expected


@pytest.mark.parametrize("given", ["2020-05-06", datetime(2020, 5, 6, tzinfo=UTC)])
def test_dates_follow_from_a_date_that_was_given(given: object) -> None:
    assert date_value("tomorrow", given, BEGAN) == "2020-05-07"


def test_date_can_be_calculated_with() -> None:
    assert date_value("date", None, BEGAN).add(days=1).to_date_string() == "2026-03-01"


@pytest.mark.parametrize("given", ["soon", 7])
def test_what_is_no_date_is_refused(given: object) -> None:
    with pytest.raises(ParameterError, match="`date` in the context is"):
        date_value("today", given, BEGAN)


def test_a_task_reads_the_dates_of_its_run() -> None:
    @task
    def read() -> tuple[Any, ...]:
        return context.today, context["yesterday_nodash"], context.get("scheduled_start_time").year

    with Flow("f") as flow:
        dates = read()
    state = flow.run(context={"date": "2021-01-01"})
    assert state.result[dates].result[:2] == ("2021-01-01", "20201231")
    assert state.result[dates].result[2] == datetime.now(UTC).year


def test_a_day_that_was_given_shifts_no_other() -> None:
    @task
    def read() -> tuple[str, str]:
        return context.today, context.tomorrow

    with Flow("f") as flow:
        dates = read()
    today, tomorrow = flow.run(context={"today": "1999-12-31"}).result[dates].result
    assert today == "1999-12-31"
    assert tomorrow > "2026"


@task
def days() -> tuple[str, str]:
    return context.today, context.tomorrow


def test_a_date_around_the_run_counts() -> None:
    with Flow("f") as flow:
        found = days()
    with context(date="2021-01-01"):
        assert flow.run().result[found].result == ("2021-01-01", "2021-01-02")
    with context(today="1999-12-31"):
        assert flow.run(context={"date": "2021-01-01"}).result[found].result == ("1999-12-31", "2021-01-02")


def test_a_run_inside_a_run_has_its_date_unless_it_was_given_one() -> None:
    with Flow("inner") as inner:
        found = days()

    @task
    def nested(**options: Any) -> Any:
        return inner.run(**options).result[found].result[0]

    with Flow("outer") as outer:
        same, other = nested(), nested(context={"date": "2000-01-01"})
    states = outer.run(context={"date": "2021-01-01", "today": "1999-12-31"}).result
    assert (states[same].result, states[other].result) == ("2021-01-01", "2000-01-01")
