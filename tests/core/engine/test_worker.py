"""Work: one call of one task, and the state it ends in."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import cloudpickle
import pytest

from headrace import context, signals, task
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import TaskRunError, TaskTimeoutError
from headrace.run_context import RunFrame, current_frame
from headrace.states import Cancelled, Crashed, Failed, Looped, Paused, Retrying, Skipped, State, Success, TimedOut


def make_work(function: Any = lambda: 1, map_index: int = -1, frame: Any = None, **kwargs: Any) -> Work:
    options: dict[str, Any] = {"arguments": {}, "attempt": 1, "loop": None, "resumed": False, "keeper": None} | kwargs
    task_args = options.pop("task_args", {})
    return Work(
        key=7,
        task=task(function, **{"name": "t", **task_args}),
        slug="t-1",
        map_index=map_index,
        parent=frame or RunFrame({"flow_run_id": "run", "parameters": {"day": "monday"}, "flow_name": "f"}),
        **options,
    )


def state_of(function: Any, **kwargs: Any) -> State:
    return make_work(function, **kwargs)().state


def raising(error: BaseException) -> Any:
    def run() -> None:
        raise error

    return run


def test_the_outcome_carries_the_key_and_the_value():
    outcome = make_work(lambda x: 2 * x, arguments={"x": 4})()
    assert isinstance(outcome, Outcome)
    assert (outcome.key, type(outcome.state), outcome.state.result) == (7, Success, 8)


def test_what_a_task_raises_is_the_result_of_a_failed_state():
    error = ValueError("odd")
    state = state_of(raising(error))
    assert (type(state), state.result, state.message) == (Failed, error, "ValueError: odd")


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit()])
def test_not_even_these_leave_the_worker(error):
    assert type(state_of(raising(error))) is Failed


def test_a_keyboard_interrupt_is_a_cancelled_state():
    error = KeyboardInterrupt()
    state = state_of(raising(error))
    assert (type(state), state.result) == (Cancelled, error)


def test_a_timeout_error_of_headrace_is_a_timed_out_state():
    assert type(state_of(raising(TaskTimeoutError("late")))) is TimedOut


def test_a_timeout_error_of_the_tasks_own_is_a_failure():
    assert type(state_of(raising(TimeoutError("their service")))) is Failed


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (signals.SKIP, Skipped),
        (signals.LOOP, Looped),
        (signals.PAUSE, Paused),
        (signals.RETRY, Retrying),
        (signals.FAIL, Failed),
        (signals.SUCCESS, Success),
    ],
)
def test_a_signal_ends_in_its_state_with_no_signal_as_the_result(signal, state):
    found = state_of(raising(signal("why")))
    assert (type(found), found.message, found.result) == (state, "why", None)


def test_the_traceback_of_an_error_begins_in_the_task():
    def innermost() -> None:
        raise ValueError

    def run() -> None:
        innermost()

    state = state_of(run)
    assert [frame.name for frame in traceback.extract_tb(state.result.__traceback__)] == ["run", "innermost"]


def test_an_error_whose_text_cannot_be_made_is_a_failure_like_any_other():
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "cannot be shown" in str(state_of(raising(Odd())).message)


def test_a_call_that_does_not_fit_the_signature_fails():
    assert isinstance(state_of(lambda x: x, arguments={"y": 1}).result, TypeError)


def test_the_state_knows_when_the_attempt_began():
    state = state_of(lambda: 1)
    assert state.duration is not None
    assert 0 <= state.duration < 1


def test_the_context_is_put_back_after_success_and_after_failure():
    before = current_frame.get()
    make_work(lambda: 1)()
    make_work(raising(ValueError()))()
    assert current_frame.get() is before


def test_the_context_shows_the_task_run():
    def run() -> dict[str, Any]:
        names = ("task_name", "task_full_name", "task_slug", "task_run_count", "map_index", "task_tags", "resume")
        return {name: context[name] for name in names}

    found = state_of(run, map_index=3, attempt=2, resumed=True, task_args={"tags": ["a"]}).result
    assert found == {
        "task_name": "t",
        "task_full_name": "t[3]",
        "task_slug": "t-1",
        "task_run_count": 2,
        "map_index": 3,
        "task_tags": {"a"},
        "resume": True,
    }


def test_the_context_shows_the_flow_run_around_it():
    assert state_of(lambda: (context.flow_name, context.parameters)).result == ("f", {"day": "monday"})


def test_map_index_is_none_in_a_task_that_is_not_mapped():
    assert state_of(lambda: context.map_index).result is None


@pytest.mark.parametrize(("map_index", "run_id"), [(-1, "run/t-1"), (2, "run/t-1/2")])
def test_the_task_run_id_stays_the_same_from_attempt_to_attempt(map_index, run_id):
    found = {state_of(lambda: context.task_run_id, map_index=map_index, attempt=n).result for n in (1, 2)}
    assert found == {run_id}


def test_the_loop_is_shown_only_inside_one():
    assert state_of(lambda: "task_loop_count" in context).result is False
    loop = Looped(result=5, loop_count=2)
    assert state_of(lambda: (context.task_loop_count, context.task_loop_result), loop=loop).result == (3, 5)


class TestRunName:
    def name(self, template: Any, **kwargs: Any) -> Any:
        def run(x: int = 0) -> Any:
            return context.task_run_name

        return state_of(run, task_args={"task_run_name": template}, **kwargs).result

    def test_by_default_it_is_the_full_name(self):
        assert self.name(None, map_index=1) == "t[1]"

    def test_a_template_is_filled_from_arguments_context_and_parameters(self):
        assert self.name("{x}-{map_index}-{flow_name}-{day}", arguments={"x": 4}, map_index=1) == "4-1-f-monday"

    def test_a_default_value_is_an_argument(self):
        assert self.name("{x}") == "0"

    def test_an_argument_wins_over_a_parameter(self):
        def run(day: str) -> Any:
            return context.task_run_name

        work = make_work(run, arguments={"day": "friday"}, task_args={"task_run_name": "{day}"})
        assert work().state.result == "friday"

    def test_a_placeholder_that_nothing_has_is_named(self):
        error = self.name("{dya}", arguments={"x": 4})
        assert isinstance(error, TaskRunError)
        assert "`task_run_name` of task 't'" in str(error)
        assert "Did you mean 'day'?" in str(error)

    def test_a_callable_gets_the_same_values(self):
        assert self.name(lambda **values: f"{values['x']}/{values['task_name']}", arguments={"x": 4}) == "4/t"


def test_work_that_was_lost_is_a_crash_with_the_cause():
    error = OSError("killed")
    outcome = make_work().failed(error)
    assert (outcome.key, type(outcome.state), outcome.state.result) == (7, Crashed, error)


def test_work_that_was_given_up_is_cancelled():
    outcome = make_work().cancelled()
    assert (outcome.key, type(outcome.state)) == (7, Cancelled)


def test_prints_go_to_the_log_only_if_asked(caplog, capsys):
    def run() -> None:
        print("hello")

    with caplog.at_level(logging.INFO, "headrace"):
        state_of(run, task_args={"log_stdout": True})
        assert (caplog.messages, capsys.readouterr().out) == (["hello"], "")
        state_of(run)
        assert capsys.readouterr().out == "hello\n"


def test_log_stdout_and_a_timeout_work_together(caplog):
    def run() -> int:
        print("hello")
        return 3

    with caplog.at_level(logging.INFO, "headrace"):
        assert state_of(run, task_args={"log_stdout": True, "timeout": 5}).result == 3
    assert caplog.messages == ["hello"]


class Keeper:
    """Keeps in a dict, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: dict[str, Any] = {}
        self.error = error

    def keep(self, work: Work, value: object) -> str:
        if self.error is not None:
            raise self.error
        self.kept[work.slug] = value
        return f"somewhere/{work.slug}"


def test_a_result_is_kept_where_the_task_runs_and_the_state_says_where():
    keeper = Keeper()
    state = state_of(lambda: 5, keeper=keeper)
    assert (state.location, keeper.kept) == ("somewhere/t-1", {"t-1": 5})


def test_a_success_signals_result_is_kept_too():
    keeper = Keeper()
    state = state_of(raising(signals.SUCCESS(result=5)), keeper=keeper)
    assert (state.location, keeper.kept) == ("somewhere/t-1", {"t-1": 5})


@pytest.mark.parametrize("error", [ValueError("no"), signals.SKIP("no"), signals.FAIL("no")])
def test_nothing_else_is_kept(error):
    keeper = Keeper()
    assert state_of(raising(error), keeper=keeper).location is None
    assert keeper.kept == {}


def test_a_result_that_cannot_be_kept_fails_the_task():
    error = OSError("disk full")
    state = state_of(lambda: 5, keeper=Keeper(error))
    assert (type(state), state.result) == (Failed, error)


def test_an_outcome_survives_pickling_with_its_error():
    outcome = make_work(raising(ValueError("odd")))()
    state = pickle.loads(cloudpickle.dumps(outcome.state))
    assert (type(state), str(state.result)) == (Failed, "odd")
