from __future__ import annotations

import io
import sys
from datetime import timedelta
from typing import Any

import pytest

from headrace import Flow, context, signals, task, testing, triggers
from headrace.engine.pausing import ask_on_terminal
from headrace.states import Paused, Resume, Success
from headrace.tasks import pause_task


@task(trigger=triggers.manual_only)
def approve(value: int) -> int:
    return value


@task
def double(value: int) -> int:
    return 2 * value


def approving() -> tuple[Flow, Any, Any]:
    with Flow("approving") as flow:
        approved = approve(double(1))
        after = double(approved)
    return flow, approved, after


def test_a_run_that_nobody_resumes_ends_paused() -> None:
    flow, approved, after = approving()
    state = flow.run(on_pause=lambda _: [])
    assert isinstance(state, Paused)
    assert isinstance(state.result[approved], Paused)
    assert state.result[after].is_pending()


def test_a_task_that_is_resumed_goes_on() -> None:
    flow, _, after = approving()
    asked: list[list[str]] = []

    def agree(names: list[str]) -> list[str]:
        asked.append(names)
        return names

    assert flow.run(on_pause=agree).result[after].result == 4
    assert asked == [["approve"]]


def test_questions_wait_until_nothing_else_is_left_to_do() -> None:
    @task(max_retries=1, retry_delay=timedelta(hours=1))
    def unsure() -> None:
        if context.task_run_count == 1:
            raise ConnectionError

    flow, _, _ = approving()
    with flow:
        unsure()
    clock = testing.VirtualClock()
    asked_at: list[float] = []

    def note(_names: list[str]) -> list[str]:
        asked_at.append(clock.now())
        return []

    began = clock.now()
    testing.run(flow, clock=clock, on_pause=note)
    assert asked_at == [began + 3600]


def test_a_mapped_child_is_asked_for_by_name() -> None:
    with Flow("f") as flow:
        approved = approve.map([1, 2, 3])
    state = flow.run(on_pause=lambda names: [name for name in names if name != "approve[1]"])
    assert isinstance(state, Paused)
    assert [type(child) for child in state.result[approved].map_states] == [Success, Paused, Success]
    assert flow.run(on_pause=lambda names: names).result[approved].result == [1, 2, 3]


def test_a_paused_run_goes_on_later_with_the_states_it_ended_in() -> None:
    flow, approved, after = approving()
    first = flow.run(on_pause=lambda _: [])
    states = {task: state for task, state in first.result.items() if state.is_finished()} | {approved: Resume()}
    second = flow.run(task_states=states)
    assert isinstance(second, Success)
    assert second.result[after].result == 4


def test_a_paused_run_goes_on_from_its_state() -> None:
    flow, approved, after = approving()
    first = flow.run(on_pause=lambda _: [])
    second = flow.run(state=first, task_states={approved: Resume()})
    assert isinstance(second, Success)
    assert second.result[after].result == 4


def test_paused_children_go_on_from_the_state_of_their_run() -> None:
    ran: list[int] = []

    @task
    def order(amount: int) -> int:
        ran.append(amount)
        if amount > 100 and not context.resume:
            raise signals.PAUSE
        return amount

    with Flow("orders") as flow:
        orders = order.map([20, 200])
    first = flow.run(on_pause=lambda _: [])
    assert [type(child) for child in first.result[orders].map_states] == [Success, Paused]
    second = flow.run(state=first, task_states={orders: Resume()})
    assert second.result[orders].result == [20, 200]
    assert ran == [20, 200, 200]


def test_a_pause_that_is_raised_can_be_resumed_too() -> None:
    @task
    def wait() -> str:
        if not context.resume:
            raise signals.PAUSE("look at this first")
        return "seen"

    with Flow("f") as flow:
        waited = wait()
    assert flow.run(on_pause=lambda names: names).result[waited].result == "seen"


class TestPauseTask:
    """`headrace.tasks.pause_task`."""

    def run(self, *arguments: Any, **options: Any) -> tuple[Any, list[str]]:
        log: list[str] = []

        def wait() -> str:
            log.append("before")
            pause_task(*arguments)
            return "after"

        with Flow("f") as flow:
            waited = task(wait, name="wait")()
        return testing.run(flow, **options)[waited], log

    def test_the_task_waits_for_somebody_with_the_message(self) -> None:
        state, _ = self.run("look at this", on_pause=lambda names: [])
        assert (type(state), state.message, state.start_time) == (Paused, "look at this", None)

    def test_without_a_message_there_is_one(self) -> None:
        state, _ = self.run(on_pause=lambda names: [])
        assert "Paused" in state.message

    def test_once_resumed_the_whole_task_runs_again_and_passes(self) -> None:
        state, log = self.run(on_pause=lambda names: names)
        assert (state.result, log) == ("after", ["before", "before"])

    @pytest.mark.parametrize("duration", [3600, timedelta(hours=1)])
    def test_with_a_duration_it_goes_on_by_itself_by_the_clock_of_the_run(self, duration: Any) -> None:
        clock = testing.VirtualClock()
        began = clock.now()
        state, _ = self.run("an hour", duration, clock=clock)
        assert (state.result, clock.now() - began) == ("after", 3600)

    def test_outside_of_a_run_it_raises_the_signal(self) -> None:
        with pytest.raises(signals.PAUSE, match="look"):
            pause_task("look")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", ["a"]), ("YES\n", ["a"]), ("n\n", []), ("\n", []), ("", [])])
def test_only_yes_resumes(typed: str, agreed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", asked)
    assert ask_on_terminal(["a"]) == agreed
    assert asked.getvalue() == "Task 'a' is paused. Resume it now? [y/N] "


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert ask_on_terminal(["a"]) == []
