from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, context, task
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError, SubflowFailedError


@task
def double(x: int) -> int:
    return 2 * x


@task
def add(x: int, y: int) -> int:
    return x + y


def doubling(name: str = "doubling") -> Flow:
    with Flow(name) as flow:
        double(Parameter("x"))
    return flow


def outcome(flow: Flow, node: Any, **options: Any) -> Any:
    return flow.run(**options).result[node].result


@pytest.mark.parametrize("executor", ["local", "threads"])
def test_a_flow_in_a_flow_takes_values_of_tasks_and_stands_for_its_result(executor: str) -> None:
    inner = doubling()
    with Flow("outer") as outer:
        total = add(inner(x=double(1)), inner(x=10))
    assert outcome(outer, total, executor=executor) == 24


def test_several_reference_tasks_give_a_dictionary_by_slug() -> None:
    with Flow("pair") as inner:
        double(1)
        double(2)
    with Flow("outer") as outer:
        node = inner()
    assert outcome(outer, node) == {"double-1": 2, "double-2": 4}


def test_the_result_can_be_chosen() -> None:
    with Flow("chain") as inner:
        first = double(1)
        double(first)
    with Flow("outer") as outer:
        one = inner.as_task(result=first)()
        listed = inner.as_task(result=[first])()
    result = outer.run().result
    assert (result[one].result, result[listed].result) == (2, {"double-1": 2})


def test_a_flow_can_be_mapped() -> None:
    with Flow("outer") as outer:
        node = doubling().as_task().map(x=[1, 2, 3])
    assert outcome(outer, node, executor="threads") == [2, 4, 6]


def test_a_subflow_that_fails_names_its_failed_tasks() -> None:
    @task
    def divide(x: int) -> float:
        return 1 / x

    with Flow("dividing") as inner:
        double(divide(Parameter("x")))
    with Flow("outer") as outer:
        node = inner(x=0)
    error = outcome(outer, node)
    assert isinstance(error, SubflowFailedError)
    assert error.failures == ("'divide': ZeroDivisionError: division by zero",)


def test_a_subflow_is_retried_as_a_whole() -> None:
    calls: list[int] = []

    @task
    def flaky(x: int) -> int:
        calls.append(x)
        if len(calls) < 2:
            raise ConnectionError
        return x

    with Flow("flaky") as inner:
        flaky(Parameter("x"))
    with Flow("outer") as outer:
        node = inner.as_task(max_retries=1, retry_delay=0)(x=7)
    assert outcome(outer, node) == 7
    assert calls == [7, 7]


def test_a_subflow_has_a_run_of_its_own() -> None:
    @task
    def who() -> tuple[str, str]:
        return context.flow_name, context.flow_run_id

    with Flow("inner") as inner:
        who()
    with Flow("outer") as outer:
        here, there = who(), inner()
    result = outer.run().result
    assert (result[here].result[0], result[there].result[0]) == ("outer", "inner")
    assert result[here].result[1] != result[there].result[1]


def test_flows_nest_at_any_depth() -> None:
    flow = doubling()
    for depth in range(5):
        with Flow(f"level {depth}") as outer:
            flow(x=Parameter("x"))
        flow = outer
    state = flow.run(x=4)
    assert [end.result for task, end in state.result.items() if not isinstance(task, Parameter)] == [8]


@pytest.mark.parametrize("arguments", [{"y": 1}, {}, {"x": 1, "y": 2}])
def test_arguments_that_are_no_parameters_are_refused_when_the_flow_is_built(arguments: dict[str, Any]) -> None:
    with Flow("outer"), pytest.raises(DefinitionTypeError, match="doubling"):
        doubling()(**arguments)


def test_a_result_that_is_not_in_the_flow_is_refused() -> None:
    with pytest.raises(FlowDefinitionError, match="is not in flow 'doubling'"):
        doubling().as_task(result=double)


SCRIPT = """
    import sys, time
    from headrace import Flow, task, resource_manager

    @resource_manager
    class Room:
        def setup(self):
            print("in", flush=True)
        def cleanup(self, room):
            print("out", flush=True)

    @task
    def rest():
        time.sleep(30)

    with Flow("inner") as inner:
        with Room():
            rest()
    with Flow("outer") as outer:
        inner()
    try:
        outer.run(executor=sys.argv[1])
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_an_interrupt_ends_the_run_inside_and_cleans_up(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, str(script), "local"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert output == "out\ninterrupted\n"
