"""Tags that say what a task needs of its node."""

from __future__ import annotations

from unittest.mock import ANY

import pytest
import ray

from headrace import Flow, task
from headrace.exceptions import ExecutorError, TaskDefinitionError
from headrace_ray import RayExecutor
from headrace_ray.cluster import Connection
from headrace_ray.resources import demands, lacking


def test_tags_become_options_of_the_ray_task():
    tags = {"ray-resource:num_cpus=0.5", "ray-resource:memory=1000000", "ray-resource:license=2", "other"}
    assert demands("x", tags) == {"num_cpus": 0.5, "memory": 1_000_000, "resources": {"license": 2}}


def test_cpus_and_gpus_go_by_either_name():
    assert demands("x", {"ray-resource:CPU=2", "ray-resource:gpu=1"}) == {"num_cpus": 2, "num_gpus": 1}


def test_resources_of_a_task_are_asked_for_and_tags_decide():
    """The resources are what any executor may share out; a tag is for Ray alone."""
    resources = {"gpu": 1, "memory": 1000, "disk": 2}
    assert demands("x", {"ray-resource:disk=3"}, resources) == {
        "num_gpus": 1,
        "memory": 1000,
        "resources": {"disk": 3},
    }


def test_a_key_may_hold_colons_and_equal_signs():
    assert demands("x", {"ray-resource:node:10.0.0.1=0.01"}) == {"resources": {"node:10.0.0.1": 0.01}}


@pytest.mark.parametrize("rest", ["", "num_cpus", "num_cpus=", "=1", "num_cpus=many", "num_cpus=-1", "disk=nan"])
def test_a_tag_that_makes_no_sense_says_what_would(rest):
    with pytest.raises(TaskDefinitionError, match="KEY=NUMBER"):
        demands("fetch", {f"ray-resource:{rest}"})


def test_one_node_must_have_all_of_it():
    nodes = [{"CPU": 4.0}, {"GPU": 1.0, "CPU": 1.0}]
    assert lacking({"num_cpus": 4}, nodes) is None
    assert lacking({"num_cpus": 1, "num_gpus": 1}, nodes) is None
    assert lacking({"num_cpus": 4, "num_gpus": 1}, nodes) == "CPU=4, GPU=1"
    assert lacking({"resources": {"disk": 1}}, nodes) == "disk=1"


@pytest.mark.parametrize(
    "how",
    [
        {"tags": ["ray-resource:num_cpus=2", "ray-resource:memory=50000000"]},
        {"resources": {"cpu": 2, "memory": 50_000_000}},
    ],
)
def test_a_task_gets_what_it_asks_for(how):
    @task(**how)
    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    with Flow("resources") as flow:
        found = assigned()
    assert flow.run(executor="ray").result[found].result == {"CPU": 2.0, "memory": 50_000_000.0}


def test_a_wrong_tag_fails_its_task_alone():
    @task
    def number():
        return 5

    with Flow("wrong tag") as flow:
        wrong = number(task_args={"tags": ["ray-resource:num_cpus"]})
        good = number()
    states = flow.run(executor="ray").result
    assert isinstance(states[wrong].result, TaskDefinitionError)
    assert states[good].result == 5


def test_a_ray_of_the_runs_own_refuses_what_it_never_will_have():
    from headrace_ray.dispatch import Dispatcher, Store

    connection = Connection(own=True, fixed=True)
    dispatcher = Dispatcher(connection, Store(connection), {})
    with pytest.raises(ExecutorError, match="'greedy' asks for GPU=64"):
        dispatcher._options(_work("greedy", "ray-resource:num_gpus=64"))


def test_a_cluster_may_get_what_it_lacks(caplog):
    from headrace_ray.dispatch import Dispatcher, Store

    connection = Connection(own=False, fixed=False)
    dispatcher = Dispatcher(connection, Store(connection), {})
    assert dispatcher._options(_work("patient", "ray-resource:disk=1")) == {"resources": {"disk": 1}, "name": ANY}
    assert "'patient' asks for disk=1" in caplog.text


def _work(name, tag):
    from headrace.engine.worker import Work

    made = task(lambda: None, name=name, tags=[tag])
    return Work(0, made, name, {}, -1, 1, None, False, None, None)


def test_fractions_of_a_cpu_take_no_more_room_than_that():
    from headrace_ray.window import Window

    window = Window(None)
    before = window.size
    for _ in range(100):
        window.leave(0.25)
    assert window.size == before + 75
    for _ in range(100):
        window.land(0.25)
    assert window.size == before


def test_a_window_that_was_asked_for_stays_as_it_is():
    from headrace_ray.window import Window

    window = Window(3)
    window.leave(0)
    assert window.size == 3


def test_executors_take_a_window():
    assert RayExecutor(window=11).capacity == 11
