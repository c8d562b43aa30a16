from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.visualize.spacing import fit_ascending

values = st.lists(st.integers(-100, 100).map(float), max_size=20)


@given(values)
def test_what_is_fitted_never_descends_and_keeps_its_mean(wanted: list[float]) -> None:
    fitted = fit_ascending(wanted, [1.0] * len(wanted))
    assert fitted == sorted(fitted)
    assert sum(fitted) == pytest.approx(sum(wanted), abs=1e-6)


@given(values)
def test_what_ascends_already_is_left_alone(wanted: list[float]) -> None:
    assert fit_ascending(sorted(wanted), [1.0] * len(wanted)) == sorted(wanted)


def test_the_heavier_value_moves_less() -> None:
    assert fit_ascending([10.0, 0.0], [9.0, 1.0]) == [9.0, 9.0]
