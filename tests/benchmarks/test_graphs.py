from __future__ import annotations

import pytest
from benchmarks.graphs import make_graph

SHAPES = ["independent", "chain", "fan-out-in", "map", "layered"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [5, 10, 1_000])
def test_every_task_comes_after_its_upstreams(shape: str, size: int) -> None:
    graph = make_graph(shape, size)
    assert all(upstream < index for index, upstreams in enumerate(graph.upstreams) for upstream in upstreams)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_graph_has_as_many_tasks_as_asked_for(shape: str) -> None:
    assert len(make_graph(shape, 1_000)) == 1_000


def test_layers_are_a_hundred_wide_and_each_task_takes_two_results() -> None:
    graph = make_graph("layered", 1_000)
    assert [len(upstreams) for upstreams in graph.upstreams] == [0] * 100 + [2] * 900
    assert graph.upstreams[199] == (99, 0)


def test_a_graph_too_small_to_have_a_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the smallest has 5"):
        make_graph("map", 3)


def test_the_check_refuses_wrong_results() -> None:
    graph = make_graph("chain", 10)
    assert graph.check([10])
    assert not graph.check([9])
    assert not graph.check([])
