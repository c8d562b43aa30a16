"""States, section 4.1 of the classic reference: what the engine makes of each class."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, context, signals, task, testing, triggers
from headrace.states import (
    Cached,
    Failed,
    Finished,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Submitted,
    Success,
    TimedOut,
    TriggerFailed,
    ValidationFailed,
)


def raising(error: BaseException) -> Any:
    def run() -> None:
        raise error

    return run


def entered(function: Any, **options: Any) -> list[State]:
    """Return every state that a task enters, in virtual time, and the one it begins in."""
    seen: list[State] = []

    def note(_task: object, old: State, new: State) -> None:
        seen.extend([new] if seen else [old, new])

    with Flow("f") as flow:
        task(function, name="t", state_handlers=[note], **options)()
    testing.run(flow, on_pause=lambda names: [])
    return seen


def ended(function: Any, **options: Any) -> State:
    return entered(function, **options)[-1]


# Which class the engine makes


def test_a_run_begins_as_pending_and_is_then_running():
    assert [type(state) for state in entered(lambda: 1)] == [Pending, Running, Success]


@pytest.mark.parametrize(
    ("function", "options", "expected"),
    [
        (lambda: 1, {}, Success),
        (raising(KeyError()), {}, Failed),
        (raising(signals.SKIP()), {}, Skipped),
        (raising(signals.VALIDATIONFAIL()), {}, ValidationFailed),
        (raising(signals.PAUSE()), {}, Paused),
        (lambda: 1, {"trigger": triggers.manual_only}, Paused),
        (lambda: 1, {"trigger": lambda states: False}, TriggerFailed),
    ],
)
def test_the_class_says_how_a_task_ended(function, options, expected):
    assert type(ended(function, **options)) is expected


def test_a_task_that_takes_too_long_is_timed_out_which_is_a_failure():
    with Flow("f") as flow:
        slow = task(lambda: None, name="slow", timeout=5)()
    state = testing.run(flow, overrides={slow: testing.takes(60)})[slow]
    assert type(state) is TimedOut
    assert state.is_failed()


def test_the_engine_never_makes_a_validation_failure_by_itself():
    assert type(ended(raising(ValueError("not valid")))) is Failed


def test_between_two_attempts_a_task_is_retrying_at_a_moment_with_a_count():
    states = entered(raising(KeyError()), max_retries=2, retry_delay=60)
    retrying = [state for state in states if isinstance(state, Retrying)]
    assert [state.run_count for state in retrying] == [1, 2]
    first, second = (state.start_time for state in retrying)
    assert first is not None
    assert second == first + timedelta(seconds=60)


def test_a_looped_state_counts_the_iterations_and_is_neither_success_nor_failure():
    def loop() -> None:
        if context.get("task_loop_count", 1) < 3:
            raise signals.LOOP

    looped = [state for state in entered(loop) if isinstance(state, Looped)]
    assert [state.loop_count for state in looped] == [1, 2]
    assert not any(state.is_successful() or state.is_failed() for state in looped)
    assert all(isinstance(state, Finished) for state in looped)


def test_a_mapped_task_is_mapped_and_its_children_have_states_of_their_own():
    with Flow("f") as flow:
        mapped = task(lambda x: 1 / x, name="invert").map([1, 0])
    state = flow.run().result[mapped]
    assert isinstance(state, Mapped)
    assert state.is_successful()
    assert (state.n_map_states, [type(child) for child in state.map_states]) == (2, [Success, Failed])


def test_a_skipped_task_counts_as_a_success():
    assert ended(raising(signals.SKIP())).is_successful()


def test_a_result_that_was_computed_before_is_cached_which_is_a_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Flow("f") as flow:
        made = task(lambda: 1, name="made", cache_for=60)()
    flow.run()
    state = flow.run().result[made]
    assert type(state) is Cached
    assert state.is_successful()


# Scheduled and what is like it


@pytest.mark.parametrize("cls", [Scheduled, Queued])
def test_a_task_that_starts_from_a_moment_runs_then(cls):
    clock = testing.VirtualClock()
    began = clock.now()
    moment = datetime.fromtimestamp(began, UTC) + timedelta(hours=1)
    with Flow("f") as flow:
        last = task(clock.now, name="last")()
    record = testing.run(flow, clock=clock, task_states={last: cls(start_time=moment)})
    assert record.result(last) == began + 3600


@pytest.mark.parametrize("cls", [Scheduled, Resume, Retrying, Queued, Submitted, Running])
def test_a_task_that_starts_from_something_unfinished_runs(cls):
    with Flow("f") as flow:
        last = task(lambda: "ran", name="last")()
    assert flow.run(task_states={last: cls()}).result[last].result == "ran"


def test_queued_and_submitted_hold_no_other_state():
    assert not hasattr(Queued(), "state")
    assert not hasattr(Submitted(), "state")


# What a state carries


def test_states_carry_no_tags_because_handlers_get_the_task():
    seen: list[Any] = []
    with Flow("f") as flow:
        task(
            lambda: 1,
            name="t",
            tags=["nightly"],
            state_handlers=[lambda task, _old, new: seen.append((task.tags, new.context))],
        )()
    flow.run()
    assert seen == [({"nightly"}, {})] * 2


def test_the_notes_of_a_state_must_be_fit_for_json_to_be_serialized():
    state = Success(context={"rows": 5})
    assert json.loads(json.dumps(state.serialize()))["context"] == {"rows": 5}
    with pytest.raises(ValueError, match="context"):
        Success(context={"rows": object()}).serialize()


def test_the_states_of_a_run_survive_their_records_without_the_results():
    with Flow("f") as flow:
        made = task(object, name="made")()
    state = flow.run().result[made]
    new = State.deserialize(json.loads(json.dumps(state.serialize())))
    assert (type(new), new.message, new.timestamp) == (Success, state.message, state.timestamp)
