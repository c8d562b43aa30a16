from __future__ import annotations

from itertools import pairwise

import pytest

from headrace.exceptions import CycleError
from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.structure import analyse, longest_path_ranks, merge_edges


def draw(names: str, *pairs: str) -> Drawing:
    return Drawing(
        title="flow",
        nodes=tuple(Node(id=name, label=f"task {name}") for name in names),
        edges=tuple(Edge(source=pair[0], target=pair[1]) for pair in pairs),
    )


def test_a_cycle_is_named_from_its_first_task_back_to_it() -> None:
    with pytest.raises(CycleError) as caught:
        analyse(draw("abcd", "ab", "bc", "cb", "cd"))
    assert caught.value.names in {("task b", "task c", "task b"), ("task c", "task b", "task c")}


def test_a_named_cycle_follows_the_arrows() -> None:
    with pytest.raises(CycleError) as caught:
        analyse(draw("abc", "ab", "bc", "ca"))
    names = [name[-1] for name in caught.value.names]
    assert {"".join(pair) for pair in pairwise(names)} == {"ab", "bc", "ca"}


def test_a_node_that_points_to_itself_is_a_cycle() -> None:
    with pytest.raises(CycleError):
        analyse(draw("a", "aa"))


def test_the_order_puts_every_node_after_those_upstream() -> None:
    structure = analyse(draw("dcba", "ab", "bc", "cd", "ad"))
    assert [structure.nodes[number].id for number in structure.order] == ["a", "b", "c", "d"]


def test_ranks_follow_the_longest_path() -> None:
    assert longest_path_ranks(analyse(draw("abcd", "ab", "bc", "ac", "cd"))) == [0, 1, 2, 3]


def test_parallel_edges_become_one_with_all_labels() -> None:
    edges = (
        Edge(source="a", target="b", label="x"),
        Edge(source="a", target="c"),
        Edge(source="a", target="b", label="y", mapped=True),
        Edge(source="a", target="b", label="x"),
        Edge(source="a", target="b"),
    )
    assert merge_edges(edges) == (
        Edge(source="a", target="b", label="x, y", mapped=True),
        Edge(source="a", target="c"),
    )
