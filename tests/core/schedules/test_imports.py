"""What schedules load, and when, in an interpreter of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cronsim", "dateutil", "pendulum")


def loaded(code: str) -> set[str]:
    report = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import headrace.schedules", set()),
        ("from headrace.schedules import Schedule, clocks, filters, adjustments", set()),
        (
            "from datetime import timedelta as d; import headrace.schedules as s; s.IntervalSchedule(interval=d(1))",
            set(),
        ),
        (
            "from headrace.schedules import CronSchedule; CronSchedule('* * * * *', timezone='Europe/Berlin')",
            {"cronsim"},
        ),
        ("import headrace.schedules.clocks as c; from datetime import *; c.DatesClock([datetime(2024, 1, 1)])", set()),
    ],
)
def test_a_library_is_loaded_for_the_clock_that_needs_it(code: str, expected: set[str]) -> None:
    assert loaded(code) == expected


def test_the_package_itself_loads_none_of_its_modules() -> None:
    code = "import headrace.schedules, sys; assert not [n for n in sys.modules if n.startswith('headrace.schedules.')]"
    assert loaded(code) == set()


def test_the_names_of_the_package_are_sorted_and_all_there() -> None:
    import headrace.schedules as package

    assert sorted(package.__all__) == package.__all__ == dir(package)
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import headrace.schedules as package

    with pytest.raises(AttributeError, match="OneTimeSchedule"):
        package.OneTimeSchedule  # noqa: B018
