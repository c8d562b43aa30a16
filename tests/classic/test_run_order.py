"""The steps of a run and their order, sections 4.4 and 4.5 of the classic reference.

Two checks that both have something to say meet in one test, which shows that the earlier one decides.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, context, flatten, resource_manager, signals, task, testing, triggers
from headrace.results import LocalResult
from headrace.states import (
    Cached,
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TriggerFailed,
)
from headrace.tasks import pause_task


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, for the cache and for targets."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Calls:
    """A task that notes that it was called."""

    def __init__(self, **options: Any) -> None:
        self.seen: list[Any] = []
        self.task = task(self.call, name="calls", **options)

    def call(self, x: Any = None) -> Any:
        self.seen.append(x)
        return x


@task
def good() -> int:
    return 1


@task
def bad() -> None:
    raise ValueError("no")


@task
def skip() -> None:
    raise signals.SKIP


@task(trigger=triggers.manual_only)
def wait() -> None:
    """Run when somebody says so."""


@task
def take(x: Any) -> Any:
    return x


def refuse(_states: Any) -> bool:
    return False


def pausing(names: list[str]) -> list[str]:
    return []


def in_an_hour(clock: testing.VirtualClock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC) + timedelta(hours=1)


# 4.4 The run of a flow


def test_parameters_are_filled_in_before_anything_runs_with_defaults_and_then_with_what_is_given():
    with Flow("f") as flow:
        seen = task(lambda a, b: dict(context.parameters), name="seen")(Parameter("a", default=1), Parameter("b", 2))
    assert flow.run(b=3).result[seen].result == {"a": 1, "b": 3}


def test_the_flow_is_running_before_its_tasks_and_ends_after_them():
    order: list[str] = []

    def note(_tracked: object, _old: State, new: State) -> None:
        order.append(f"{_tracked!r} {type(new).__name__}")

    with Flow("f", state_handlers=[note]) as flow:
        task(lambda: 1, name="t", state_handlers=[note])()
    flow.run()
    assert order == [
        '<Flow: name="f"> Running',
        "<Task: t> Running",
        "<Task: t> Success",
        '<Flow: name="f"> Success',
    ]


def test_constants_are_successes_that_never_run():
    executed = testing.run(_with_constant()).order
    assert executed == ["take"]


def _with_constant() -> Flow:
    with Flow("f") as flow:
        take([1, 2])
    return flow


def test_a_finished_state_that_is_given_is_kept_and_the_task_does_not_run():
    calls = Calls()
    with Flow("f") as flow:
        first = calls.task(5)
        last = take(first)
    states = flow.run(task_states={first: Success(result=7)}).result
    assert (calls.seen, states[last].result) == ([], 7)


def test_a_mapped_state_that_is_given_is_not_kept_for_its_unfinished_children():
    calls = Calls()
    with Flow("f") as flow:
        mapped = calls.task.map([10, 20])
    given = Mapped(map_states=[Success(result=1), Resume()])
    assert flow.run(task_states={mapped: given}).result[mapped].result == [1, 20]
    assert calls.seen == [20]


def test_a_cached_state_that_is_given_is_not_kept_if_the_validator_turns_it_down():
    calls = Calls(cache_for=60)
    with Flow("f") as flow:
        cached = calls.task(5)
    given = Cached(result=7, hashed_inputs={"x": "of something else"})
    assert flow.run(task_states={cached: given}).result[cached].result == 5


def test_a_resource_that_was_cleaned_up_is_set_up_again():
    log: list[str] = []

    class Connection:
        def setup(self) -> None:
            log.append("setup")

        def cleanup(self, _: object) -> None:
            log.append("cleanup")

    manager = resource_manager(Connection)
    with Flow("f") as flow, manager() as connection:
        used = task(lambda c: log.append("use"), name="use")(connection)
    first = flow.run()
    flow.run(task_states={task: state for task, state in first.result.items() if task is not used})
    assert log == ["setup", "use", "cleanup"] * 2


def test_what_has_no_state_yet_is_pending():
    with Flow("f") as flow:
        after = take(wait())
    assert type(flow.run(on_pause=pausing).result[after]) is Pending


def test_flatten_is_applied_before_the_task_gets_its_argument():
    with Flow("f") as flow:
        flat = take(flatten(task(lambda: [[1], [2, 3]], name="nested")()))
    assert flow.run().result[flat].result == [1, 2, 3]


# 4.5 The run of a task

# 0 initialise


def test_a_retrying_state_continues_the_count_of_attempts():
    with Flow("f") as flow:
        last = task(lambda: context.task_run_count, name="count")()
    assert flow.run(task_states={last: Retrying(run_count=3)}).result[last].result == 4


def test_any_other_state_notes_the_count_itself():
    with Flow("f") as flow:
        last = task(lambda: context.task_run_count, name="count")()
    given = Resume(context={"task_run_count": 3})
    assert flow.run(task_states={last: given}).result[last].result == 3


@pytest.mark.parametrize("state", [Resume(), Paused(start_time=datetime(2020, 1, 1, tzinfo=UTC))])
def test_resume_and_a_pause_that_is_over_set_resume(state):
    with Flow("f") as flow:
        last = task(lambda: context.resume, name="resume")()
    assert flow.run(task_states={last: state}).result[last].result is True


def test_resume_is_not_set_otherwise():
    with Flow("f") as flow:
        last = task(lambda: context.resume, name="resume")()
    assert flow.run().result[last].result is False


# 1 the task is ready, 2 its start time has come, 3 its upstream tasks are finished


@pytest.mark.parametrize("state", [Success(result=7), Failed("kept"), Skipped(), TriggerFailed()])
def test_a_finished_task_does_not_even_look_at_its_upstream_tasks(state):
    with Flow("f") as flow:
        last = take(wait(), task_args={"trigger": refuse})
    assert flow.run(task_states={last: state}, on_pause=pausing).result[last] is state


def test_a_start_time_is_waited_for_before_the_trigger_is_asked():
    clock = testing.VirtualClock()
    asked: list[float] = []

    def ask(_states: Any) -> bool:
        asked.append(clock.now())
        return True

    moment = in_an_hour(clock)
    with Flow("f") as flow:
        last = task(lambda: 1, name="last", trigger=ask)()
    testing.run(flow, clock=clock, task_states={last: Scheduled(start_time=moment)})
    assert asked == [moment.timestamp()]


def test_an_unfinished_upstream_task_keeps_a_task_pending_whatever_its_trigger():
    asked: list[int] = []

    def ask(_states: Any) -> bool:
        asked.append(1)
        return True

    with Flow("f") as flow:
        last = take(wait(), task_args={"trigger": ask})
    assert type(flow.run(on_pause=pausing).result[last]) is Pending
    assert asked == []


def test_one_unfinished_child_keeps_a_reduce_pending():
    with Flow("f") as flow:
        children = task(lambda x: x, name="child", trigger=triggers.manual_only).map([1, 2])
        total = take(children)
    states = flow.run(on_pause=lambda names: ["child[0]"] if len(names) == 2 else []).result
    assert type(states[total]) is Pending


# 4 skips before 7 mapping, 9 target and cache, 10 the trigger


def test_a_skip_comes_before_the_trigger():
    with Flow("f") as flow:
        last = take(skip(), task_args={"trigger": refuse})
    assert type(flow.run().result[last]) is Skipped


def test_a_skip_comes_before_the_cache():
    calls = Calls(cache_for=60, cache_key="calls")
    with Flow("f") as flow:
        calls.task(None)
    flow.run()
    with Flow("f") as flow:
        last = calls.task(skip())
    assert type(flow.run().result[last]) is Skipped


def test_a_skip_comes_before_the_target(folder):
    LocalResult(folder, location="there").write(5)
    with Flow("f") as flow:
        last = take(skip(), task_args={"target": "there", "result": LocalResult(folder)})
    assert type(flow.run().result[last]) is Skipped


def test_a_skip_comes_before_mapping_over_what_cannot_be_mapped():
    with Flow("f") as flow:
        last = take.map(skip())
    assert type(flow.run().result[last]) is Skipped


# 7 mapping before everything that concerns one child


def test_a_mapped_task_is_mapped_before_its_trigger_is_asked():
    with Flow("f") as flow:
        last = take.map([1, 2], task_args={"trigger": refuse})
    state = flow.run().result[last]
    assert isinstance(state, Mapped)
    assert [type(child) for child in state.map_states] == [TriggerFailed, TriggerFailed]


def test_a_map_that_cannot_be_made_is_not_retried():
    changes: list[type] = []
    with Flow("f") as flow:
        mapped = take.map(
            good(),
            task_args={
                "max_retries": 3,
                "retry_delay": 0,
                "state_handlers": [lambda _task, _old, new: changes.append(type(new))],
            },
        )
    assert isinstance(flow.run().result[mapped], Failed)
    assert changes == [Failed]


# 8 the name of the run before 9 the target


def test_the_name_of_the_run_is_there_for_the_target(folder):
    with Flow("f") as flow:
        take("a", task_args={"task_run_name": "run-{x}", "target": "{task_run_name}", "result": LocalResult(folder)})
    flow.run()
    assert (folder / "run-a").is_file()


# 9 a target or the cache, after 10 the trigger


def test_a_task_with_a_target_never_asks_the_cache(folder):
    calls = Calls(cache_for=60, target="there", result=LocalResult(folder))
    with Flow("f") as flow:
        last = calls.task(5)
    assert type(flow.run().result[last]) is Success
    (folder / "there").unlink()
    assert type(flow.run().result[last]) is Success
    assert calls.seen == [5, 5]


def test_a_trigger_that_refuses_comes_before_a_hit():
    calls = Calls(cache_for=60, cache_validator=lambda *_: True, cache_key="calls")
    with Flow("f") as flow:
        calls.task(5)
    flow.run()
    with Flow("f") as flow:
        last = calls.task(bad())
    assert type(flow.run().result[last]) is TriggerFailed


def test_a_trigger_that_pauses_comes_before_a_hit():
    calls = Calls(cache_for=60, cache_key="calls")
    with Flow("f") as flow:
        last = calls.task(5)
    flow.run()
    last.trigger = triggers.manual_only
    assert isinstance(flow.run(on_pause=pausing).result[last], Paused)


# 10 the trigger before 11 Running


def test_a_task_that_is_refused_is_never_running():
    entered: list[type] = []
    with Flow("f") as flow:
        task(
            lambda: 1,
            name="t",
            trigger=refuse,
            state_handlers=[lambda _task, _old, new: entered.append(type(new))],
        )()
    flow.run()
    assert entered == [TriggerFailed]


def test_a_refusal_is_not_retried():
    asked: list[int] = []

    def ask(_states: Any) -> bool:
        asked.append(1)
        return False

    with Flow("f") as flow:
        task(lambda: 1, name="t", trigger=ask, max_retries=3, retry_delay=0)()
    flow.run()
    assert asked == [1]


# 12 the run, the checkpoint, 13 the cache, 14 retries, 15 loops


def test_a_result_is_written_before_the_task_is_a_success(folder):
    written: list[bool] = []

    def look(_task: object, _old: State, new: State) -> None:
        if new.is_successful():
            written.append((folder / "there").is_file())

    with Flow("f") as flow:
        task(lambda: 1, name="t", target="there", result=LocalResult(folder), state_handlers=[look])()
    flow.run()
    assert written == [True]


def test_a_result_that_cannot_be_written_is_a_failure_and_retried(folder):
    values: list[Any] = [lambda: 1, 2]

    def make() -> Any:
        return values.pop(0)

    with Flow("f") as flow:
        made = task(make, name="make", result=LocalResult(folder), serializer="json", max_retries=1, retry_delay=0)()
    state = flow.run().result[made]
    assert state.result == 2
    assert len(state.attempts) == 1


def test_a_failed_attempt_is_not_cached_and_the_one_that_succeeds_is():
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return 5

    with Flow("f") as flow:
        made = task(flaky, name="flaky", cache_for=60, cache_key="flaky", max_retries=1, retry_delay=0)()
    assert type(flow.run().result[made]) is Success
    assert type(flow.run().result[made]) is Cached
    assert len(calls) == 2


def test_a_loop_goes_through_all_checks_again():
    asked: list[int] = []

    def ask(_states: Any) -> bool:
        asked.append(1)
        return True

    def loop() -> None:
        if context.get("task_loop_count", 1) < 3:
            raise signals.LOOP

    with Flow("f") as flow:
        task(loop, name="loop", trigger=ask)()
    flow.run()
    assert len(asked) == 3


@pytest.mark.parametrize("state", [Failed("as a value"), Looped(), Paused(), Running()])
def test_a_state_that_a_task_returns_is_its_result(state):
    with Flow("f") as flow:
        made = take(state)
    found = flow.run().result[made]
    assert type(found) is Success
    assert found.result is state


# What does not belong to the task


def test_sys_exit_fails_the_task_and_the_others_go_on():
    with Flow("f") as flow:
        leaving = task(lambda: sys.exit(1), name="leave")()
        other = good()
    states = flow.run().result
    assert isinstance(states[leaving].result, SystemExit)
    assert states[other].result == 1


def test_a_keyboard_interrupt_ends_the_run_and_comes_out_of_it():
    ran: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    with Flow("f") as flow:
        first: Task = task(interrupt, name="interrupt")()
        task(lambda: ran.append("after"), name="after", trigger=triggers.always_run)(upstream_tasks=[first])
    with pytest.raises(KeyboardInterrupt):
        flow.run()
    assert ran == []


def test_a_pause_that_a_task_asks_for_is_no_failure():
    with Flow("f") as flow:
        paused = task(pause_task, name="pause", max_retries=3, retry_delay=0)()
    state = flow.run(on_pause=pausing).result[paused]
    assert (type(state), state.attempts) == (Paused, ())
