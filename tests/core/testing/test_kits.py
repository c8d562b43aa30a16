"""What `headrace.testing` offers to authors of plugins, and what it costs those who write flows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace import testing


@pytest.mark.parametrize("name", testing.__all__)
def test_everything_on_offer_is_there(name: str) -> None:
    assert getattr(testing, name).__name__ == name


def test_a_name_that_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="StoreConformance"):
        testing.StoreConformance  # noqa: B018 - the look-up is what raises


def test_tests_of_flows_need_no_pytest() -> None:
    code = "import sys; from headrace.testing import run; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_executor_cannot_be_tested_without_being_made() -> None:
    class TestNothing(testing.ExecutorConformance): ...

    with pytest.raises(TypeError, match="make_executor"):
        TestNothing()  # type: ignore[abstract]
