from __future__ import annotations

from datetime import timedelta

import pytest

from headrace import Flow, Parameter, task, testing
from headrace.states import Skipped, TimedOut, TriggerFailed


@task(max_retries=3, retry_delay=timedelta(hours=1))
def fetch(page: int) -> int:
    return page


@task
def load(rows: object) -> object:
    return rows


@task(timeout=10)
def convert(rows: object) -> object:
    return rows


def test_a_task_with_an_override_is_not_executed() -> None:
    with Flow("f") as flow:
        rows = load(fetch(1))
    record = testing.run(flow, overrides={rows: 42})
    assert record.result(rows) == 42


def test_a_flow_is_left_as_it_was() -> None:
    with Flow("f") as flow:
        rows = fetch(1)
    testing.run(flow, overrides={rows: 42})
    assert testing.run(flow).result(rows) == 1


def test_an_exception_as_override_is_raised_and_hours_of_retries_take_no_time() -> None:
    with Flow("f") as flow:
        rows = fetch(1)
        loaded = load(rows)
    record = testing.run(flow, overrides={rows: ConnectionError("down")})
    record.assert_ran(rows, times=4)
    record.assert_not_ran(loaded, TriggerFailed)
    assert record.elapsed == 3 * 3600


def test_what_waits_for_a_retry_waits_alone() -> None:
    with Flow("f") as flow:
        fetched = fetch(1)
        load("other")
    record = testing.run(flow, overrides={fetched: ConnectionError})
    assert record.order == ["fetch", "load", "fetch", "fetch", "fetch"]


def test_tasks_that_take_time_take_it_at_the_same_time() -> None:
    with Flow("f") as flow:
        first, second = load(1), load(2)
    record = testing.run(flow, overrides={first: testing.takes(60, "a"), second: testing.takes(90, "b")})
    assert record.elapsed == 90
    assert (record.result(first), record.result(second)) == ("a", "b")


def test_a_task_that_takes_longer_than_its_timeout_is_timed_out_then() -> None:
    with Flow("f") as flow:
        converted = convert(1)
    record = testing.run(flow, overrides={converted: testing.takes(3600)})
    assert isinstance(record[converted], TimedOut)
    assert record.elapsed == 10


def test_an_override_goes_for_each_mapped_child() -> None:
    with Flow("f") as flow:
        pages = fetch.map([1, 2, 3])
    record = testing.run(flow, overrides={pages: "page"})
    assert record.result(pages) == ["page"] * 3
    assert record.times(pages) == 3


def test_parameters_are_handed_on() -> None:
    with Flow("f") as flow:
        loaded = load(Parameter("rows"))
    assert testing.run(flow, parameters={"rows": 7}).result(loaded) == 7


def test_an_assertion_that_does_not_hold_says_what_happened() -> None:
    with Flow("f") as flow:
        loaded = load(fetch(1))
    record = testing.run(flow)
    with pytest.raises(AssertionError, match="'load' ran 1 times, expected none: it ended as Success"):
        record.assert_not_ran(loaded)
    with pytest.raises(AssertionError, match="'load' ran 1 times, expected 2 times"):
        record.assert_ran(loaded, times=2)


def test_the_reason_for_not_running_is_compared_with_the_expected_state() -> None:
    with Flow("f") as flow:
        rows = fetch(1)
        loaded = load(rows)
    record = testing.run(flow, overrides={rows: ValueError()})
    with pytest.raises(AssertionError, match="'load' did not end as Skipped: it ended as TriggerFailed"):
        record.assert_not_ran(loaded, Skipped)
