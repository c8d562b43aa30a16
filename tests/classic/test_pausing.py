"""Pausing, section 5.7 of the classic reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, Task, context, signals, task, testing, triggers
from headrace.states import Paused, Resume, State, Success
from headrace.tasks import pause_task


def raise_pause() -> None:
    if not context.resume:
        raise signals.PAUSE("by a signal")


class Steps:
    """A task that pauses in its middle, in the way it is told."""

    def __init__(self, pause: Any = raise_pause, **options: Any) -> None:
        self.seen: list[str] = []
        self.pause = pause
        with Flow("f") as self.flow:
            self.task: Task = task(self.work, name="work", **options)()
            self.after: Task = task(lambda x: f"after {x}", name="after")(self.task)

    def work(self) -> str:
        self.seen.append("before")
        self.pause()
        self.seen.append("after")
        return "work"

    def run(self, **options: Any) -> State:
        state: State = self.flow.run(**{"on_pause": lambda names: [], **options})
        return state


WAYS = {
    "signal": Steps,
    "helper": lambda: Steps(pause_task),
    "trigger": lambda: Steps(lambda: None, trigger=triggers.manual_only),
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_a_task_that_pauses_is_paused_for_ever_and_so_is_the_run(way):
    steps = WAYS[way]()
    state = steps.run()
    paused = state.result[steps.task]
    assert (type(state), type(paused)) == (Paused, Paused)
    assert paused.start_time is None
    assert state.result[steps.after].is_pending()


@every_way
def test_a_state_resume_lets_it_go_on(way):
    steps = WAYS[way]()
    steps.run()
    state = steps.run(task_states={steps.task: Resume()})
    assert type(state) is Success
    assert state.result[steps.after].result == "after work"


@every_way
def test_so_does_whoever_is_asked(way):
    steps = WAYS[way]()
    state = steps.run(on_pause=lambda names: names)
    assert state.result[steps.after].result == "after work"


@every_way
def test_so_does_a_pause_whose_time_has_come(way):
    steps = WAYS[way]()
    moment = datetime.fromtimestamp(testing.VirtualClock().now(), UTC) + timedelta(hours=1)
    record = testing.run(steps.flow, task_states={steps.task: Paused(start_time=moment)})
    assert record[steps.after].result == "after work"
    assert record.elapsed == 3600


@every_way
def test_a_pause_for_ever_that_is_given_to_a_run_waits_on(way):
    steps = WAYS[way]()
    state = steps.run(task_states={steps.task: Paused()})
    assert type(state) is Paused
    assert steps.seen == []


@pytest.mark.parametrize("way", ["signal", "helper"])
def test_a_task_that_goes_on_begins_anew(way):
    steps = WAYS[way]()
    steps.run(on_pause=lambda names: names)
    assert steps.seen == ["before", "before", "after"]


def test_resume_is_in_the_context_of_the_task_that_goes_on_and_of_no_other():
    def look() -> Any:
        return context.resume

    with Flow("f") as flow:
        resumed = task(look, name="resumed", trigger=triggers.manual_only)()
        other = task(look, name="other")(upstream_tasks=[resumed])
    states = flow.run(on_pause=lambda names: names).result
    assert (states[resumed].result, states[other].result) == (True, False)


def test_the_others_go_on_while_one_waits():
    with Flow("f") as flow:
        waiting = task(raise_pause, name="waiting")()
        other = task(lambda: "done", name="other")()
        retried = task(lambda: context.task_run_count / (context.task_run_count - 1), max_retries=1, retry_delay=3600)()
    record = testing.run(flow, on_pause=lambda names: [])
    assert [type(record[found]).__name__ for found in (waiting, other, retried)] == ["Paused", "Success", "Success"]


def test_only_those_who_were_named_go_on():
    with Flow("f") as flow:
        mapped = task(lambda x: x, name="approve", trigger=triggers.manual_only).map([1, 2])
    asked: list[list[str]] = []

    def agree_to_one(names: list[str]) -> list[str]:
        asked.append(names)
        return names[:1]

    assert flow.run(on_pause=agree_to_one).result[mapped].result == [1, 2]
    assert asked == [["approve[0]", "approve[1]"], ["approve[1]"]]


def test_a_task_may_pause_again_after_it_went_on():
    asked: list[int] = []

    def insist() -> str:
        if len(asked) < 3:
            raise signals.PAUSE
        return "done"

    with Flow("f") as flow:
        last = task(insist, name="insist")()

    def agree(names: list[str]) -> list[str]:
        asked.append(1)
        return names

    assert flow.run(on_pause=agree).result[last].result == "done"
    assert len(asked) == 3


# pause_task


def test_pause_task_takes_a_message_and_a_duration():
    steps = Steps(lambda: pause_task("look at this", duration=timedelta(hours=1)))
    seen: list[State] = []
    steps.task.state_handlers.append(lambda _task, _old, new: seen.append(new))
    record = testing.run(steps.flow)
    paused = next(state for state in seen if isinstance(state, Paused))
    assert (paused.message, record.elapsed) == ("look at this", 3600)
    assert record.result(steps.after) == "after work"


def test_pause_task_does_nothing_in_a_task_that_goes_on():
    with context(resume=True):
        pause_task("look at this")
