"""Whether a failed run gets another attempt, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, signals, task
from headrace.engine.retrying import retry_state
from headrace.engine.scheduler import Scheduler
from headrace.engine.task_runs import TaskRun
from headrace.exceptions import RemoteError, StateHandlerError, TaskTimeoutError
from headrace.retries import exponential_backoff
from headrace.states import Crashed, Failed, Retrying, State, TimedOut, TriggerFailed

NOW = 1_000_000.0


def run_of(attempt: int = 1, **task_args: Any) -> TaskRun:
    with Flow("retry") as flow:
        task(lambda: 1, name="t", **{"max_retries": 3, "retry_delay": 10, **task_args})()
    run = Scheduler(flow.plan()).runs[0]
    run.attempt = attempt
    return run


def wait_of(state: State | None) -> float:
    assert isinstance(state, Retrying)
    assert state.start_time is not None
    return state.start_time.timestamp() - NOW


def test_it_is_a_retrying_state_with_a_moment_and_a_count():
    state = retry_state(run_of(attempt=2), Failed(), NOW)
    assert isinstance(state, Retrying)
    assert (state.start_time, state.run_count) == (datetime.fromtimestamp(NOW + 10, UTC), 2)


def test_the_message_says_which_attempt_of_how_many():
    state = retry_state(run_of(attempt=2), Failed(), NOW)
    assert state is not None
    assert "Attempt 2 of 4" in str(state.message)
    assert "10 s" in str(state.message)


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (3, True), (4, False), (5, False)])
def test_there_are_max_retries_and_one_attempts(attempt, again):
    assert (retry_state(run_of(attempt), Failed(), NOW) is not None) is again


def test_without_retries_there_is_none():
    assert retry_state(run_of(max_retries=0, retry_delay=None), Failed(), NOW) is None


@pytest.mark.parametrize("state", [TimedOut(result=TaskTimeoutError()), Crashed(result=OSError()), Failed()])
def test_every_kind_of_failure_of_the_task_itself_is_retried(state):
    assert retry_state(run_of(), state, NOW) is not None


def test_a_trigger_failure_is_not_retried():
    assert retry_state(run_of(), TriggerFailed(), NOW) is None


def test_an_error_of_a_state_handler_is_not_retried():
    assert retry_state(run_of(), Failed(result=StateHandlerError("odd")), NOW) is None


def test_what_endrun_ends_is_not_retried():
    assert retry_state(run_of(), signals.ENDRUN(Failed()).state, NOW) is None


class TestRetryOn:
    @pytest.mark.parametrize(
        ("error", "again"), [(OSError(), True), (FileNotFoundError(), True), (ValueError(), False), (None, False)]
    )
    def test_only_the_named_errors_and_their_subclasses_are_retried(self, error, again):
        run = run_of(retry_on=OSError)
        assert (retry_state(run, Failed(result=error), NOW) is not None) is again

    def test_several_classes_may_be_named(self):
        run = run_of(retry_on=[KeyError, OSError])
        assert retry_state(run, Failed(result=KeyError()), NOW) is not None

    @pytest.mark.parametrize(("names", "again"), [(["a.B", "OSError"], True), (["a.OSError"], False), ([], False)])
    def test_what_stands_for_an_exception_of_another_process_goes_by_the_names_of_its_classes(self, names, again):
        error = RemoteError("it could not be sent", class_names=names)
        assert (retry_state(run_of(retry_on=OSError), Failed(result=error), NOW) is not None) is again


class TestDelays:
    @pytest.mark.parametrize(
        ("delay", "waits"),
        [
            (2, [2, 2, 2]),
            (0.25, [0.25, 0.25, 0.25]),
            (timedelta(minutes=2), [120, 120, 120]),
            ([1, 5], [1, 5, 5]),
            (lambda retry: timedelta(seconds=retry), [1, 2, 3]),
            (exponential_backoff(base=2, jitter=0), [2, 4, 8]),
        ],
    )
    def test_each_retry_has_its_own(self, delay, waits):
        found = [wait_of(retry_state(run_of(n, retry_delay=delay), Failed(), NOW)) for n in (1, 2, 3)]
        assert found == pytest.approx(waits)

    def test_a_negative_delay_is_none(self):
        assert wait_of(retry_state(run_of(retry_delay=lambda _retry: -5), Failed(), NOW)) == 0

    def test_jitter_stays_within_its_share(self):
        delay = exponential_backoff(base=100, factor=1, jitter=0.2)
        waits = [wait_of(retry_state(run_of(retry_delay=delay), Failed(), NOW)) for _ in range(50)]
        assert all(80 <= wait <= 120 for wait in waits)
        assert len(set(waits)) > 1

    def test_backoff_never_exceeds_its_maximum_however_late_the_retry(self):
        delay = exponential_backoff(base=1, factor=10, maximum=60, jitter=0)
        assert [delay(n) for n in (1, 2, 3, 5000)] == [1, 10, 60, 60]

    @pytest.mark.parametrize("delay", [lambda _retry: 1 / 0, lambda _retry: "soon", lambda _retry: 1e300])
    def test_a_delay_that_is_no_time_ends_the_run_as_failed_with_the_reason(self, delay):
        state = retry_state(run_of(retry_delay=delay), Failed(), NOW)
        assert type(state) is Failed
        assert "'t'" in str(state.message)
        assert isinstance(state.result, Exception)


def test_the_new_state_remembers_when_the_attempt_began():
    failed = Failed()
    failed.started = 5.0
    state = retry_state(run_of(), failed, NOW)
    assert state is not None
    assert state.started == 5.0
