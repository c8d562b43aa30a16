"""The executor ``local``."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import pytest

from headrace import Engine, Flow, task
from headrace.abc import Executor, ExecutorContext
from headrace.engine.worker import Outcome, Work
from headrace_plugins.local import LocalExecutor, headrace_executors

CONTEXT = ExecutorContext(flow_name="flow", flow_run_id="run", task_count=1)


def make_work(function: Any, key: int = 0) -> Work:
    def run() -> Any:
        return function()

    return Work(key, task(run, name="t"), "t-1", {}, -1, 1, None, False, None, None)


def test_work_is_done_and_delivered_before_submit_returns():
    delivered: list[Outcome] = []
    with ExitStack() as stack:
        executor = LocalExecutor()
        executor.start(CONTEXT, stack)
        executor.submit(make_work(lambda: 5, key=3), delivered.append)
        assert [(outcome.key, outcome.state.result) for outcome in delivered] == [(3, 5)]


def test_it_runs_in_the_calling_thread():
    delivered: list[Outcome] = []
    LocalExecutor().submit(make_work(threading.get_ident), delivered.append)
    assert delivered[0].state.result == threading.get_ident()


def test_a_failure_is_delivered_too():
    delivered: list[Outcome] = []
    LocalExecutor().submit(make_work(lambda: 1 / 0), delivered.append)
    assert isinstance(delivered[0].state.result, ZeroDivisionError)


def test_one_at_a_time_is_enough():
    assert LocalExecutor().capacity == 1


def test_there_is_never_anything_to_take_back():
    assert LocalExecutor().withdraw() == []


def test_the_plugin_offers_it_by_its_name():
    (spec,) = headrace_executors()
    assert (spec.name, spec.factory, spec.capabilities) == (
        "local",
        "headrace_plugins.local:LocalExecutor",
        frozenset(),
    )


def test_the_registry_makes_it():
    executor = Engine().registry.create("executor", "local")
    assert isinstance(executor, Executor)
    assert type(executor).__name__ == "LocalExecutor"


@pytest.mark.parametrize("count", [0, 1, 100])
def test_tasks_run_one_after_the_other_in_the_order_they_were_added(count):
    order: list[int] = []

    @task
    def note(i):
        order.append(i)

    with Flow("order") as flow:
        for i in range(count):
            note(i)
    flow.run(executor="local")
    assert order == list(range(count))
