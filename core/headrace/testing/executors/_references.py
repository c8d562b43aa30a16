"""Results that stay where they were made."""

from __future__ import annotations

import os
import time
from typing import Any, NoReturn

import pytest

from headrace import Flow, flatten, task
from headrace.abc import Capability, ResultReference
from headrace.exceptions import ResultError
from headrace.testing.executors._base import ExecutorTests, bounded

__all__ = ["References"]


def _numbers(count: int) -> list[int]:
    return list(range(count))


def _filled(size: int) -> bytes:
    return b"x" * size


class _Settled:
    """A value that must not be read in the process that drives the run, whose id it knows."""

    def __init__(self, driver: int, number: int) -> None:
        self.driver = driver
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _settle, (self.driver, self.number)


def _settle(driver: int, number: int) -> _Settled:
    if os.getpid() == driver:
        _moved()
    return _Settled(driver, number)


def _moved() -> NoReturn:
    raise RuntimeError("this value came to the process that drives the run")


class References(ExecutorTests):
    """What `headrace.abc.ResultReference` promises, for executors that keep results."""

    @bounded
    def test_a_reference_is_delivered_instead_of_a_result(self) -> None:
        """A successful state holds a reference that knows size and length, and loads the value."""
        self.needs(Capability.KEEPS_RESULTS)
        with self.desk() as desk:
            desk.submit(_numbers, count=3)
            desk.submit(_filled, size=5_000_000)
            desk.submit(_nothing)
            found = {outcome.key: outcome.state._result for outcome in desk.collect(3)}  # noqa: SLF001 - the engine's way
            numbers, filled, nothing = (found[key] for key in range(3))
            assert all(isinstance(reference, ResultReference) for reference in (numbers, filled, nothing))
            assert (numbers.length, nothing.length) == (3, None)
            assert 4_000_000 < filled.size < 10_000_000
            assert numbers.size < 100_000
            assert [reference.load() for reference in (numbers, nothing)] == [[0, 1, 2], None]
            assert len(filled.load()) == 5_000_000

    @bounded
    def test_elements_have_references_of_their_own(self) -> None:
        """``element(index)`` stands for one element, which can be passed on and loaded."""
        self.needs(Capability.KEEPS_RESULTS)
        with self.desk() as desk:
            desk.submit(_numbers, count=3)
            (outcome,) = desk.collect(1)
            reference = outcome.state._result  # noqa: SLF001
            desk.submit(_sum, values=[reference.element(1), reference.element(2), 10], all_of_it=reference)
            (total,) = desk.collect(1)
            assert total.state.result == 16
            assert reference.element(2).load() == 2

    @bounded
    def test_references_can_be_announced_before_they_are_loaded(self) -> None:
        """``prefetch`` changes nothing about what ``load`` returns."""
        self.needs(Capability.KEEPS_RESULTS)
        with self.desk() as desk:
            for count in range(5):
                desk.submit(_numbers, count=count)
            found = {outcome.key: outcome.state._result for outcome in desk.collect(5)}  # noqa: SLF001
            references = [found[key] for key in range(5)]
            type(references[0]).prefetch(references)
            assert [reference.load() for reference in references] == [list(range(count)) for count in range(5)]

    @bounded
    def test_a_reference_that_outlives_the_run_can_be_loaded_after_it(self) -> None:
        """``outlives_run`` tells the truth."""
        self.needs(Capability.KEEPS_RESULTS)
        with self.desk() as desk:
            desk.submit(_numbers, count=3)
            (outcome,) = desk.collect(1)
            reference = outcome.state._result  # noqa: SLF001
        if reference.outlives_run:
            assert reference.load() == [0, 1, 2]
        else:
            with pytest.raises(ResultError):
                reference.load()

    def test_results_travel_between_tasks_and_not_through_the_driver(self) -> None:
        """Neither passing a result on, nor mapping over it, nor reducing a map brings a value to the driver."""
        self.needs(Capability.KEEPS_RESULTS)
        self.needs(Capability.REMOTE)
        driver = os.getpid()
        with Flow("settled") as flow:
            made = task(lambda: [_Settled(driver, number) for number in range(5)], name="make")()
            passed = task(lambda values: values, name="pass")(made)
            mapped = task(lambda value: value, name="each").map(passed)
            numbers = task(lambda values: [value.number for value in values], name="number")(mapped)
        states = self.run(flow, keep_results="none").result
        assert states[numbers].result == [0, 1, 2, 3, 4]

    def test_small_results_are_at_hand_after_the_run(self) -> None:
        """What is small is fetched at the end of the run; everything is if the run says so."""
        self.needs(Capability.KEEPS_RESULTS)
        with Flow("fetched") as flow:
            made = task(_numbers, name="numbers")(3)
            doubled = task(lambda number: 2 * number, name="double").map(made)
            flat = task(lambda number: -number, name="minus").map(flatten([made, doubled]))
        for policy in ("auto", "all"):
            states = self.run(flow, keep_results=policy).result
            assert states[made].result == [0, 1, 2]
            assert states[doubled].result == [0, 2, 4]
            assert states[flat].result == [0, -1, -2, 0, -2, -4]

    def test_what_cannot_be_mapped_over_fails_the_task(self) -> None:
        """A kept result without a length is an error of the task that maps over it."""
        self.needs(Capability.KEEPS_RESULTS)
        with Flow("no list") as flow:
            children = task(lambda x: x, name="each").map(task(_nothing, name="nothing")())
        assert self.run(flow).result[children].is_failed()

    def test_results_that_nobody_reads_any_more_are_let_go(self) -> None:
        """A chain of big values does not add up where they are kept."""
        self.needs(Capability.KEEPS_RESULTS)
        with Flow("chain") as flow:
            last: Any = task(_filled, name="fill")(10_000_000)
            for _ in range(20):
                last = task(lambda data: data[:-1] + b"y", name="change")(last)
            length = task(_length, name="measure")(last)
        began = time.monotonic()
        assert self.run(flow, keep_results="auto").result[length].result == 10_000_000
        assert time.monotonic() - began < self.seconds


def _length(data: bytes) -> int:
    return len(data)


def _nothing() -> None:
    return None


def _sum(values: list[int], all_of_it: list[int]) -> int:
    return sum(values) + sum(all_of_it)
