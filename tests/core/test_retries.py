from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Flow, task
from headrace.retries import delay_seconds, exponential_backoff
from headrace.states import Failed, Retrying, State


class TestDelaySeconds:
    @pytest.mark.parametrize(
        ("delay", "retry", "seconds"),
        [
            (None, 1, 0.0),
            (3, 1, 3.0),
            (0.5, 7, 0.5),
            (timedelta(minutes=1), 1, 60.0),
            ([1, 2.5, timedelta(seconds=4)], 1, 1.0),
            ([1, 2.5, timedelta(seconds=4)], 2, 2.5),
            ([1, 2.5, timedelta(seconds=4)], 3, 4.0),
            ([1, 2.5, timedelta(seconds=4)], 100, 4.0),
            ((5,), 2, 5.0),
            (lambda retry: retry * 2, 3, 6.0),
            (lambda retry: timedelta(minutes=retry), 2, 120.0),
            (-3, 1, 0.0),
            (timedelta(seconds=-3), 1, 0.0),
            (lambda retry: -1, 1, 0.0),
        ],
    )
    def test_a_delay_in_any_form_becomes_seconds(self, delay, retry, seconds):
        assert delay_seconds(delay, retry) == seconds


class TestExponentialBackoff:
    def test_it_grows_by_the_factor_up_to_the_maximum(self):
        delay = exponential_backoff(base=1, factor=3, maximum=20, jitter=0)
        assert [delay(retry) for retry in range(1, 6)] == [1, 3, 9, 20, 20]

    def test_it_takes_timedeltas(self):
        delay = exponential_backoff(base=timedelta(seconds=2), maximum=timedelta(seconds=5), jitter=0)
        assert [delay(retry) for retry in (1, 2, 3)] == [2, 4, 5]

    def test_defaults_double_from_a_second_to_an_hour(self):
        random.seed(1)
        delay = exponential_backoff()
        assert delay(1) == pytest.approx(1, rel=0.1)
        assert delay(3) == pytest.approx(4, rel=0.1)
        assert delay(100) == pytest.approx(3600, rel=0.1)

    @given(st.integers(1, 100), st.floats(0, 1))
    def test_chance_adds_or_takes_away_a_share_at_most(self, retry, jitter):
        found = exponential_backoff(base=2, maximum=50, jitter=jitter)(retry)
        expected = min(50, 2 * 2 ** (retry - 1))
        assert expected * (1 - jitter) - 1e-9 <= found <= expected * (1 + jitter) + 1e-9

    def test_chance_makes_a_difference(self):
        delay = exponential_backoff()
        assert len({delay(1) for _ in range(10)}) > 1

    @pytest.mark.parametrize("retry", [2_000, 10**9])
    def test_no_retry_is_too_late(self, retry):
        assert exponential_backoff(factor=10.0, maximum=60, jitter=0)(retry) == 60


class Flaky:
    """Fails with each of ``errors`` in turn, then returns how often it was called."""

    __name__ = "flaky"

    def __init__(self, *errors: BaseException) -> None:
        self.errors = errors
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return self.calls


def run(flaky: Flaky, **options) -> tuple[State, list[State]]:
    """Return the last state of a task and every state it went through."""
    seen: list[State] = []
    with Flow("f") as flow:
        result = task(flaky, state_handlers=[lambda tracked, old, new: seen.append(new)], **options)()
    return flow.run().result[result], seen


class TestInARun:
    def test_attempts_are_one_more_than_retries(self):
        flaky = Flaky(*[ValueError("no")] * 10)
        state, _ = run(flaky, max_retries=2, retry_delay=0)
        assert state.is_failed()
        assert flaky.calls == 3

    def test_success_ends_the_attempts(self):
        state, _ = run(Flaky(ValueError("no")), max_retries=5, retry_delay=0)
        assert state.result == 2

    def test_the_states_on_the_way(self):
        _, seen = run(Flaky(ValueError("no")), max_retries=1, retry_delay=0)
        assert [type(state).__name__ for state in seen] == ["Running", "Failed", "Retrying", "Running", "Success"]

    def test_the_retrying_state_counts_and_says_the_attempts(self):
        _, seen = run(Flaky(ValueError("no"), ValueError("no")), max_retries=2, retry_delay=0)
        waiting = [state for state in seen if isinstance(state, Retrying)]
        assert [state.run_count for state in waiting] == [1, 2]
        assert ["1 of 3" in str(state.message) for state in waiting] == [True, False]

    def test_the_start_time_is_the_delay_from_now(self):
        _, seen = run(Flaky(ValueError("no")), max_retries=1, retry_delay=0.05)
        waiting, again = (next(s for s in seen if isinstance(s, Retrying)), seen[3])
        assert waiting.start_time is not None
        assert waiting.start_time.timestamp() == pytest.approx(waiting.timestamp + 0.05, abs=0.03)
        assert again.timestamp >= waiting.start_time.timestamp()

    @pytest.mark.parametrize("given_class", [KeyError, LookupError, [OSError, KeyError]])
    def test_retry_on_lets_listed_errors_through(self, given_class):
        state, _ = run(Flaky(KeyError("k")), max_retries=1, retry_delay=0, retry_on=given_class)
        assert state.is_successful()

    def test_retry_on_ends_at_other_errors(self):
        flaky = Flaky(KeyError("k"), ValueError("v"))
        state, _ = run(flaky, max_retries=5, retry_delay=0, retry_on=KeyError)
        assert isinstance(state.result, ValueError)
        assert flaky.calls == 2

    def test_a_callable_delay_gets_the_number_of_the_retry(self):
        asked: list[int] = []

        def delay(retry):
            asked.append(retry)
            return 0

        run(Flaky(*[ValueError("no")] * 3), max_retries=3, retry_delay=delay)
        assert asked == [1, 2, 3]

    @pytest.mark.parametrize("answer", [1e15, float("inf"), "soon", None, []])
    def test_a_delay_that_gives_no_moment_fails_the_task(self, answer):
        state, _ = run(Flaky(ValueError("no")), max_retries=1, retry_delay=lambda retry: answer)
        assert type(state) is Failed
        assert "retry delay" in str(state.message)

    def test_a_delay_that_raises_fails_the_task(self):
        state, _ = run(Flaky(ValueError("no")), max_retries=1, retry_delay=lambda retry: 1 // 0)
        assert isinstance(state.result, ZeroDivisionError)

    def test_each_mapped_child_has_retries_of_its_own(self):
        calls: dict[int, int] = {}

        def fail_first(x):
            calls[x] = calls.get(x, 0) + 1
            if calls[x] <= x:
                raise ValueError("not yet")
            return x

        with Flow("f") as flow:
            result = task(fail_first, max_retries=2, retry_delay=0).map([0, 1, 2, 3])
        states = flow.run().result[result].map_states
        assert [state.is_successful() for state in states] == [True, True, True, False]
        assert calls == {0: 1, 1: 2, 2: 3, 3: 3}
