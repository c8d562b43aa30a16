from __future__ import annotations

import pytest
from benchmarks.rows import Quantity, Row, Target, growth_exponent


def test_a_cost_that_stays_the_same_has_the_exponent_zero() -> None:
    assert growth_exponent([(1_000, 8.0), (10_000, 8.0), (100_000, 8.0)]) == pytest.approx(0)


def test_a_cost_that_grows_with_the_size_has_the_exponent_one() -> None:
    assert growth_exponent([(1_000, 1.0), (10_000, 10.0), (100_000, 100.0)]) == pytest.approx(1)


def test_a_slope_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes, and got 1"):
        growth_exponent([(1_000, 1.0), (1_000, 2.0)])


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(4.9, False, True), (5.1, False, False), (4.9, True, False), (5.1, True, True)]
)
def test_a_target_is_met_on_its_side_of_the_limit(value: float, at_least: bool, met: bool) -> None:
    target = Target(column="ratio", limit=5, unit="", at_least=at_least)
    row = Row(section="s", workload="w", cells={"ratio": Quantity(value=value, unit="")}, target=target)
    assert row.met is met


def test_a_row_without_a_number_misses_its_target() -> None:
    row = Row(section="s", workload="w", cells={"ratio": "failed"}, target=Target(column="ratio", limit=5, unit=""))
    assert row.met is False


def test_a_row_without_a_target_is_not_judged() -> None:
    assert Row(section="s", workload="w").met is None
