from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, states, task
from headrace.signals import (
    ENDRUN,
    FAIL,
    LOOP,
    PAUSE,
    RETRY,
    SKIP,
    SUCCESS,
    TRIGGERFAIL,
    VALIDATIONFAIL,
    Signal,
    signal_from_state,
)

STATES: dict[Any, type[states.State]] = {
    FAIL: states.Failed,
    TRIGGERFAIL: states.TriggerFailed,
    VALIDATIONFAIL: states.ValidationFailed,
    SUCCESS: states.Success,
    SKIP: states.Skipped,
    RETRY: states.Retrying,
    PAUSE: states.Paused,
    LOOP: states.Looped,
}
every_signal = pytest.mark.parametrize("signal", STATES, ids=lambda signal: signal.__name__)


def ended(function, **options) -> states.State:
    with Flow("f") as flow:
        result = task(function, **options)()
    found: states.State = flow.run().result[result]
    return found


@every_signal
class TestEverySignal:
    def test_it_is_no_exception_so_that_tasks_do_not_swallow_it(self, signal):
        assert issubclass(signal, Signal)
        assert issubclass(signal, BaseException)
        assert not issubclass(signal, Exception)

    def test_it_holds_the_state_it_stands_for(self, signal):
        state = signal("why").state
        assert type(state) is STATES[signal]
        assert state.message == "why"

    def test_the_message_is_its_text(self, signal):
        assert str(signal("why")) == "why"

    def test_the_result_is_none_unless_given(self, signal):
        assert signal("why").state.result is None
        assert signal("why", result=5).state.result == 5

    def test_the_message_can_be_left_out(self, signal):
        assert signal().state.message is None

    def test_further_arguments_go_to_the_state(self, signal):
        assert signal("why", context={"a": 1}).state.context == {"a": 1}
        assert signal("why", 5).state.result == 5

    def test_an_unknown_argument_is_a_type_error(self, signal):
        with pytest.raises(TypeError):
            signal("why", colour="red")

    def test_it_is_found_from_its_state(self, signal):
        assert signal_from_state(STATES[signal]()) is signal

    @pytest.mark.parametrize("duplicate", [copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
    def test_it_can_be_pickled_and_copied(self, signal, duplicate):
        new = duplicate(signal("why", result=5))
        assert type(new) is signal
        assert (new.state.message, new.state.result, new.args) == ("why", 5, ("why",))


def test_some_failures_are_failures():
    assert issubclass(TRIGGERFAIL, FAIL)
    assert issubclass(VALIDATIONFAIL, FAIL)


@pytest.mark.parametrize("state", [states.Running(), states.Pending(), states.TimedOut(), states.Cancelled()])
def test_other_states_have_no_signal(state):
    with pytest.raises(ValueError, match=type(state).__name__):
        signal_from_state(state)


def test_retry_and_pause_take_a_start_time():
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    assert RETRY(start_time=moment).state.start_time == moment  # type: ignore[attr-defined]
    assert PAUSE(start_time=moment).state.start_time == moment  # type: ignore[attr-defined]
    assert PAUSE().state.start_time is None  # type: ignore[attr-defined]


class TestEndrun:
    def test_it_takes_a_state(self):
        state = states.Cancelled("enough")
        assert ENDRUN(state).state is state
        assert str(ENDRUN(state)) == "enough"

    @pytest.mark.parametrize(
        "wrong", ["stop", None, states.Failed, states.Running(), states.Pending(), states.Queued()]
    )
    def test_anything_a_run_cannot_end_or_wait_in_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="ENDRUN"):
            ENDRUN(wrong)

    def test_it_can_be_pickled(self):
        assert pickle.loads(pickle.dumps(ENDRUN(states.Failed("no", 5)))).state == states.Failed("no", 5)

    def test_the_run_ends_in_that_very_state_without_a_retry(self):
        state, attempts = states.Failed("enough"), []

        def give_up():
            attempts.append(1)
            raise ENDRUN(state)

        assert ended(give_up, max_retries=3, retry_delay=0) is state
        assert len(attempts) == 1


class TestRaisedByATask:
    @pytest.mark.parametrize("signal", [FAIL, VALIDATIONFAIL, TRIGGERFAIL, SUCCESS, SKIP])
    def test_the_task_ends_in_its_state(self, signal):
        def raising():
            raise signal("why", result=5)

        state = ended(raising)
        assert type(state) is STATES[signal]
        assert (state.message, state.result) == ("why", 5)

    def test_except_exception_does_not_trap_it(self):
        def careful():
            try:
                raise SKIP("nothing to do")
            except Exception:
                return "trapped"

        assert ended(careful).is_skipped()

    def test_fail_is_retried(self):
        attempts: list[int] = []

        def fail_once():
            attempts.append(1)
            if len(attempts) == 1:
                raise FAIL("not yet")
            return len(attempts)

        assert ended(fail_once, max_retries=1, retry_delay=0).result == 2

    def test_triggerfail_is_not_retried(self):
        attempts: list[int] = []

        def fail():
            attempts.append(1)
            raise TRIGGERFAIL("no")

        assert type(ended(fail, max_retries=3, retry_delay=0)) is states.TriggerFailed
        assert len(attempts) == 1

    def test_retry_needs_no_max_retries_and_has_no_limit(self):
        attempts: list[int] = []

        def stubborn():
            attempts.append(1)
            if len(attempts) < 5:
                raise RETRY("again")
            return len(attempts)

        assert ended(stubborn).result == 5

    def test_a_retry_at_an_impossible_moment_fails_the_task(self):
        def wrong():
            raise RETRY("again", start_time="tomorrow")

        assert isinstance(ended(wrong).result, TypeError)

    def test_a_skipped_task_gives_none_to_tasks_that_do_not_mind(self):
        def skip():
            raise SKIP("no")

        with Flow("f") as flow:
            result = task(lambda x: x, skip_on_upstream_skip=False)(task(skip)())
        state = flow.run().result[result]
        assert state.is_successful()
        assert state.result is None

    def test_a_subclass_stands_for_the_same_state(self):
        class NoNewRows(SKIP):
            pass

        def skip():
            raise NoNewRows("empty")

        assert ended(skip).is_skipped()

    def test_a_state_that_is_returned_is_a_result_like_any_other(self):
        state = ended(lambda: states.Failed("not raised"))
        assert state.is_successful()
        assert isinstance(state.result, states.Failed)


def test_a_signal_with_a_result_of_a_script_survives_cloudpickle():
    class OfAScript:
        value = 5

    new = cloudpickle.loads(cloudpickle.dumps(SUCCESS("done", result=OfAScript())))
    assert new.state.result.value == 5
