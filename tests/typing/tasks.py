"""What type checkers are promised about tasks. This file is checked, never run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, assert_type

from headrace import Flow, Task, context, tags, task
from headrace.edges import flatten, mapped, unmapped
from headrace.retries import exponential_backoff
from headrace.states import Failed, State
from headrace.tasks import FunctionTask, defaults_from_attrs
from headrace.triggers import all_failed, some_failed


@task
def double(number: int) -> int:
    return number * 2


@task(name="halve", max_retries=2, retry_delay=1.5)
def halve(number: int) -> float:
    return number / 2


@task
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@task()
def nothing() -> None: ...


@task(timeout=2)
async def fetch(url: str, *, tries: int = 1) -> bytes:
    return url.encode() * tries


@task
def divide(number: int, by: int) -> tuple[int, int]:
    return number // by, number % by


class Scale(Task):
    """A task with an argument of its own."""

    def __init__(self, factor: int, **task_args: Any) -> None:
        self.factor = factor
        super().__init__(**task_args)

    @defaults_from_attrs("factor")
    def run(self, number: int, factor: int | None = None) -> int:
        return number * (factor or self.factor)


def a_decorated_function_is_a_task() -> None:
    a_task: Task = double
    del a_task


def the_decorator_keeps_parameters_and_result() -> None:
    functions: tuple[Callable[[int], int], Callable[[int], float]] = double.run, halve.run
    assert_type(nothing, FunctionTask[[], None])
    del functions


def the_function_of_a_task_keeps_its_types() -> None:
    assert_type(double.run(21), int)
    assert_type(halve.run(21), float)
    assert_type(greet.run("Ada", loud=True), str)
    double.run("21")  # type: ignore[arg-type]
    double.run(n=21)  # type: ignore[call-arg]
    greet.run("Ada", quiet=True)  # type: ignore[call-arg]


async def a_coroutine_stays_one_outside_of_a_flow() -> None:
    assert_type(await fetch.run("a"), bytes)
    await fetch.run(5)  # type: ignore[arg-type]
    await fetch.run("a", 2)  # type: ignore[call-arg]


def a_coroutine_is_a_task_like_any_other() -> None:
    a_task: Task = fetch
    with Flow("typed"):
        several: Task = fetch.map(["a", "b"], tries=unmapped(2))
        one: Task = fetch(double(1), task_args={"name": "other"})
    del a_task, several, one


def a_lambda_a_class_and_a_method_can_be_decorated() -> None:
    assert_type(task(str.upper).run("a"), str)
    assert_type(task(Scale(2).run).run(3), int)


def what_cannot_be_called_is_no_task() -> None:
    task(5)  # type: ignore[call-overload]


def a_call_in_a_flow_stands_for_the_task() -> None:
    with Flow("typed") as flow:
        assert_type(flow, Flow)
        assert_type(double(1), FunctionTask[..., int])
        assert_type(halve.map([1]), FunctionTask[..., list[float]])
        assert_type(double.bind(1).run(1), int)
        assert_type(double.copy(name="other").run(1), int)
        assert_type(Scale(2)(1), Scale)


def a_map_takes_options_of_its_own() -> None:
    with Flow("typed"):
        one = double.map([1, 2], strict=False, max_in_flight=2, upstream_tasks=[Task()], task_args={"name": "other"})
        assert_type(one, FunctionTask[..., list[int]])
        assert_type(Scale(2).map([1], factor=unmapped(3)), Scale)


def several_outputs_can_be_unpacked() -> None:
    with Flow("typed"):
        quotient, remainder = divide(17, 5)
        assert_type(quotient, Task)
        first, *rest = divide.copy(nout=3)(17, 5)
        assert_type(rest, list[Task])
        assert_type(first.set_upstream(remainder), Task)
    assert_type(divide.run(17, by=5), tuple[int, int])


def annotations_are_values_of_their_own() -> None:
    assert_type(mapped([1]), mapped)
    assert_type(flatten(unmapped(double)), flatten)
    assert_type(unmapped(5).annotations, dict[str, bool])


def arguments_may_be_tasks_annotations_and_collections() -> None:
    with Flow("typed"):
        one = double(1)
        double(one)
        greet.map(mapped([one]), loud=unmapped(one), upstream_tasks=[one])
        greet(flatten([one]), task_args={"name": "other"}, mapped=True)


def operators_make_tasks() -> None:
    with Flow("typed"):
        one, two = double(1), double(2)
        assert_type(one + 1, Task)
        assert_type(1 - one, Task)
        assert_type(one > two, Task)
        assert_type(one & two, Task)
        assert_type(one["key"], Task)
        assert_type(one.is_equal(2), Task)
        assert_type(one.not_(), Task)
        first, second = one
        assert_type(first, Task)
        del second


def dependencies_return_the_task() -> None:
    one, two = double.copy(), Scale(2)
    flow = Flow("typed")
    assert_type(one.set_upstream(two, flow=flow).run(1), int)
    assert_type(two.set_downstream(one, flow=flow, key="number"), Scale)
    assert_type(two.set_dependencies(flow, upstream_tasks=[one, 5]), Scale)


def options_are_checked() -> None:
    Task(retry_delay=[1, timedelta(seconds=2)], max_retries=2, retry_on=(KeyError, OSError), timeout=0.5)
    Task(retry_delay=exponential_backoff(), max_retries=2, retry_on=KeyError, trigger=some_failed(at_least=1))
    Task(tags={"a"}, trigger=all_failed, state_handlers=[watch], on_failure=complain, task_run_name="{number}")
    Task(retry_delay="soon")  # type: ignore[arg-type]
    Task(retry_on=KeyboardInterrupt)  # type: ignore[arg-type]
    Task(trigger="all_failed")  # type: ignore[arg-type]
    Task(max_retries=1.5)  # type: ignore[arg-type]
    Task(colour="red")  # type: ignore[call-arg]


def watch(tracked: Task, old: State, new: State) -> State | None:
    return Failed("no") if new.is_successful() and tracked.name == old.message else None


def complain(tracked: Task, state: State) -> None:
    tracked.logger.error("%s", state.message)


def subclasses_choose_the_arguments_of_run() -> None:
    run: Callable[..., int] = Scale(2).run
    del run


def subclasses_keep_their_class_and_their_constructor() -> None:
    assert_type(Scale(2).copy(factor=3), Scale)
    assert_type(Scale(2).bind(1).factor, int)
    assert_type(Scale(2).pipe(mapped), Any)
    Scale("2")  # type: ignore[arg-type]
    Scale()  # type: ignore[call-arg]


def tags_and_context_are_blocks() -> None:
    with tags("a", "b"), context(colour="red") as inner:
        inner.logger.info("%s", inner.get("colour"))
