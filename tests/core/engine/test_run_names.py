from __future__ import annotations

import pytest

from headrace.engine.run_names import check_run_name
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError


@pytest.mark.parametrize("name", [None, "nightly", "nächtlich 2026-01-31", "x" * 200, "latest.2", "", "a\u00a0b"])
def test_a_line_of_text_is_a_name(name: str | None) -> None:
    check_run_name(name)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\x1b[31m", "a\u2028b", "\ud800", "\x00"])
def test_what_would_break_a_table_is_none(name: str) -> None:
    with pytest.raises(FlowDefinitionError, match="one line of text"):
        check_run_name(name)


def test_what_commands_call_the_last_run_is_none() -> None:
    with pytest.raises(FlowDefinitionError, match="'latest'"):
        check_run_name("latest")


def test_a_name_that_is_too_long_is_told_its_length() -> None:
    with pytest.raises(FlowDefinitionError, match="has 201"):
        check_run_name("x" * 201)


def test_what_is_no_text_is_shown() -> None:
    with pytest.raises(DefinitionTypeError, match="and is 5"):
        check_run_name(5)
