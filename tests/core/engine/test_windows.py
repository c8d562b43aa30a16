from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from headrace import Flow, task, testing, unmapped
from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace_plugins.threads import ThreadsExecutor


class Crowd:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()

    def visit(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        time.sleep(0.005)
        with self._lock:
            self._inside -= 1


@task
def visit(number: int, crowd: Crowd) -> int:
    crowd.visit()
    return number


@task
def numbers(count: int) -> list[int]:
    return list(range(count))


def run(flow: Flow) -> Any:
    return flow.run(executor=ThreadsExecutor(workers=8)).result


def test_children_on_their_way_stay_within_the_limit() -> None:
    crowd = Crowd()
    with Flow("f") as flow:
        visited = visit.map(numbers(40), unmapped(crowd), max_in_flight=3)
    assert run(flow)[visited].result == list(range(40))
    assert crowd.most <= 3


def test_without_a_limit_more_are_on_their_way() -> None:
    crowd = Crowd()
    with Flow("f") as flow:
        visit.map(numbers(40), unmapped(crowd))
    run(flow)
    assert crowd.most > 3


def test_a_map_that_follows_another_has_a_limit_of_its_own() -> None:
    first, second = Crowd(), Crowd()
    with Flow("f") as flow:
        visited = visit.map(visit.map(numbers(40), unmapped(first)), unmapped(second), max_in_flight=2)
    assert run(flow)[visited].result == list(range(40))
    assert second.most <= 2
    assert first.most > 2


def test_a_child_that_waits_for_its_retry_makes_room() -> None:
    @task(max_retries=1, retry_delay=3600)
    def fail_first(number: int, seen: set[int]) -> int:
        if number not in seen:
            seen.add(number)
            raise ValueError(number)
        return number

    with Flow("f") as flow:
        mapped = fail_first.map([1, 2, 3], unmapped(set()), max_in_flight=1)
    record = testing.run(flow)
    assert record.result(mapped) == [1, 2, 3]
    assert record.elapsed == 3600


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nothing_run_is_refused(limit: int) -> None:
    with Flow("f"), pytest.raises(TaskDefinitionError, match="at least 1"):
        numbers.map([1], max_in_flight=limit)


@pytest.mark.parametrize("limit", [1.5, "2", True])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    with Flow("f"), pytest.raises(DefinitionTypeError, match="whole number"):
        numbers.map([1], max_in_flight=limit)


def test_an_argument_of_that_name_stays_an_argument() -> None:
    @task
    def both(max_in_flight: int, strict: int) -> int:
        return max_in_flight + strict

    with Flow("f") as flow:
        mapped = both.map(max_in_flight=[1, 2], strict=[10, 20])
    assert flow.run().result[mapped].result == [11, 22]


def test_lengths_may_differ_if_the_caller_says_so() -> None:
    @task
    def add(x: int, y: int) -> int:
        return x + y

    with Flow("f") as flow:
        plain = add.map([1, 2, 3], [10, 20], strict=False)
        followed = add.map(numbers.map([3, 1, 2]), [[9], [8]], strict=False)
    result = flow.run().result
    assert result[plain].result == [11, 22]
    assert result[followed].result == [[0, 1, 2, 9], [0, 8]]
