from __future__ import annotations

import pytest

from headrace import states
from headrace.visualize.marks import contrasting, mark_for, pale, safe_color

NAMES = states.__all__


@pytest.mark.parametrize("name", NAMES)
def test_every_state_has_a_look_in_its_own_colour(name: str) -> None:
    assert mark_for(name).color == getattr(states, name).color.lower()


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(getattr(states, name), states.Failed)])
def test_only_failures_have_an_octagon(name: str) -> None:
    assert mark_for(name).badge == "octagon"


@pytest.mark.parametrize("name", [name for name in NAMES if not issubclass(getattr(states, name), states.Failed)])
def test_nothing_else_has_an_octagon(name: str) -> None:
    assert mark_for(name).badge != "octagon"


def test_success_failure_and_skip_differ_without_colour() -> None:
    looks = {(mark_for(name).badge, mark_for(name).symbol) for name in ("Success", "Failed", "Skipped", "Running")}
    assert len(looks) == 4
    assert len({mark_for(name).ascii for name in ("Success", "Failed", "Skipped", "Running")}) == 4


def test_an_unknown_state_has_a_look() -> None:
    assert mark_for("Invented").symbol == "●"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("#AbCdEf", "#abcdef"),
        ("#fa0", "#ffaa00"),
        ("red", "#28a745"),
        ('#fff"/><script>', "#28a745"),
        (None, "#28a745"),
    ],
)
def test_only_hex_colours_pass(given: str | None, expected: str) -> None:
    assert safe_color(given, "Success") == expected


def test_symbols_contrast_with_their_badge() -> None:
    assert contrasting("#003ccb") == "#ffffff"
    assert contrasting("#ffdf5d") == "#12161c"


def test_a_pale_colour_keeps_its_hue() -> None:
    assert pale("#000000") == "#d5d5d5"
    assert pale("#ff0000") == "#ffd5d5"
