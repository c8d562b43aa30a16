"""Signals, section 5.1 of the classic reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, context, signals, task, testing
from headrace.results import LocalResult
from headrace.signals import ENDRUN, FAIL, LOOP, PAUSE, RETRY, SKIP, SUCCESS, TRIGGERFAIL, VALIDATIONFAIL, Signal
from headrace.states import Failed, Paused, Retrying, Skipped, State, Success

OF_STATES = [FAIL, TRIGGERFAIL, VALIDATIONFAIL, LOOP, SUCCESS, RETRY, SKIP, PAUSE]


def ended(error: BaseException, **options: Any) -> State:
    def run() -> None:
        raise error

    with Flow("f") as flow:
        last = task(run, name="last", **options)()
    return testing.run(flow, on_pause=lambda names: [])[last]


# The classes


@pytest.mark.parametrize("signal", [*OF_STATES, ENDRUN])
def test_every_signal_is_a_signal_and_no_exception(signal):
    assert issubclass(signal, Signal)
    assert not issubclass(signal, Exception)


def test_a_failed_trigger_and_a_failed_validation_are_failures():
    assert issubclass(TRIGGERFAIL, FAIL)
    assert issubclass(VALIDATIONFAIL, FAIL)


# What a signal of a task does


def test_no_signal_becomes_the_result_of_its_state():
    assert [type(ended(signal("why")).result) for signal in (FAIL, SKIP, SUCCESS, PAUSE)] == [type(None)] * 4


def test_a_consumer_of_a_skipped_task_never_gets_a_signal():
    def skip() -> None:
        raise SKIP("nothing there")

    with Flow("f") as flow:
        skipped = task(skip, name="skip")()
        seen = task(lambda x: x, name="seen", skip_on_upstream_skip=False)(skipped)
    assert flow.run().result[seen].result is None


def test_success_gives_its_result_and_it_is_checkpointed(tmp_path):
    state = ended(SUCCESS("found", result=5), result=LocalResult(tmp_path))
    assert (type(state), state.message, state.result) == (Success, "found", 5)
    assert LocalResult(tmp_path).read(str(state.location)).value == 5


def test_success_is_cached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def find() -> None:
        raise SUCCESS(result=5)

    with Flow("f") as flow:
        found = task(find, name="find", cache_for=60)()
    flow.run()
    state = flow.run().result[found]
    assert (state.is_cached(), state.result) == (True, 5)


def test_skip_may_have_a_result():
    state = ended(SKIP("as before", result=5))
    assert (type(state), state.result) == (Skipped, 5)


def test_a_state_of_fail_is_kept_when_attempts_are_exhausted():
    state = ended(FAIL("no", result="why"), max_retries=1, retry_delay=60)
    assert (type(state), state.message, state.result, len(state.attempts)) == (Failed, "no", "why", 1)


def test_a_failed_validation_is_retried_like_any_failure():
    assert len(ended(VALIDATIONFAIL(), max_retries=2, retry_delay=60).attempts) == 2


def test_retry_runs_the_task_now_and_counts_the_attempt():
    counts: list[int] = []

    def again() -> None:
        counts.append(context.task_run_count)
        if len(counts) < 3:
            raise RETRY("not yet")

    with Flow("f") as flow:
        task(again, name="again")()
    record = testing.run(flow)
    assert (counts, record.elapsed) == ([1, 2, 3], 0)


def test_retry_waits_until_its_start_time():
    clock = testing.VirtualClock()

    def later() -> None:
        if context.task_run_count == 1:
            raise RETRY(start_time=datetime.fromtimestamp(clock.now(), UTC) + timedelta(hours=2))

    with Flow("f") as flow:
        last = task(later, name="later")()
    record = testing.run(flow, clock=clock)
    assert (record[last].is_successful(), record.elapsed) == (True, 7200)


def test_a_retry_is_entered_as_retrying_with_the_count_of_attempts():
    entered: list[State] = []

    def again() -> None:
        if context.task_run_count < 3:
            raise RETRY("not yet")

    with Flow("f") as flow:
        task(again, name="again", state_handlers=[lambda _task, _old, new: entered.append(new)])()
    flow.run()
    assert [state.run_count for state in entered if isinstance(state, Retrying)] == [1, 2]


def test_pause_may_have_a_start_time_and_goes_on_then():
    clock = testing.VirtualClock()

    def wait() -> float:
        if not context.resume:
            raise PAUSE(start_time=datetime.fromtimestamp(clock.now(), UTC) + timedelta(hours=2))
        return clock.now()

    with Flow("f") as flow:
        task(wait, name="wait")()
    record = testing.run(flow, clock=clock)
    assert record.elapsed == 7200


@pytest.mark.parametrize(
    "state", [Success("done", 5), Skipped("no"), Failed("enough"), Paused("wait")], ids=lambda state: state.message
)
def test_endrun_ends_in_that_very_state(state):
    assert ended(ENDRUN(state), max_retries=3, retry_delay=60) is state


def test_endrun_with_a_success_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []

    def end() -> None:
        calls.append(1)
        raise ENDRUN(Success(result=5))

    with Flow("f") as flow:
        last = task(end, name="end", cache_for=60, cache_key="end")()
    assert [flow.run().result[last].result for _ in range(2)] == [5, 5]
    assert len(calls) == 2


def test_a_signal_class_can_be_raised_without_arguments():
    assert ended(SKIP()).is_skipped()

    def skip() -> None:
        raise SKIP

    with Flow("f") as flow:
        skipped = task(skip, name="skip")()
    assert flow.run().result[skipped].is_skipped()


def test_signals_reach_the_run_out_of_threads_too():
    def skip() -> None:
        raise SKIP("not here")

    with Flow("f") as flow:
        skipped = task(skip, name="skip")()
    state = flow.run(executor="threads").result[skipped]
    assert (type(state), state.message) == (Skipped, "not here")


def test_a_signal_that_ends_a_task_with_a_timeout_is_no_timeout():
    assert ended(signals.SKIP("in time"), timeout=5).is_skipped()
