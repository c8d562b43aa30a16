"""The executor ``threads``."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import pytest

from headrace import Engine, Flow, context, task
from headrace.abc import Executor, ExecutorContext
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import ExecutorError, PluginOptionError
from headrace_plugins.threads import ThreadsExecutor, headrace_executors

CONTEXT = ExecutorContext(flow_name="flow", flow_run_id="run", task_count=1)


def make_work(function: Any, key: int = 0) -> Work:
    def run() -> Any:
        return function()

    return Work(key, task(run, name="t"), "t-1", {}, -1, 1, None, False, None, None)


def all_workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("headrace-worker")}


@pytest.fixture
def workers() -> Callable[[], set[threading.Thread]]:
    """Return a function that finds the workers that were started since the test began."""
    before = all_workers()
    return lambda: all_workers() - before


class Desk:
    """A started executor and what it delivers."""

    def __init__(self, count: int) -> None:
        self.executor = ThreadsExecutor(count)
        self.inbox: SimpleQueue[Outcome] = SimpleQueue()
        self.stack = ExitStack()
        self.executor.start(CONTEXT, self.stack)

    def submit(self, function: Any, key: int = 0) -> None:
        self.executor.submit(make_work(function, key), self.inbox.put)

    def results(self, count: int) -> list[Any]:
        return [self.inbox.get(timeout=10).state.result for _ in range(count)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(3)
    with desk.stack:
        yield desk


def test_work_is_done_in_another_thread(desk):
    desk.submit(threading.get_ident)
    assert desk.results(1) != [threading.get_ident()]


def test_every_piece_of_work_is_delivered_once(desk):
    for key in range(100):
        desk.submit(lambda: 1, key)
    keys = [desk.inbox.get(timeout=10).key for _ in range(100)]
    assert sorted(keys) == list(range(100))
    assert desk.inbox.empty()


def test_as_many_run_at_once_as_there_are_workers(desk):
    together = threading.Barrier(3, timeout=10)
    for _ in range(3):
        desk.submit(lambda: together.wait() >= 0)
    assert desk.results(3) == [True, True, True]


def test_no_more_run_at_once_than_there_are_workers(desk):
    lock = threading.Lock()
    now, most = 0, 0

    def run() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    for _ in range(20):
        desk.submit(run)
    desk.results(20)
    assert most == 3


def test_a_failure_is_delivered_and_the_worker_goes_on(desk):
    for _ in range(10):
        desk.submit(lambda: 1 / 0)
    assert all(isinstance(result, ZeroDivisionError) for result in desk.results(10))
    desk.submit(lambda: 5)
    assert desk.results(1) == [5]


def test_threads_are_started_only_as_they_are_needed(workers, desk):
    assert workers() == set()
    for _ in range(5):
        desk.submit(lambda: 1)
        desk.results(1)
        time.sleep(0.01)
    assert len(workers()) == 1


def test_threads_are_gone_after_the_run(workers, desk):
    for _ in range(10):
        desk.submit(lambda: 1)
    desk.results(10)
    desk.stack.close()
    assert workers() == set()


def test_a_worker_stuck_in_a_task_is_left_behind_and_keeps_no_process_alive(workers):
    desk, go_on = Desk(1), threading.Event()
    desk.submit(lambda: go_on.wait(20))
    time.sleep(0.05)
    began = time.monotonic()
    desk.stack.close()
    assert time.monotonic() - began < 2
    assert all(thread.daemon for thread in workers())
    go_on.set()
    for thread in workers():
        thread.join(10)


def test_what_has_not_begun_can_be_taken_back(desk):
    go_on = threading.Event()
    for key in range(6):
        desk.submit(lambda: go_on.wait(10), key)
    time.sleep(0.05)
    taken = desk.executor.withdraw()
    go_on.set()
    desk.results(3)
    assert [work.key for work in taken] == [3, 4, 5]
    assert desk.inbox.empty()


def test_what_has_not_begun_never_begins_after_the_executor_was_stopped(workers):
    desk, go_on, begun = Desk(1), threading.Event(), []
    desk.submit(lambda: go_on.wait(10))
    desk.submit(lambda: begun.append(1))
    time.sleep(0.05)
    desk.stack.close()
    go_on.set()
    for thread in workers():
        thread.join(10)
    assert begun == []


def test_it_can_be_started_again():
    desk = Desk(2)
    desk.submit(lambda: 1)
    desk.results(1)
    desk.stack.close()
    with ExitStack() as stack:
        desk.executor.start(CONTEXT, stack)
        desk.submit(lambda: 2)
        assert desk.results(1) == [2]


def test_an_executor_that_serves_one_run_refuses_another_at_the_same_time(desk):
    with pytest.raises(ExecutorError, match="another run"), ExitStack() as second:
        desk.executor.start(CONTEXT, second)
    desk.submit(lambda: 5)
    assert desk.results(1) == [5]


def test_what_was_delivered_is_not_held_on_to(desk):
    class Big:
        pass

    desk.submit(Big)
    (value,) = desk.results(1)
    reference = weakref.ref(value)
    del value
    time.sleep(0.02)
    gc.collect()
    assert reference() is None


def test_the_number_of_workers_can_be_chosen():
    assert ThreadsExecutor(workers=5).workers == 5


def test_by_default_there_are_at_least_eight():
    assert ThreadsExecutor().workers >= 8


@pytest.mark.parametrize("count", [0, -1])
def test_no_workers_at_all_is_an_error(count):
    with pytest.raises(PluginOptionError, match=str(count)):
        ThreadsExecutor(workers=count)


def test_each_worker_finds_its_next_task_waiting():
    assert ThreadsExecutor(3).capacity == 6


def test_the_plugin_offers_it_by_its_name():
    (spec,) = headrace_executors()
    assert (spec.name, spec.factory) == ("threads", "headrace_plugins.threads:ThreadsExecutor")


def test_the_registry_makes_it_with_options():
    executor: Executor = Engine().registry.create("executor", "threads", workers="3")
    assert getattr(executor, "workers", None) == 3


class TestRuns:
    def test_independent_tasks_run_side_by_side(self):
        together = threading.Barrier(4, timeout=10)
        with Flow("together") as flow:
            meet = task(together.wait, name="meet")
            for _ in range(4):
                meet()
        assert flow.run(executor=ThreadsExecutor(4)).is_successful()

    def test_children_of_a_map_run_side_by_side(self):
        together = threading.Barrier(4, timeout=10)
        with Flow("together") as flow:
            task(lambda x: together.wait(), name="meet").map([1, 2, 3, 4])
        assert flow.run(executor=ThreadsExecutor(4)).is_successful()

    def test_each_task_sees_its_own_context(self):
        def look(x: int) -> tuple[int, int]:
            time.sleep(0.001)
            return x, context.map_index

        with Flow("contexts") as flow:
            last = task(look, name="look").map(list(range(50)))
        assert flow.run(executor=ThreadsExecutor(8)).result[last].result == [(i, i) for i in range(50)]

    def test_no_thread_is_left_after_a_run(self, workers):
        with Flow("threads") as flow:
            task(lambda x: x, name="t").map(list(range(50)))
        flow.run(executor="threads")
        assert workers() == set()

    def test_no_thread_is_left_after_a_run_that_breaks(self, workers):
        def broken(*_: Any) -> None:
            raise KeyboardInterrupt

        with Flow("broken", terminal_state_handler=broken) as flow:
            task(lambda x: x, name="t").map([1, 2])
        with pytest.raises(KeyboardInterrupt):
            flow.run(executor="threads")
        assert workers() == set()
