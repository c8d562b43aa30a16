from __future__ import annotations

import random
from itertools import pairwise
from time import process_time

import pytest

from headrace.exceptions import CycleError
from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.layout import Box, layout


def draw(count: int, pairs: list[tuple[int, int]], label: str | None = None) -> Drawing:
    return Drawing(
        title="flow",
        nodes=tuple(Node(id=str(number), label=f"task {number}") for number in range(count)),
        edges=tuple(Edge(source=str(source), target=str(target), label=label) for source, target in pairs),
    )


def random_pairs(count: int, edges: int) -> list[tuple[int, int]]:
    source = random.Random(7)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < edges:
        first, second = sorted(source.sample(range(count), 2))
        pairs.add((first, second))
    return sorted(pairs)


def middle(box: Box) -> float:
    return box.x + box.width / 2


def test_an_empty_drawing_has_no_size() -> None:
    result = layout(draw(0, []))
    assert (dict(result.positions), result.routes, result.width, result.height) == ({}, (), 0.0, 0.0)


def test_a_single_node_fills_its_layout() -> None:
    result = layout(draw(1, []))
    box = result.positions["0"]
    assert (box.x, box.y, box.width, box.height) == (0.0, 0.0, result.width, result.height)


def test_a_cycle_is_refused_by_name() -> None:
    with pytest.raises(CycleError, match="'flow' has a cycle"):
        layout(draw(3, [(0, 1), (1, 2), (2, 1)]))


def test_a_chain_is_one_straight_line() -> None:
    result = layout(draw(5, [(number, number + 1) for number in range(4)]))
    assert len({middle(box) for box in result.positions.values()}) == 1
    assert all(len(route.points) == 2 for route in result.routes)


def test_a_parent_stands_in_the_middle_above_its_children() -> None:
    positions = layout(draw(3, [(0, 1), (0, 2)])).positions
    assert middle(positions["0"]) == pytest.approx((middle(positions["1"]) + middle(positions["2"])) / 2)


def test_an_edge_past_other_layers_bends_around_them_once_on_each_side() -> None:
    result = layout(draw(4, [(0, 1), (1, 2), (2, 3), (0, 3)]))
    long = next(route for route in result.routes if (route.edge.source, route.edge.target) == ("0", "3"))
    assert len({x for x, _ in long.points[1:-1]}) == 1


def test_left_to_right_turns_the_picture() -> None:
    result = layout(draw(3, [(0, 1), (1, 2)]), "LR")
    boxes = [result.positions[str(number)] for number in range(3)]
    assert boxes[0].x + boxes[0].width < boxes[1].x
    assert boxes[1].x + boxes[1].width < boxes[2].x
    assert len({box.y for box in boxes}) == 1


@pytest.mark.parametrize("pairs", [[], [(0, number) for number in range(1, 1000)]], ids=["alone", "fan"])
def test_a_thousand_parallel_tasks_have_a_sane_shape(pairs: list[tuple[int, int]]) -> None:
    result = layout(draw(1000, pairs))
    assert 0.5 < result.width / result.height < 4


def test_separate_flows_stand_side_by_side() -> None:
    result = layout(draw(200, [(number, number + 1) for number in range(0, 200, 2)]))
    assert 0.5 < result.width / result.height < 4


def test_labels_of_one_task_do_not_cover_each_other() -> None:
    result = layout(draw(7, [(number, 6) for number in range(6)], label="argument"))
    places = [route.label_at for route in result.routes if route.label_at]
    assert len(places) == 6
    for number, (x, y) in enumerate(places):
        assert all(abs(x - other_x) > 50 or abs(y - other_y) >= 14 for other_x, other_y in places[:number])


def test_arrows_into_one_task_arrive_apart_and_in_order() -> None:
    result = layout(draw(4, [(0, 3), (1, 3), (2, 3)]))
    arrivals = {route.edge.source: route.points[-1][0] for route in result.routes}
    ordered = [arrivals[name] for name in sorted(arrivals, key=lambda name: middle(result.positions[name]))]
    assert all(right - left >= 10 for left, right in pairwise(ordered))


def test_ten_thousand_nodes_are_laid_out_and_time_grows_about_linearly() -> None:
    def seconds(count: int) -> float:
        drawing = draw(count, random_pairs(count, count * 3 // 2))
        start = process_time()
        assert len(layout(drawing).positions) == count
        return process_time() - start

    assert seconds(10_000) < 35 * seconds(1_000)  # quadratic would be 100


def test_a_chain_of_fifty_thousand_is_laid_out() -> None:
    result = layout(draw(50_000, [(number, number + 1) for number in range(49_999)]))
    assert len(result.routes) == 49_999


def test_a_parameter_of_every_task_in_a_long_chain_is_drawn_as_one_trunk() -> None:
    count = 3_000
    pairs = [(number, number + 1) for number in range(1, count)] + [(0, number) for number in range(1, count + 1)]
    result = layout(draw(count + 1, pairs))
    assert sum(len(route.points) for route in result.routes) < 5 * len(pairs)


def test_edges_too_long_for_the_budget_run_beside_the_graph() -> None:
    chain, reach = 1_200, 900
    pairs = [(number, number + 1) for number in range(chain - 1)]
    result = layout(draw(chain, pairs + [(number, number + reach) for number in range(chain - reach)]))
    edge = max(max(x for x, _ in route.points) for route in result.routes)
    assert max(box.x + box.width for box in result.positions.values()) < edge <= result.width
