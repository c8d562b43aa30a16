from __future__ import annotations

import itertools

import cloudpickle
import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Task
from headrace.edges import Edge
from headrace.exceptions import CycleError, DuplicateKeyError
from headrace.graph import TaskGraph


class Two(Task):
    def run(self, x=None, y=None): ...


def graph_of(names: str, *pairs: str) -> tuple[TaskGraph, dict[str, Task]]:
    """Make a graph of one-letter tasks, ``"ab"`` being an edge from a to b."""
    graph = TaskGraph()
    tasks: dict[str, Task] = {name: Two(name=name) for name in names}
    for one in tasks.values():
        graph.add(one)
    for pair in pairs:
        graph.connect(Edge(tasks[pair[0]], tasks[pair[1]]), "f")
    return graph, tasks


def names(tasks) -> str:
    return "".join(t.name for t in tasks)


class TestTasksAndEdges:
    def test_tasks_keep_the_order_of_adding(self):
        graph, _ = graph_of("cab")
        assert names(graph.tasks) == "cab"
        assert names(graph) == "cab"
        assert len(graph) == 3

    def test_tasks_are_a_live_set_like_view(self):
        graph, tasks = graph_of("ab")
        view = graph.tasks
        new = Two(name="c")
        graph.add(new)
        assert new in view
        assert view - {new} == set(tasks.values())

    def test_membership(self):
        graph, tasks = graph_of("a")
        assert tasks["a"] in graph
        assert Two(name="a") not in graph

    def test_connect_returns_the_equal_edge_that_was_there(self):
        graph, tasks = graph_of("ab")
        first = graph.connect(Edge(tasks["a"], tasks["b"], "x"), "f")
        assert graph.connect(Edge(tasks["a"], tasks["b"], "x"), "f") is first
        assert len(graph.edges) == 1

    def test_a_key_can_be_bound_once(self):
        graph, tasks = graph_of("abc")
        graph.connect(Edge(tasks["a"], tasks["c"], "x"), "f")
        with pytest.raises(DuplicateKeyError, match="'x' of task 'f/c'"):
            graph.connect(Edge(tasks["b"], tasks["c"], "x"), "f")

    def test_one_task_may_feed_several_arguments_of_another(self):
        graph, tasks = graph_of("ab")
        for key in ("x", "y", None):
            graph.connect(Edge(tasks["a"], tasks["b"], key), "f")
        assert len(graph.edges_to(tasks["b"])) == 3
        assert list(graph.edges_to(tasks["b"])) == list(graph.edges_from(tasks["a"]))
        assert graph.bound_keys(tasks["b"]) == {"x", "y"}

    def test_every_change_raises_the_version(self):
        graph, tasks = graph_of("ab")
        before = graph.version
        edge = Edge(tasks["a"], tasks["b"])
        graph.connect(edge, "f")
        connected = graph.version
        graph.connect(edge, "f")
        assert before < connected == graph.version
        graph.remove(tasks["a"])
        assert graph.version > connected

    def test_removing_a_task_removes_its_edges(self):
        graph, tasks = graph_of("abc", "ab", "bc", "ac")
        gone = graph.remove(tasks["b"])
        assert {(e.upstream_task.name, e.downstream_task.name) for e in gone} == {("a", "b"), ("b", "c")}
        assert names(graph) == "ac"
        assert [(e.upstream_task, e.downstream_task) for e in graph.edges] == [(tasks["a"], tasks["c"])]
        assert list(graph.edges_from(tasks["a"])) == list(graph.edges_to(tasks["c"]))

    def test_reachable_are_the_roots_and_all_downstream(self):
        graph, tasks = graph_of("abcd", "ab", "bc")
        assert graph.reachable([tasks["b"]]) == {tasks["b"], tasks["c"]}
        assert graph.reachable([]) == set()

    def test_it_survives_pickling(self):
        graph, _ = graph_of("ab", "ab")
        new: TaskGraph = cloudpickle.loads(cloudpickle.dumps(graph))
        up, down = new
        assert [e.downstream_task for e in new.edges_from(up)] == [down]
        assert new.connect(Edge(up, down), "f") in new.edges_to(down)
        assert len(new.edges) == 1


class TestSorting:
    def test_what_was_added_in_order_stays_in_order(self):
        graph, _ = graph_of("cba", "cb", "ca")
        assert names(graph.sorted("f")) == "cba"

    def test_upstream_tasks_come_first_and_ties_go_to_the_first_added(self):
        graph, _ = graph_of("abcd", "da")
        assert names(graph.sorted("f")) == "bcda"

    def test_a_cycle_is_named_task_by_task(self):
        graph, _ = graph_of("abcd", "ab", "bc", "ca", "cd")
        with pytest.raises(CycleError, match="a -> b -> c -> a") as caught:
            graph.sorted("f")
        assert sorted(caught.value.names[:-1]) == ["a", "b", "c"]
        assert caught.value.names[0] == caught.value.names[-1]

    def test_tasks_that_only_hang_on_a_cycle_are_not_named(self):
        graph, _ = graph_of("xaby", "ab", "ba", "xa", "by")
        with pytest.raises(CycleError) as caught:
            graph.sorted("f")
        assert set(caught.value.names) == {"a", "b"}

    def test_a_chain_of_50000_added_backwards_is_sorted(self):
        graph, tasks = TaskGraph(), [Two(name=str(i)) for i in range(50_000)]
        for one in reversed(tasks):
            graph.add(one)
        for up, down in itertools.pairwise(tasks):
            graph.connect(Edge(up, down), "f")
        assert graph.sorted("f") == tasks

    def test_a_cycle_of_50000_is_found(self):
        graph, tasks = TaskGraph(), [Two(name=str(i)) for i in range(50_000)]
        for one in tasks:
            graph.add(one)
        for up, down in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
            graph.connect(Edge(up, down), "f")
        with pytest.raises(CycleError) as caught:
            graph.sorted("f")
        assert len(caught.value.names) == 50_001

    @given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
    def test_it_agrees_with_networkx(self, order, pairs):
        tasks = {number: Two(name=str(number)) for number in order}
        graph = TaskGraph()
        reference: networkx.DiGraph[int] = networkx.DiGraph()
        for number in order:
            graph.add(tasks[number])
            reference.add_node(number)
        for up, down in pairs:
            if up != down:
                graph.connect(Edge(tasks[up], tasks[down]), "f")
                reference.add_edge(up, down)
        if networkx.is_directed_acyclic_graph(reference):
            found = [int(t.name) for t in graph.sorted("f")]
            assert found == list(networkx.lexicographical_topological_sort(reference, key=order.index))
        else:
            with pytest.raises(CycleError) as caught:
                graph.sorted("f")
            circle = [int(name) for name in caught.value.names]
            assert all(reference.has_edge(up, down) for up, down in itertools.pairwise(circle))


def test_networkx_gets_tasks_and_what_edges_say():
    graph, tasks = graph_of("ab")
    graph.connect(Edge(tasks["a"], tasks["b"], "x", mapped=True), "f")
    found = graph.to_networkx()
    assert list(found.nodes) == list(tasks.values())
    assert list(found.edges(keys=True, data=True)) == [
        (tasks["a"], tasks["b"], "x", {"mapped": True, "flattened": False})
    ]
