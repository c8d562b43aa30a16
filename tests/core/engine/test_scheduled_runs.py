from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, Parameter, context, task, testing
from headrace.exceptions import DefinitionTypeError, MissingParameterError, ScheduleError
from headrace.schedules import Schedule
from headrace.schedules.clocks import DatesClock, IntervalClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@task
def note(value: object, seen: list[Any]) -> None:
    seen.append((value, context.scheduled_start_time.hour))


def hourly(last: int, **parameters: object) -> IntervalClock:
    return IntervalClock(
        timedelta(hours=1), start_date=START, end_date=START + timedelta(hours=last), parameter_defaults=parameters
    )


def noting(schedule: Schedule, seen: list[Any]) -> Flow:
    with Flow("noting", schedule=schedule) as flow:
        note(Parameter("value"), seen)
    return flow


def test_a_flow_runs_at_each_event_and_waits_in_between() -> None:
    seen: list[Any] = []
    record = testing.run(noting(Schedule([hourly(3, value="x")]), seen))
    assert seen == [("x", 1), ("x", 2), ("x", 3)]
    assert record.elapsed == 3 * 3600


def test_events_of_two_clocks_at_one_moment_both_run() -> None:
    seen: list[Any] = []
    testing.run(noting(Schedule([hourly(1, value="a"), hourly(1, value="b")]), seen))
    assert sorted(seen) == [("a", 1), ("b", 1)]


def test_what_is_given_wins_over_what_the_clock_brings() -> None:
    seen: list[Any] = []
    testing.run(noting(Schedule([hourly(1, value="clock")]), seen), parameters={"value": "given"})
    assert seen == [("given", 1)]


def test_events_that_pass_during_a_run_are_left_out() -> None:
    seen: list[Any] = []
    with Flow("slow", schedule=Schedule([hourly(5)])) as flow:
        slow = note(1, seen)
    record = testing.run(flow, overrides={slow: testing.takes(2.5 * 3600)})
    # It runs from 1:00 to 3:30, and from 4:00 to 6:30, when the schedule is over.
    assert record.times(slow) == 2


def test_a_flow_runs_once_and_now_if_told_so() -> None:
    seen: list[Any] = []
    record = testing.run(noting(Schedule([hourly(3, value="x")]), seen), parameters={"value": 1}, run_on_schedule=False)
    assert seen == [(1, 0)]
    assert record.elapsed == 0


def test_a_required_parameter_that_one_clock_lacks_is_missed_before_anything_waits() -> None:
    clock = testing.VirtualClock(START.timestamp())
    flow = noting(Schedule([hourly(3, value="x"), hourly(3)]), [])
    with pytest.raises(MissingParameterError, match="'value'"):
        testing.run(flow, clock=clock)
    assert clock.now() == START.timestamp()


def test_a_schedule_that_is_over_is_an_error() -> None:
    flow = noting(Schedule([DatesClock([START - timedelta(days=1)], parameter_defaults={"value": 1})]), [])
    with pytest.raises(ScheduleError, match="'noting' has no more events"):
        testing.run(flow)


def test_a_schedule_must_be_one() -> None:
    with pytest.raises(DefinitionTypeError, match="must be a Schedule"):
        Flow("f", schedule="daily")  # type: ignore[arg-type]
