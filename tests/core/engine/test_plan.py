"""Plans: flows as the engine sees them."""

from __future__ import annotations

import pytest
from tests.core.engine.reference import build

from headrace import Flow, Parameter, flatten, mapped, task, unmapped
from headrace.exceptions import CycleError
from headrace.triggers import all_successful


@task
def one() -> int:
    return 1


@task
def take(x=None, y=None):
    return x


def names(flow: Flow, indexes: list[int]) -> list[str]:
    return [flow.plan().nodes[index].task.name for index in indexes]


def test_every_task_comes_after_its_upstream_tasks():
    flow = Flow("backwards")
    tasks = [take.copy(name=f"t{i}") for i in range(10)]
    for i in range(9):
        flow.add_edge(tasks[i + 1], tasks[i], key="x")
    plan = flow.plan()
    assert all(source < node.index for node in plan.nodes for source in node.sources)
    assert [node.task.name for node in plan.nodes] == [f"t{i}" for i in reversed(range(10))]


def test_nodes_are_numbered_by_their_place():
    flow, tasks, _ = build(())
    with flow:
        tasks = [one(), one(), one()]
    plan = flow.plan()
    assert [node.index for node in plan.nodes] == [0, 1, 2]
    assert plan.index == {t: i for i, t in enumerate(tasks)}


def test_a_plan_is_kept_until_the_flow_changes():
    with Flow("kept") as flow:
        one()
    before = flow.plan()
    assert flow.plan() is before
    with flow:
        one()
    assert len(flow.plan().nodes) == 2


def test_a_plan_is_made_anew_when_the_reference_tasks_change():
    with Flow("references") as flow:
        first = one()
        take(first)
    assert flow.plan().reference == [1]
    flow.set_reference_tasks([first])
    assert flow.plan().reference == [0]


def test_a_plan_is_made_anew_when_a_constant_is_bound_later():
    with Flow("constants") as flow:
        t = take()
    assert flow.plan().nodes[0].constants in (None, {})
    flow.set_dependencies(t, keyword_tasks={"x": 5})
    assert flow.plan().nodes[0].constants == {"x": 5}


def test_a_cycle_is_an_error_that_names_its_tasks():
    flow = Flow("circle")
    a, b = take.copy(name="a"), take.copy(name="b")
    flow.add_edge(a, b)
    flow.add_edge(b, a)
    with pytest.raises(CycleError, match=r"a -> b -> a|b -> a -> b"):
        flow.plan()


def test_slugs_tell_tasks_of_one_name_apart():
    with Flow("slugs") as flow:
        one()
        one()
    assert [node.slug for node in flow.plan().nodes] == ["one-1", "one-2"]


def test_inputs_are_the_edges_with_a_key():
    with Flow("inputs") as flow:
        first, second = one(), one()
        take(first, upstream_tasks=[second])
    assert list(flow.plan().nodes[2].inputs) == [("x", 0)]


def test_parameters_are_resolved_without_an_executor():
    with Flow("parameters") as flow:
        take(Parameter("p", default=3))
    resolve = flow.plan().nodes[0].resolve
    assert resolve is not None
    assert resolve({"p": 4}) == 4
    assert flow.plan().nodes[1].resolve is None


class TestMaps:
    def test_a_mapped_argument_makes_a_map(self):
        with Flow("map") as flow:
            take.map([1, 2])
        assert flow.plan().nodes[-1].mapped

    def test_only_unmapped_arguments_make_no_map(self):
        with Flow("no map") as flow:
            take.map(unmapped([1, 2]))
        assert not flow.plan().nodes[-1].mapped

    def test_an_upstream_task_without_data_makes_no_map(self):
        with Flow("no map") as flow:
            take.map(upstream_tasks=[one()])
        assert not flow.plan().nodes[-1].mapped

    def test_an_upstream_map_without_data_makes_a_map(self):
        with Flow("map") as flow:
            take.map(upstream_tasks=[take.map([1, 2])])
        assert flow.plan().nodes[-1].mapped

    def test_maps_over_maps_follow_each_other(self):
        with Flow("follow") as flow:
            above = take.map([1], task_args={"name": "above"})
            take.map(above, task_args={"name": "below"})
        above_node = flow.plan().nodes[-2]
        assert names(flow, above_node.followers) == ["below"]
        assert (above_node.downstream, above_node.gatherers) == ([], [])
        assert flow.plan().nodes[-1].pairwise == {0: above_node.index}

    def test_a_reduce_waits_for_the_whole_map(self):
        with Flow("reduce") as flow:
            take(take.map([1], task_args={"name": "above"}), task_args={"name": "below"})
        above = flow.plan().nodes[-2]
        assert names(flow, above.downstream) == ["below"]
        assert (above.followers, above.gatherers) == ([], [])

    def test_a_flattened_map_over_a_map_gathers(self):
        with Flow("gather") as flow:
            above = take.map([[1]], task_args={"name": "above"})
            take.map(flatten(above), task_args={"name": "below"})
        node = flow.plan().nodes[-2]
        assert names(flow, node.gatherers) == ["below"]
        assert (node.followers, node.downstream) == ([], [])

    def test_a_map_over_a_plain_task_waits_for_it(self):
        with Flow("plain") as flow:
            take(mapped(one()), task_args={"name": "below"})
        assert names(flow, flow.plan().nodes[0].downstream) == ["below"]


def test_readers_are_counted_by_edge():
    with Flow("readers") as flow:
        source = one()
        take(source, source)
        take(upstream_tasks=[source])
    assert flow.plan().nodes[0].reader_count == 3


def test_the_default_trigger_is_known_as_such():
    with Flow("triggers") as flow:
        one()
        one(task_args={"trigger": lambda _states: True})
    assert [node.default_trigger for node in flow.plan().nodes] == [True, False]


def test_what_is_set_on_a_task_after_a_run_counts_in_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Flow("changes") as flow:
        first, second = one(), one()
    flow.run()
    first.trigger = lambda _states: False
    second.result = "file:kept"
    states = flow.run().result
    assert states[first].is_failed()
    assert states[second].location is not None
    first.trigger, second.result = all_successful, None
    states = flow.run().result
    assert states[first].is_successful()
    assert states[second].location is None


def test_a_plan_is_kept_while_nothing_changes():
    with Flow("same") as flow:
        one()
    assert flow.plan() is flow.plan()


def test_reference_tasks_are_the_terminal_ones_by_default():
    with Flow("references") as flow:
        first = one()
        take(first)
        one()
    assert flow.plan().reference == [1, 2]


def test_an_empty_flow_has_an_empty_plan():
    plan = Flow("empty").plan()
    assert (plan.nodes, plan.index, plan.reference) == ([], {}, [])


def test_a_plan_knows_how_many_tasks_lie_before_each():
    one = task(lambda x=None: x, name="one")
    with Flow("depths") as flow:
        a = one()
        b = one(a)
        c = one.copy(name="mapped").map([1, 2], upstream_tasks=[b])
        one.copy(name="last")(c, upstream_tasks=[a])
        one.copy(name="alone")()
    plan = flow.plan()
    depths = {node.slug: plan.depth_of(node.slug) for node in plan.nodes}
    assert depths[flow.slugs[a]] == depths["alone-1"] == 0
    assert depths[flow.slugs[b]] == 1
    assert depths[flow.slugs[c]] == 2
    assert depths["last-1"] == 3
