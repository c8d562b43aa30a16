"""The final state of a flow run, section 4.6 of the classic reference."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Task, signals, task, triggers
from headrace.states import Cancelled, Failed, Paused, Skipped, State, Success


@task
def good() -> int:
    return 1


@task
def bad() -> None:
    raise ValueError


@task(skip_on_upstream_skip=False)
def skip() -> None:
    raise signals.SKIP


@task(trigger=triggers.manual_only)
def wait() -> None:
    """Run when somebody says so."""


@task
def take(x: Any) -> Any:
    return x


def run(flow: Flow, **options: Any) -> State:
    state: State = flow.run(on_pause=lambda names: [], **options)
    return state


def test_an_unfinished_terminal_task_keeps_the_run_from_ending():
    with Flow("f") as flow:
        good()
        wait()
    state = run(flow)
    assert isinstance(state, Paused)
    assert not state.is_finished()


def test_so_does_one_that_is_no_reference_task():
    with Flow("f") as flow:
        done = good()
        wait()
    flow.set_reference_tasks([done])
    assert isinstance(run(flow), Paused)


def test_so_does_an_unfinished_child():
    with Flow("f") as flow:
        wait_for = task(lambda x: x, name="approve", trigger=triggers.manual_only)
        wait_for.map([1, 2])
    state = flow.run(on_pause=lambda names: ["approve[0]"] if len(names) == 2 else [])
    assert isinstance(state, Paused)


def test_an_unfinished_run_has_the_results_so_far():
    with Flow("f") as flow:
        done, waiting = good(), wait()
        after = take(waiting)
    found = run(flow).result
    assert found[done].result == 1
    assert isinstance(found[waiting], Paused)
    assert found[after].is_pending()


def test_an_unfinished_task_wins_over_a_failed_one():
    with Flow("f") as flow:
        bad()
        wait()
    assert isinstance(run(flow), Paused)


def test_a_failed_reference_task_fails_the_run_whatever_the_others_did():
    with Flow("f") as flow:
        good()
        bad()
        skip()
    state = run(flow)
    assert (type(state), state.message) == (Failed, "Some reference tasks failed.")


def test_a_failed_trigger_is_a_failed_reference_task():
    with Flow("f") as flow:
        take(bad())
    assert run(flow).is_failed()


def test_all_successful_is_success():
    with Flow("f") as flow:
        good()
        skip()
        take.map([1, 2])
    state = run(flow)
    assert (type(state), state.message) == (Success, "All reference tasks succeeded.")


def test_neither_failed_nor_all_successful_is_success_with_another_message():
    with Flow("f") as flow:
        gone = good()
    state = run(flow, task_states={gone: Cancelled()})
    assert (type(state), state.message) == (Success, "No reference task failed.")


def test_by_default_the_reference_tasks_are_those_that_nothing_depends_on():
    with Flow("f") as flow:
        rescued = take(bad(), task_args={"trigger": triggers.any_failed})
    assert flow.reference_tasks() == {rescued}
    assert run(flow).is_successful()


@pytest.mark.parametrize(("chosen", "ends"), [(["good"], Success), (["bad"], Failed), (["good", "bad"], Failed)])
def test_chosen_reference_tasks_decide_alone(chosen, ends):
    with Flow("f") as flow:
        tasks: dict[str, Task] = {"good": good(), "bad": bad()}
    flow.set_reference_tasks([tasks[name] for name in chosen])
    assert type(run(flow)) is ends


# The terminal state handler


def test_the_terminal_state_handler_comes_after_the_decision_and_before_the_state_handlers():
    order: list[Any] = []

    def judge(flow: Flow, state: State, reference: dict[Task, State]) -> State:
        order.append((type(state), {task.name: type(found) for task, found in reference.items()}))
        return Skipped("judged")

    def note(_flow: Flow, old: State, new: State) -> None:
        order.append((type(old).__name__, type(new).__name__))

    with Flow("f", terminal_state_handler=judge, state_handlers=[note]) as flow:
        good()
    state = run(flow)
    assert order == [("Pending", "Running"), (Success, {"good": Success}), ("Running", "Skipped")]
    assert state.message == "judged"


def test_it_is_asked_about_a_run_that_waits_too():
    asked: list[type] = []
    with Flow("f", terminal_state_handler=lambda _flow, state, _tasks: asked.append(type(state))) as flow:
        wait()
    run(flow)
    assert asked == [Paused]


def test_what_it_raises_fails_the_run_and_the_results_stay():
    def judge(*_: Any) -> None:
        raise KeyError("odd")

    with Flow("f", terminal_state_handler=judge) as flow:
        done = good()
    state = run(flow)
    assert type(state) is Failed
    assert "'judge' of flow 'f'" in str(state.message)
    assert state.result[done].result == 1
