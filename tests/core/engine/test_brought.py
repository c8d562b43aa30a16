"""What a run takes over from an earlier one."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Task, context, resource_manager, signals, task
from headrace.states import (
    Failed,
    Looped,
    Mapped,
    Paused,
    Queued,
    Resume,
    Running,
    State,
    Submitted,
    Success,
)


class Seen:
    """A task that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.task = task(self.call, name="seen")

    def call(self, x: Any = None) -> Any:
        self.calls.append(x)
        return x


def run_from(state: State, function: Any = lambda: "ran", **options: Any) -> State:
    with Flow("f") as flow:
        last = task(function, name="last", **options)()
    found: State = flow.run(task_states={last: state}).result[last]
    return found


def finished(state: State) -> dict[Task, State]:
    return {task: found for task, found in state.result.items() if found.is_finished()}


@pytest.mark.parametrize("state", [Running(), Submitted(), Queued()])
def test_what_was_under_way_runs(state):
    assert run_from(state).result == "ran"


def test_a_looped_task_goes_on_with_the_next_iteration():
    def count() -> Any:
        return context.task_loop_count, context.task_loop_result

    assert run_from(Looped(result="half", loop_count=3), count).result == (4, "half")


def test_a_pause_notes_in_which_attempt_it_was_and_resuming_goes_on_with_it():
    attempts: list[int] = []

    def unsure() -> None:
        attempts.append(context.task_run_count)
        if context.task_run_count == 1 or context.resume:
            raise ConnectionError
        raise signals.PAUSE("look at this")

    with Flow("f") as flow:
        last = task(unsure, max_retries=1, retry_delay=0)()
    paused = flow.run(on_pause=lambda names: []).result[last]
    assert isinstance(paused, Paused)
    flow.run(task_states={last: Resume(context=paused.context)})
    assert attempts == [1, 2, 2]


class TestMaps:
    def run_from(self, children: list[State | None], **options: Any) -> tuple[State, list[Any], Any]:
        seen = Seen()
        with Flow("f") as flow:
            mapped = seen.task.map([10, 20, 30], **options)
            total = task(lambda xs: xs, name="total")(mapped)
        states = flow.run(task_states={mapped: Mapped(map_states=children)}).result
        return states[mapped], seen.calls, states[total].result

    def test_only_unfinished_children_run(self):
        state, calls, total = self.run_from([Success(result=1), Resume(), None])
        assert (type(state), calls, total) == (Mapped, [20, 30], [1, 20, 30])

    def test_a_failed_child_stays_failed(self):
        state, calls, _ = self.run_from([Failed(), Resume(), Success(result=3)])
        assert isinstance(state, Mapped)
        assert [type(child) for child in state.map_states] == [Failed, Success, Success]
        assert calls == [20]

    def test_if_all_are_finished_nothing_is_mapped(self):
        _, calls, total = self.run_from([Success(result=1)])
        assert (calls, total) == ([], [1])

    def test_a_bound_on_how_many_children_are_on_their_way_holds_nothing_up(self):
        _, calls, total = self.run_from([Success(result=1), Success(result=2), Resume()], max_in_flight=1)
        assert (calls, total) == ([30], [1, 2, 30])


class Steps:
    """A resource that takes down what happens to it, and a flow that uses it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.broken = True
        log = self.log

        class Connection:
            def setup(self) -> str:
                log.append("setup")
                return "connection"

            def cleanup(self, connection: str) -> None:
                log.append(f"cleanup {connection}")

        manager = resource_manager(Connection)
        with Flow("f") as self.flow:
            with manager() as connection:
                self.used = task(self.use, name="use")(connection)
            task(lambda: self.log.append("after"), name="after")(upstream_tasks=[self.used])

    def use(self, connection: str) -> None:
        self.log.append(f"use {connection}")
        if self.broken:
            raise ConnectionError


class TestResources:
    def test_what_was_cleaned_up_is_set_up_again_for_whoever_still_needs_it(self):
        steps = Steps()
        first = steps.flow.run()
        steps.log.clear()
        steps.broken = False
        states = {task: state for task, state in finished(first).items() if state.is_successful()}
        assert steps.flow.run(task_states=states).is_successful()
        assert steps.log == ["setup", "use connection", "cleanup connection", "after"]

    def test_what_nobody_needs_any_more_is_left_alone(self):
        steps = Steps()
        steps.broken = False
        first = steps.flow.run()
        steps.log.clear()
        states = {task: state for task, state in finished(first).items() if task.name != "after"}
        assert steps.flow.run(task_states=states).is_successful()
        assert steps.log == ["after"]

    def test_what_belongs_to_a_process_that_is_gone_is_set_up_again(self):
        steps = Steps()
        first = steps.flow.run()
        steps.log.clear()
        steps.broken = False
        elsewhere = {
            task: State.deserialize(state.serialize())
            for task, state in finished(first).items()
            if task.name in {"Connection", "Connection.setup"}
        }
        assert steps.flow.run(task_states=elsewhere).is_successful()
        assert steps.log == ["setup", "use connection", "cleanup connection", "after"]

    def test_what_is_still_open_is_used_on(self):
        steps = Steps()

        def wait() -> None:
            if not context.resume:
                raise signals.PAUSE

        with Flow("waiting") as flow:
            used = task(wait, name="wait")()
        flow.update(steps.flow)
        flow.set_dependencies(steps.used, upstream_tasks=[used])
        steps.broken = False
        first = flow.run(on_pause=lambda names: [])
        assert flow.run(task_states={**finished(first), used: Resume()}).is_successful()
        assert steps.log == ["setup", "use connection", "cleanup connection", "after"]


def test_what_must_not_outlive_its_run_is_made_anew():
    class Token(Task):
        ephemeral = True

        def run(self) -> str:
            return "new"

    with Flow("f") as flow:
        token = Token()()
    assert flow.run(task_states={token: Success(result="old")}).result[token].result == "new"


def test_what_is_no_state_is_refused():
    with Flow("f") as flow:
        last = task(lambda: 1, name="last")()
    with pytest.raises(TypeError, match="'last' 'Success', which is no state"):
        flow.run(task_states={last: "Success"})
