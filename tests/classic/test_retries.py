"""Retries, section 5.4 of the classic reference."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace import Flow, context, flatten, signals, task, testing
from headrace.states import Failed, Mapped, State, Success, TimedOut


class Flaky:
    """A task that fails as often as it is told."""

    def __init__(self, failures: int, error: BaseException | None = None, **options: Any) -> None:
        self.failures = failures
        self.error = error or ConnectionError("down")
        self.calls: list[Any] = []
        self.task = task(self.call, **{"name": "flaky", "max_retries": 3, "retry_delay": 60, **options})

    def call(self, x: Any = None) -> Any:
        self.calls.append(x)
        if len(self.calls) <= self.failures:
            raise self.error
        return x

    def run(self) -> tuple[State, testing.FlowRunRecord] | Any:
        with Flow("f") as flow:
            made = self.task()
        record = testing.run(flow)
        return record[made], record


def test_there_is_one_attempt_more_than_retries():
    flaky = Flaky(10)
    state, _ = flaky.run()
    assert (type(state), len(flaky.calls)) == (Failed, 4)


@pytest.mark.parametrize("delay", [timedelta(minutes=1), 60, 60.0, [60], lambda retry: 60])
def test_a_constant_delay_comes_before_every_retry(delay):
    _, record = Flaky(10, retry_delay=delay).run()
    assert record.elapsed == 3 * 60


def test_every_attempt_gets_the_same_arguments_and_upstream_tasks_do_not_run_again():
    flaky = Flaky(2)
    with Flow("f") as flow:
        source = task(lambda: [1], name="source")()
        flaky.task(source)
    record = testing.run(flow)
    assert flaky.calls == [[1], [1], [1]]
    assert record.times(source) == 1


def test_what_comes_after_waits_for_the_last_attempt():
    flaky = Flaky(2)
    with Flow("f") as flow:
        last = task(lambda x: len(flaky.calls), name="last")(flaky.task())
    assert testing.run(flow).result(last) == 3


def test_the_message_of_a_retry_has_the_attempt_and_how_many_there_are():
    messages: list[Any] = []
    flaky = Flaky(2, state_handlers=[lambda _task, _old, new: messages.append(new.message)])
    flaky.run()
    assert "Attempt 1 of 4 failed, the next is in 60 s" in messages
    assert "Attempt 2 of 4 failed, the next is in 60 s" in messages


# retry_on


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ConnectionError(), 4),
        (ConnectionResetError(), 4),
        (ValueError(), 1),
        (signals.FAIL("no"), 1),
        (signals.FAIL("no", result=ConnectionError()), 4),
    ],
)
def test_retry_on_asks_what_kind_of_error_the_result_is(error, attempts):
    flaky = Flaky(10, error, retry_on=ConnectionError)
    flaky.run()
    assert len(flaky.calls) == attempts


def test_retry_on_sees_timeouts():
    with Flow("f") as flow:
        slow = task(lambda: None, name="slow", timeout=5, max_retries=1, retry_delay=0, retry_on=TimeoutError)()
        other = task(lambda: None, name="other", timeout=5, max_retries=1, retry_delay=0, retry_on=ValueError)()
    record = testing.run(flow, overrides={slow: testing.takes(60), other: testing.takes(60)})
    assert type(record[slow]) is TimedOut
    assert (record.times(slow), record.times(other)) == (2, 1)


# What is not retried


def test_a_map_that_cannot_be_made_is_not_retried():
    attempts: list[Any] = []

    class Odd:
        def __iter__(self) -> Any:
            attempts.append(1)
            raise ConnectionError

    with Flow("f") as flow:
        odd = task(Odd, name="odd")()
        mapped = task(lambda x: x, name="mapped", max_retries=3, retry_delay=0).map(odd)
    assert type(flow.run().result[mapped]) is Failed
    assert len(attempts) == 1


def test_arguments_that_cannot_be_prepared_are_a_failure_of_the_attempt():
    """Unlike a map that cannot be made: another look at a result that is read from elsewhere may succeed."""
    looks: list[Any] = []

    class Odd:
        def __iter__(self) -> Any:
            looks.append(1)
            if len(looks) == 1:
                raise ConnectionError
            return iter([[1], [2]])

    with Flow("f") as flow:
        odd = task(Odd, name="odd")()
        last = task(lambda xs: xs, name="last", max_retries=1, retry_delay=0)(flatten(odd))
    assert flow.run().result[last].result == [1, 2]


# Maps


def test_each_child_has_attempts_of_its_own():
    counts: list[Any] = []

    def run(x: int) -> int:
        counts.append((x, context.task_run_count))
        if context.task_run_count <= x:
            raise ConnectionError
        return x

    with Flow("f") as flow:
        mapped = task(run, name="run", max_retries=2, retry_delay=60).map([0, 1, 2, 3])
    record = testing.run(flow)
    state = record[mapped]
    assert isinstance(state, Mapped)
    assert [type(child) for child in state.map_states] == [Success, Success, Success, Failed]
    assert sorted(counts) == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)]
    # They wait at the same time.
    assert record.elapsed == 2 * 60


# One at a time


def test_while_a_task_waits_for_its_retry_others_run():
    order: list[str] = []

    def fail_once() -> None:
        order.append("flaky")
        if context.task_run_count == 1:
            raise ConnectionError

    with Flow("f") as flow:
        task(fail_once, name="flaky", max_retries=1, retry_delay=3600)()
        first = task(lambda: order.append("other"), name="other")()
        task(lambda: order.append("after"), name="after")(upstream_tasks=[first])
    testing.run(flow)
    assert order == ["flaky", "other", "after", "flaky"]


def test_the_states_of_earlier_attempts_are_kept_in_the_last_one():
    state, _ = Flaky(2).run()
    assert [type(attempt) for attempt in state.attempts] == [Failed, Failed]
    assert [str(attempt.result) for attempt in state.attempts] == ["down", "down"]
