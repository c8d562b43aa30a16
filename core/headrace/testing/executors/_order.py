"""Order, dependencies, mapping, and what tasks say about their own runs."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from headrace import Flow, context, flatten, signals, task, triggers, unmapped
from headrace.abc import Capability
from headrace.testing.executors._base import ExecutorTests

__all__ = ["Order"]


@task
def _double(number: int) -> int:
    return 2 * number


@task
def _total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def _refuse(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"{number} is not wanted")
    return number


@task
def _whole(**values: Any) -> dict[str, Any]:
    return values


class Order(ExecutorTests):
    """What runs after what, and gets what."""

    def test_a_task_begins_when_those_before_it_have_ended(self) -> None:
        """Work is only delivered once it has ended."""

        @task
        def span(*, after: Any = None) -> tuple[float, float]:
            del after
            began = time.time()
            time.sleep(0.02)
            return began, time.time()

        with Flow("diamond") as flow:
            top = span()
            left, right = span(after=top), span(upstream_tasks=[top])
            bottom = span(after=[left, right])
        states = self.run(flow).result
        spans = {each: states[each].result for each in (top, left, right, bottom)}
        for before, after in ((top, left), (top, right), (left, bottom), (right, bottom)):
            assert spans[before][1] <= spans[after][0]

    def test_results_reach_the_arguments_they_are_for(self) -> None:
        """Work is called with its own arguments, also with those inside of collections."""
        with Flow("arguments") as flow:
            one, two, three = _double(1), _double(2), _double(3)
            whole = _whole(a=one, b=[two, {"three": three}], c=(one, 5), d="text")
        expected = {"a": 2, "b": [4, {"three": 6}], "c": (2, 5), "d": "text"}
        assert self.run(flow).result[whole].result == expected

    def test_a_long_chain_ends(self) -> None:
        """One task after the other."""
        with Flow("chain") as flow:
            last: Any = _double(0)
            for _ in range(50):
                last = _total([last, 1])
        assert self.run(flow).result[last].result == 50

    def test_results_of_a_map_are_in_the_order_of_its_elements(self) -> None:
        """The order in which children end does not matter."""

        def late(number: int) -> int:
            time.sleep(0.01 * (8 - number))
            return number

        with Flow("order of results") as flow:
            children = task(late, name="late").map(list(range(8)))
        assert self.run(flow).result[children].result == list(range(8))

    def test_thousands_of_children_are_mapped_and_reduced(self) -> None:
        """A large map neither floods the executor nor loses a child."""
        count = self.mapped_children
        with Flow("large map") as flow:
            doubled = _double.map(list(range(count)))
            total = _total(doubled)
        states = self.run(flow).result
        assert states[total].result == count * (count - 1)
        assert states[doubled].result == list(range(0, 2 * count, 2))

    def test_maps_of_maps_over_results(self) -> None:
        """A task can be mapped over a result, a map over a map, and over what is flattened."""

        @task
        def numbers(count: int) -> list[int]:
            return list(range(count))

        with Flow("maps") as flow:
            lists = numbers.map(_double.map(numbers(4)))
            flat = _double.map(flatten(lists))
            added = task(lambda x, y: x + y, name="add").map(flat, unmapped(_double(50)))
        expected = [2 * number + 100 for count in (0, 2, 4, 6) for number in range(count)]
        assert self.run(flow).result[added].result == expected

    def test_a_child_that_fails_leaves_the_others_alone(self) -> None:
        """A task's error is in its own outcome."""
        with Flow("some fail") as flow:
            children = _refuse.map(list(range(7)))
        states = self.run(flow).result[children].map_states
        assert [state.is_failed() for state in states] == [number % 3 == 0 for number in range(7)]
        assert [state.result for state in states if state.is_successful()] == [1, 2, 4, 5]

    def test_a_failure_reaches_the_tasks_that_want_it(self) -> None:
        """A failed task contributes its exception to one that runs anyway."""

        @task(trigger=triggers.any_failed)
        def report(error: Exception) -> str:
            return f"{type(error).__name__}: {error}"

        with Flow("report") as flow:
            told = report(_refuse(3))
            never = _double(_refuse(6))
        states = self.run(flow).result
        assert states[told].result == "ValueError: 3 is not wanted"
        assert type(states[never]).__name__ == "TriggerFailed"

    def test_attempts_are_counted_where_the_task_runs(self) -> None:
        """Retries are the driver's: each attempt is a piece of work of its own."""

        @task(max_retries=3, retry_delay=timedelta(0))
        def third_time() -> int:
            attempt = int(context.task_run_count)
            if attempt < 3:
                raise ConnectionError(f"attempt {attempt}")
            return attempt

        with Flow("retries") as flow:
            last = third_time()
        state = self.run(flow).result[last]
        assert state.result == 3
        assert [attempt.message for attempt in state.attempts] == [
            "ConnectionError: attempt 1",
            "ConnectionError: attempt 2",
        ]

    def test_signals_say_what_a_run_ends_in(self) -> None:
        """A signal that a task raises is its state, with message and result."""

        def skip() -> None:
            raise signals.SKIP("nothing to do")

        def fail() -> None:
            raise signals.FAIL("bad data", result=[1, 2])

        def succeed() -> None:
            raise signals.SUCCESS("early", result={"a": 1})

        def loop() -> int:
            count = int(context.get("task_loop_count", 1))
            if count < 4:
                raise signals.LOOP("again", result=10 * count)
            return int(context.task_loop_result) + count

        skipped, failed, succeeded, looped = self.states_of(skip, fail, succeed, loop)
        assert (skipped.is_skipped(), skipped.message) == (True, "nothing to do")
        assert (failed.is_failed(), failed.message, failed.result) == (True, "bad data", [1, 2])
        assert (succeeded.message, succeeded.result) == ("early", {"a": 1})
        assert looped.result == 34

    def test_coroutines_take_part(self) -> None:
        """An ``async def`` task runs beside the executor, and passes values on to it and takes them from it."""

        @task
        async def add_one(number: int) -> int:
            return number + 1

        with Flow("coroutines") as flow:
            last = _double(add_one(_double(5)))
            totals = _total(add_one.map(_double.map([1, 2])))
        states = self.run(flow).result
        assert (states[last].result, states[totals].result) == (22, 8)

    def test_coroutines_get_values_as_they_are(self) -> None:
        """What a coroutine is given is what was returned, even a list that holds itself."""

        @task
        async def same(value: Any) -> Any:
            return value

        def make() -> list[Any]:
            found: list[Any] = [1]
            found.append(found)
            return found

        with Flow("values of coroutines") as flow:
            made = task(make, name="make")()
            last = same(made)
        states = self.run(flow).result
        assert states[last].result[1] is states[last].result
        if not {Capability.REMOTE, Capability.KEEPS_RESULTS} & self.make_executor().capabilities:
            assert states[last].result is states[made].result

    def test_a_flow_can_run_inside_of_a_task(self) -> None:
        """A flow that is a task of another one runs where the task runs."""
        with Flow("inner") as inner:
            _total(_double.map([1, 2, 3]))
        with Flow("outer") as outer:
            twice = _double(inner())
        assert self.run(outer).result[twice].result == 24
