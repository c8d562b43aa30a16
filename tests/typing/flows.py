"""What type checkers are promised about flows, parameters, branches and states. This file is checked, never run."""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from typing import Any, assert_type

from headrace import (
    DateTimeParameter,
    Engine,
    Flow,
    Parameter,
    Task,
    apply_map,
    case,
    ifelse,
    merge,
    resource_manager,
    switch,
    task,
)
from headrace.edges import Edge
from headrace.signals import FAIL, SKIP, Signal
from headrace.states import Failed, Resume, State
from headrace.subflows import FlowTask
from headrace.tasks import FunctionTask


@task
def add(x: int, y: int = 1) -> int:
    return x + y


def a_flow_is_built_in_a_block_and_run() -> None:
    with Flow("typed", executor="threads", results="file:results") as flow:
        result = add(1)
    state = flow.run(parameters={"n": 1}, executor="local", engine=Engine(), run_name="today", m=2)
    assert_type(flow, Flow)
    assert_type(state, State)
    assert_type(state.is_successful(), bool)
    assert_type(state.message, str | None)
    assert_type(state.duration, float | None)
    outcome: State = state.result[result]
    del outcome


def a_run_takes_parameters_and_options_and_nothing_else_by_position() -> None:
    flow, one = Flow("typed"), Task()
    assert_type(flow.run(), State)
    first = flow.run({"n": 1}, run_on_schedule=False, keep_results="all", on_pause=list)
    assert_type(flow.run(state=first, task_states={one: Resume()}, context={"colour": "red"}), State)
    flow.run([1])  # type: ignore[arg-type]
    flow.run({}, "threads")  # type: ignore[call-arg]
    flow.run(executor=5)  # type: ignore[arg-type]


def a_flow_takes_a_name_and_options_by_keyword() -> None:
    Flow()  # type: ignore[call-arg]
    Flow("typed", "threads")  # type: ignore[arg-type]
    Flow("typed", on_failure=complain, state_handlers=[watch], reference_tasks=[], terminal_state_handler=judge)
    Flow("typed", tasks=[add, Task()], edges=[Edge(add, Task(), "x", mapped=True)], validate=True)


def watch(flow: Flow, old: State, new: State) -> State | None:
    return None


def complain(flow: Flow, state: State) -> None:
    flow.logger.error("%s", state.message)


def judge(flow: Flow, state: State, reference: dict[Task, State]) -> State | None:
    return Failed("late") if len(reference) > len(flow.tasks) else state


def a_flow_can_be_asked() -> None:
    flow = Flow("typed")
    one = Task()
    assert_type(flow.tasks, KeysView[Task])
    assert_type(flow.edges, KeysView[Edge])
    assert_type(flow.slugs, dict[Task, str])
    assert_type(flow.sorted_tasks(), tuple[Task, ...])
    assert_type(flow.parameters(), set[Parameter])
    assert_type(flow.upstream_tasks(one), set[Task])
    assert_type(flow.edges_to(one), set[Edge])
    assert_type(flow.get_tasks(name="load", tags=["a"], task_type=Parameter), list[Task])
    assert_type(iter(flow), Iterator[Task])
    assert_type(flow.copy(), Flow)


def a_flow_can_be_written_imperatively() -> None:
    flow, one, two = Flow("typed"), Task(), Task()
    assert_type(flow.add_task(one), Task)
    assert_type(flow.add_edge(one, two, key="x", mapped=True), Edge)
    assert_type(flow.chain(one, two), list[Edge])
    flow.set_dependencies(one, upstream_tasks=[two, 5], keyword_tasks={"x": [two]})
    flow.replace(one, 5)
    flow.update(Flow("other"), merge_parameters=True)
    flow.add_task(5)  # type: ignore[arg-type]


def a_parameter_is_a_task_of_a_flow() -> None:
    number = Parameter("n", default=3, required=False, tags=["a"], type=int)
    with Flow("typed") as flow:
        assert_type(number(), Parameter)
        assert_type(number(flow=flow), Parameter)
        assert_type(number.copy("m"), Parameter)
        assert_type(number + 1, Task)
        add(number)
    Parameter()  # type: ignore[call-arg]
    a_task: Task = number
    del a_task


def a_moment_is_a_parameter() -> None:
    start: Parameter = DateTimeParameter("start", default="now", required=False, tags=["a"])
    assert_type(DateTimeParameter("start").copy("end"), DateTimeParameter)
    DateTimeParameter("start", type=int)  # type: ignore[call-arg]
    del start


def a_flow_is_a_task_of_another() -> None:
    with Flow("typed"):
        assert_type(Flow("inner")(n=add(1)), FlowTask)


def apply_map_returns_what_the_function_returns() -> None:
    def both(x: Task) -> tuple[Task, str]:
        return add(x), "b"

    with Flow("typed") as flow:
        assert_type(apply_map(both, [1, 2], flow=flow), tuple[Task, str])
        assert_type(apply_map(add, [1, 2]), FunctionTask[..., int])


def branches_take_and_give_tasks() -> None:
    with Flow("typed"):
        condition, one, two = add(1), add(2), add(3)
        switch(condition, {1: one, "b": two})
        ifelse(condition, one, None)
        assert_type(merge(one, two, 5, checkpoint=False), Task)
        with case(condition, 5):
            add(4)
        with case(condition, True) as block:
            assert_type(block, case)


class Connection:
    """A resource."""

    def __init__(self, url: str) -> None:
        self.url = url

    def setup(self) -> str:
        return self.url

    def cleanup(self, connection: str) -> None: ...


def a_resource_is_a_block_of_a_flow() -> None:
    # mypy takes no notice of decorators of classes, so the function is called here.
    database = resource_manager(Connection)
    other = resource_manager(name="other", setup_task_kwargs={"max_retries": 2, "retry_delay": 1})(Connection)
    with Flow("typed"), database("sqlite://") as connection, other("sqlite://"):
        add(connection)


def signals_hold_states() -> None:
    assert_type(SKIP("no", result=5).state, State)
    signal: Signal = FAIL("no")
    is_exception: Exception = signal  # type: ignore[assignment]
    del is_exception


def results_can_be_anything(state: State) -> Any:
    return state.result
