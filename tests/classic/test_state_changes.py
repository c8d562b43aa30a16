"""What happens at a change of state, section 4.3 of the classic reference."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, config, context, signals, task, testing, triggers
from headrace.exceptions import StateHandlerError
from headrace.states import Failed, Paused, Pending, Skipped, State, Success

Steps = list[str]


def noting(steps: Steps) -> Any:
    def handler(_task: object, old: State, new: State) -> None:
        steps.append(f"{type(old).__name__} -> {type(new).__name__}")

    return handler


def run(function: Any = lambda: 1, **options: Any) -> State:
    with Flow("f") as flow:
        last = task(function, name="t", **options)()
    return testing.run(flow, on_pause=lambda names: [])[last]


def raising_at(cls: type[State], error: BaseException) -> Any:
    def handler(_task: object, _old: State, new: State) -> None:
        if type(new) is cls:
            raise error

    return handler


# Handlers run only when a step gives another state object


def test_a_pause_is_entered_once_and_left_by_running_again():
    steps: Steps = []

    def wait() -> None:
        if not context.resume:
            raise signals.PAUSE

    with Flow("f") as flow:
        task(wait, name="t", state_handlers=[noting(steps)])()
    testing.run(flow, on_pause=lambda names: names)
    assert steps == ["Pending -> Running", "Running -> Paused", "Paused -> Running", "Running -> Success"]


def test_a_pause_by_the_trigger_never_runs_the_task():
    steps: Steps = []
    run(trigger=triggers.manual_only, state_handlers=[noting(steps)])
    assert steps == ["Pending -> Paused"]


def test_a_state_that_was_given_to_the_run_is_no_change():
    steps: Steps = []
    with Flow("f") as flow:
        last = task(lambda: 1, name="t", state_handlers=[noting(steps)])()
    flow.run(task_states={last: Success(result=5)})
    assert steps == []


def test_a_task_that_computes_a_result_for_the_cache_ends_as_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps: Steps = []
    with Flow("f") as flow:
        task(lambda: 1, name="t", cache_for=60, state_handlers=[noting(steps)])()
    flow.run()
    assert steps == ["Pending -> Running", "Running -> Success"]


def test_a_result_is_looked_for_while_the_task_is_running(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps: Steps = []
    with Flow("f") as flow:
        task(lambda: 1, name="t", cache_for=60, state_handlers=[noting(steps)])()
    flow.run()
    steps.clear()
    flow.run()
    assert steps == ["Pending -> Running", "Running -> Cached"]


# What a handler can do


def test_a_handler_gets_task_old_and_new_state():
    seen: list[Any] = []
    with Flow("f") as flow:
        last = task(lambda: 1, name="t", state_handlers=[lambda *given: seen.append(given)])()
    state = flow.run().result[last]
    assert seen[-1][0] is last
    assert seen[-1][2] is state
    assert seen[0][2] is seen[1][1]


def test_a_flow_handler_gets_the_flow_and_its_states():
    seen: list[Any] = []
    with Flow("f", state_handlers=[lambda *given: seen.append(given)]) as flow:
        task(lambda: 1, name="t")()
    state = flow.run()
    assert [found[0] for found in seen] == [flow, flow]
    assert seen[-1][2] is state


@pytest.mark.parametrize("signal", [signals.PAUSE("wait"), signals.SKIP("no"), signals.SUCCESS("yes", result=7)])
def test_a_signal_out_of_a_handler_is_adopted(signal):
    state = run(state_handlers=[raising_at(Success, signal)])
    assert state is signal.state


def test_a_pause_out_of_a_handler_pauses_the_task():
    assert isinstance(run(state_handlers=[raising_at(Success, signals.PAUSE())]), Paused)


def test_endrun_out_of_a_handler_ends_the_task_without_a_retry():
    runs: list[int] = []
    end = signals.ENDRUN(Failed("enough"))
    state = run(lambda: runs.append(1), state_handlers=[raising_at(Success, end)], max_retries=3, retry_delay=0)
    assert (state.message, len(runs)) == ("enough", 1)


def test_an_error_of_a_handler_skips_the_handlers_that_are_left():
    steps: Steps = []
    run(state_handlers=[raising_at(Success, KeyError()), noting(steps)])
    assert steps == ["Pending -> Running"]


def test_an_error_of_a_handler_at_a_failure_ends_the_retries():
    runs: list[int] = []

    def fail() -> None:
        runs.append(1)
        raise ConnectionError

    state = run(fail, state_handlers=[raising_at(Failed, KeyError("odd"))], max_retries=3, retry_delay=0)
    assert isinstance(state.result, StateHandlerError)
    assert isinstance(state.result.__cause__, KeyError)
    assert len(runs) == 1


def test_a_handler_that_refuses_the_start_keeps_the_task_from_running():
    runs: list[int] = []

    def refuse(_task: object, _old: State, new: State) -> State | None:
        return Skipped("not today") if new.is_running() else None

    assert run(lambda: runs.append(1), state_handlers=[refuse]).is_skipped()
    assert runs == []


def test_a_state_that_nothing_can_end_or_wait_in_is_a_mistake_of_the_handler():
    state = run(state_handlers=[lambda *_: Pending("again")])
    assert isinstance(state.result, StateHandlerError)


def test_what_a_flow_handler_returns_is_the_end_of_the_run():
    with Flow("f", state_handlers=[lambda _flow, _old, new: Failed("no") if new.is_finished() else None]) as flow:
        task(lambda: 1, name="t")()
    assert flow.run().message == "no"


# raise_on_exception


def test_raise_on_exception_lets_the_exception_out():
    with Flow("f") as flow:
        task(lambda: 1 / 0, name="t")()
    with context(raise_on_exception=True), pytest.raises(ZeroDivisionError):
        flow.run()
    assert flow.run().is_failed()


def test_raise_on_exception_can_be_configured(monkeypatch):
    with Flow("f") as flow:
        task(lambda: 1 / 0, name="t")()
    with config.set_temporary_config({"context.raise_on_exception": True}), pytest.raises(ZeroDivisionError):
        flow.run()
