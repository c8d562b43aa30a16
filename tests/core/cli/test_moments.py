"""Moments as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headrace.cli.moments import moment_from_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90min", 5400), ("90 m", 5400), ("1.5h", 5400), ("2d", 172_800), ("1w", 604_800)],
)
def test_a_moment_is_so_long_ago(text: str, seconds: float) -> None:
    assert moment_from_text(text, 1_000_000.0) == 1_000_000.0 - seconds


def test_a_moment_with_a_zone_is_what_it_says() -> None:
    assert moment_from_text("2026-01-31T18:00+02:00", 0.0) == datetime(2026, 1, 31, 16, tzinfo=UTC).timestamp()


def test_a_moment_without_a_zone_is_local() -> None:
    assert moment_from_text("2026-01-31", 0.0) == datetime(2026, 1, 31).astimezone().timestamp()


@pytest.mark.parametrize("text", ["", "soon", "7", "-3d", "2026-02-31", "7 years"])
def test_what_is_no_moment_is_told_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no moment\. Write 2026-01-31"):
        moment_from_text(text, 0.0)
