"""Looping, section 5.6 of the classic reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, context, signals, task, testing
from headrace.results import LocalResult
from headrace.states import Mapped, Success


def run(function: Any, **options: Any) -> Any:
    with Flow("f") as flow:
        last = task(function, name="loop", **options)()
    return testing.run(flow)[last]


def test_the_count_is_absent_in_the_first_round_and_then_two_and_three():
    seen: list[Any] = []

    def loop() -> None:
        seen.append(("task_loop_count" in context, context.get("task_loop_count"), context.get("task_loop_result")))
        if len(seen) < 3:
            raise signals.LOOP(result=len(seen))

    run(loop)
    assert seen == [(False, None, None), (True, 2, 1), (True, 3, 2)]


def test_a_loop_without_a_result_hands_on_none():
    seen: list[Any] = []

    def loop() -> None:
        seen.append(context.get("task_loop_result", "absent"))
        if len(seen) < 2:
            raise signals.LOOP("once more")

    run(loop)
    assert seen == ["absent", None]


def test_what_the_last_round_returns_is_the_result():
    def loop() -> int:
        total: int = context.get("task_loop_result", 0)
        if total < 10:
            raise signals.LOOP(result=total + 3)
        return total

    state = run(loop)
    assert (type(state), state.result) == (Success, 12)


def test_the_arguments_are_the_same_in_each_round_and_upstream_tasks_run_once():
    seen: list[Any] = []

    def loop(xs: list[int]) -> None:
        seen.append(xs)
        if len(seen) < 3:
            raise signals.LOOP

    with Flow("f") as flow:
        source = task(lambda: [1, 2], name="source")()
        task(loop, name="loop")(source)
    record = testing.run(flow)
    assert seen == [[1, 2]] * 3
    assert seen[0] is seen[2]
    assert record.times(source) == 1


@pytest.mark.parametrize("end", [signals.SKIP("enough"), signals.FAIL("enough"), signals.SUCCESS("enough", result=5)])
def test_a_loop_may_end_with_any_signal(end):
    def loop() -> None:
        if context.get("task_loop_count", 1) == 3:
            raise end
        raise signals.LOOP

    state = run(loop)
    assert state is end.state


def test_every_round_is_running_and_then_looped():
    steps: list[str] = []

    def note(_task: object, old: Any, new: Any) -> None:
        steps.append(f"{type(old).__name__} -> {type(new).__name__}")

    def loop() -> None:
        if context.get("task_loop_count", 1) < 3:
            raise signals.LOOP

    run(loop, state_handlers=[note])
    assert steps[:5] == [
        "Pending -> Running",
        "Running -> Looped",
        "Looped -> Running",
        "Running -> Looped",
        "Looped -> Running",
    ]


def test_only_the_result_of_the_last_round_is_checkpointed(tmp_path: Path):
    written: list[int] = []

    def loop() -> int:
        written.append(len([path for path in tmp_path.rglob("*") if path.is_file()]))
        if len(written) < 3:
            raise signals.LOOP(result=len(written))
        return 3

    state = run(loop, result=LocalResult(tmp_path))
    assert written == [0, 0, 0]
    assert LocalResult(tmp_path).read(str(state.location)).value == 3


def test_the_result_of_the_last_round_is_cached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rounds: list[int] = []

    def loop() -> str:
        rounds.append(1)
        if context.get("task_loop_count", 1) < 3:
            raise signals.LOOP
        return "done"

    with Flow("f") as flow:
        last = task(loop, name="loop", cache_for=60, cache_key="loop")()
    assert flow.run().result[last].result == "done"
    state = flow.run().result[last]
    assert (state.is_cached(), state.result, len(rounds)) == (True, "done", 3)


def test_a_child_loops_by_itself():
    def loop(x: int) -> int:
        count: int = context.get("task_loop_count", 1)
        if count < x:
            raise signals.LOOP
        return count

    with Flow("f") as flow:
        mapped = task(loop, name="loop").map([1, 2, 3])
    state = flow.run().result[mapped]
    assert isinstance(state, Mapped)
    assert state.result == [1, 2, 3]


def test_a_retry_goes_on_with_the_round_that_failed_and_its_result():
    seen: list[Any] = []

    def loop() -> Any:
        seen.append((context.get("task_loop_count", 1), context.get("task_loop_result"), context.task_run_count))
        if len(seen) == 2:
            raise ConnectionError
        if len(seen) < 4:
            raise signals.LOOP(result=len(seen))
        return "done"

    run(loop, max_retries=1, retry_delay=60)
    assert seen == [(1, None, 1), (2, 1, 1), (2, 1, 2), (3, 3, 1)]


def test_a_loop_goes_on_after_a_pause():
    seen: list[Any] = []

    def loop() -> str:
        count = context.get("task_loop_count", 1)
        seen.append((count, context.resume))
        if count == 2 and not context.resume:
            raise signals.PAUSE
        if count < 3:
            raise signals.LOOP
        return "done"

    with Flow("f") as flow:
        last = task(loop, name="loop")()
    assert flow.run(on_pause=lambda names: names).result[last].result == "done"
    assert [count for count, _ in seen] == [1, 2, 2, 3]
