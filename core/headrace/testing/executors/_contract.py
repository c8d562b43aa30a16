"""What `headrace.abc.Executor` promises to the driver."""

from __future__ import annotations

import threading
import time
from typing import Any

from headrace import Flow, task
from headrace.testing.executors._base import ExecutorTests, bounded, within

__all__ = ["Contract"]


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _number(number: int) -> int:
    return number


class Contract(ExecutorTests):
    """Capacity, delivery, starting and stopping."""

    @bounded
    def test_capacity_is_a_positive_whole_number(self) -> None:
        """``capacity`` is how many pieces of work it is useful to have submitted at once."""
        with self.desk() as desk:
            assert isinstance(desk.executor.capacity, int)
            assert desk.executor.capacity >= 1

    @bounded
    def test_one_piece_of_work_is_delivered_without_another(self) -> None:
        """Work does not wait for more to be submitted."""
        with self.desk() as desk:
            for number in range(3):
                key = desk.submit(_number, number=number)
                (outcome,) = desk.collect(1)
                assert (outcome.key, outcome.state.result) == (key, number)

    @bounded
    def test_capacity_is_enough_to_get_everything_delivered(self) -> None:
        """The driver never has more than ``capacity`` pieces of work undelivered, and needs no more."""
        with self.desk() as desk:
            count = min(desk.executor.capacity, 500)
            keys = [desk.submit(_number, number=number) for number in range(count)]
            outcomes = desk.collect(count)
            assert {outcome.key: outcome.state.result for outcome in outcomes} == dict(enumerate(range(count)))
            assert sorted(outcome.key for outcome in outcomes) == keys

    @bounded
    def test_every_piece_of_work_is_delivered_exactly_once(self) -> None:
        """For each submitted work the executor calls ``deliver`` exactly once."""
        with self.desk() as desk:
            count = min(5 * desk.executor.capacity, 300)
            for number in range(count):
                if desk.undelivered >= desk.executor.capacity:
                    desk.collect(1)
                desk.submit(_number, number=number)
            desk.collect(desk.undelivered)
            keys = [outcome.key for outcome in [*desk.delivered, *desk.surplus()]]
            assert sorted(keys) == list(range(count))

    def test_nothing_waits_for_ever_behind_what_was_submitted_later(self) -> None:
        """Work that was submitted earlier begins earlier, give or take what is on its way at the same time."""

        def begun(_number: int) -> float:
            now = time.time()
            time.sleep(0.005)
            return now

        capacity = self._capacity()
        count = min(max(150, 6 * capacity), 1500)
        with Flow("in order") as flow:
            moments = task(begun, name="begun").map(list(range(count)))
        found = self.run(flow).result[moments].result
        order = sorted(range(count), key=found.__getitem__)
        # The first ones may be with workers that have yet to start.
        later = [(place, number) for place, number in enumerate(order) if number >= capacity]
        late = {number: place for place, number in later if place - number > 3 * capacity + 20}
        assert not late, f"children began at these places, counted from 0: {late}"

    def _capacity(self) -> int:
        def look() -> int:
            with self.desk() as desk:
                return desk.executor.capacity

        return within(self.seconds, look)

    @bounded
    def test_it_can_be_stopped_without_having_worked(self) -> None:
        """Leaving the exit stack stops an executor that was given nothing to do."""
        with self.desk():
            pass

    @bounded
    def test_it_can_be_started_again(self) -> None:
        """An executor may be started again after its exit stack was closed."""
        executor = self.make_executor()
        for number in range(3):
            with self.desk(executor) as desk:
                desk.submit(_number, number=number)
                assert [outcome.state.result for outcome in desk.collect(1)] == [number]

    def test_one_executor_serves_one_run_after_the_other(self) -> None:
        """An executor object may be used for several runs, one after the other."""
        executor = self.make_executor()
        for number in range(3):
            with Flow("again") as flow:
                last = task(_number)(number)
            assert self.run(flow, executor=executor).result[last].result == number

    def test_two_runs_at_the_same_time_do_not_disturb_each_other(self) -> None:
        """Each of two executors delivers what it was given, to the run that gave it."""

        def run(number: int, found: dict[int, Any]) -> None:
            with Flow(f"run {number}") as flow:
                slow = task(_sleep, name="sleep").map([0.01 * number] * 20)
            found[number] = flow.run(executor=executors[number], keep_results="all").result[slow].result

        executors = {1: self.make_executor(), 2: self.make_executor()}
        found: dict[int, Any] = {}
        threads = [threading.Thread(target=run, args=(n, found), daemon=True) for n in executors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.seconds)
        assert found == {1: [0.01] * 20, 2: [0.02] * 20}

    def test_a_flow_without_tasks_ends(self) -> None:
        """A run that has nothing to do starts and stops the executor."""
        assert self.run(Flow("empty")).is_successful()
