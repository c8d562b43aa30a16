from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from headrace.visualize.layers import LayeredGraph, build_layers
from headrace.visualize.ordering import count_crossings, order_layers


def two_layers(size: int, pairs: list[tuple[int, int]]) -> LayeredGraph:
    """Nodes 0 to size - 1 above as many others, which the second numbers of the pairs count from 0."""
    ends = [(above, size + below) for above, below in pairs]
    return build_layers([0] * size + [1] * size, ends, [False] * len(ends))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True, max_size=20))
def test_crossings_are_counted_as_by_looking_at_every_pair(pairs: list[tuple[int, int]]) -> None:
    crossing = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    assert count_crossings(two_layers(7, pairs), [*range(7), *range(7)]) == crossing


def test_crossings_that_can_be_avoided_are() -> None:
    graph = two_layers(5, [(number, 4 - number) for number in range(5)])
    assert order_layers(graph) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True, max_size=20))
def test_ordering_keeps_every_vertex_in_its_layer_and_reports_its_crossings(pairs: list[tuple[int, int]]) -> None:
    graph = two_layers(7, pairs)
    crossings = order_layers(graph)
    assert [sorted(layer) for layer in graph.layers] == [list(range(7)), list(range(7, 14))]
    position = {vertex: place for layer in graph.layers for place, vertex in enumerate(layer)}
    assert count_crossings(graph, [position[vertex] for vertex in range(14)]) == crossings


def test_long_edges_of_one_node_share_their_stand_ins() -> None:
    graph = build_layers([0, 1, 2, 3, 4], [(0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (0, 3), (0, 4)], [False] * 7)
    assert len(graph.rank) == 5 + 3
    assert [path.starts_at_joint for path in graph.paths] == [False] * 4 + [True, True, False]


def test_stand_ins_stay_within_a_budget_however_long_the_edges_are() -> None:
    chain, reach = 2_000, 1_000
    ends = [(node, node + 1) for node in range(chain - 1)] + [(node, node + reach) for node in range(chain - reach)]
    graph = build_layers(list(range(chain)), ends, [False] * len(ends))
    assert len(graph.rank) < 20_000
    assert sum(path.in_lane for path in graph.paths) > 900
