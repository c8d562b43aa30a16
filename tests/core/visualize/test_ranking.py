from __future__ import annotations

from collections import Counter

from headrace.visualize.ranking import assign_ranks


def rank(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Rank nodes that are numbered in topological order."""
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        up[target].append(source)
        down[source].append(target)
    return assign_ranks(up, down, list(range(count)))


def test_a_source_stands_right_above_the_only_task_it_feeds() -> None:
    assert rank(5, [(0, 2), (2, 3), (3, 4), (1, 4)]) == [0, 2, 1, 2, 3]


def test_layers_that_are_readable_are_left_alone() -> None:
    assert rank(18, [(0, node) for node in range(1, 17)] + [(node, 17) for node in range(1, 17)])[1:17] == [1] * 16


def test_a_very_wide_layer_becomes_even_rows() -> None:
    ranks = rank(101, [(0, node) for node in range(1, 101)])
    sizes = Counter(ranks[1:])
    assert max(sizes.values()) == 15
    assert len(sizes) == 7


def test_parallel_chains_that_do_not_fit_beside_each_other_form_bands() -> None:
    chains, length = 40, 5
    pairs = [(0, 1 + length * chain) for chain in range(chains)]
    pairs += [(1 + length * chain + step, 2 + length * chain + step) for chain in range(chains) for step in range(4)]
    ranks = rank(1 + chains * length, pairs)
    spans = [ranks[5 + length * chain] - ranks[1 + length * chain] for chain in range(chains)]
    assert spans == [4] * chains


def test_every_edge_points_to_a_later_layer_and_no_layer_is_empty() -> None:
    pairs = [(source, target) for target in range(60) for source in range(max(0, target - 30), target, 7)]
    ranks = rank(60, pairs)
    assert all(ranks[source] < ranks[target] for source, target in pairs)
    assert set(ranks) == set(range(max(ranks) + 1))
