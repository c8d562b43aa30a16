"""Finding the user's line in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace import Flow
from headrace.tracebacks import innermost_frame, shown_path, user_frame


def caught(call: object) -> BaseException:
    with pytest.raises(Exception) as info:
        call()  # type: ignore[operator]
    return info.value


def test_the_line_of_a_user_is_found_above_the_standard_library() -> None:
    where = user_frame(caught(lambda: json.loads("{")))
    assert where is not None
    assert where.file == __file__
    assert "json.loads" in where.source


def test_the_line_of_a_user_is_found_above_headrace() -> None:
    where = user_frame(caught(lambda: Flow("")))
    assert where is not None
    assert where.file == __file__


def test_the_innermost_of_several_lines_is_meant() -> None:
    def inner() -> None:
        raise ValueError

    def outer() -> None:
        inner()

    where = user_frame(caught(outer))
    assert where is not None
    assert where.function == "inner"


def test_an_exception_that_was_never_raised_comes_from_nowhere() -> None:
    assert user_frame(ValueError()) is None
    assert innermost_frame(ValueError()) is None


def test_the_innermost_line_may_be_of_a_library() -> None:
    where = innermost_frame(caught(lambda: json.loads("{")))
    assert where is not None
    assert Path(where.file).parent.name == "json"


def test_a_syntax_error_is_where_its_text_is() -> None:
    error = caught(lambda: compile("x = (", "made_up.py", "exec"))
    assert str(user_frame(error)) == "made_up.py:1"


def test_a_path_is_shown_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(str(tmp_path / "flows" / "a.py")) == str(Path("flows", "a.py"))
    assert shown_path(str(tmp_path.parent / "a.py")) == str(tmp_path.parent / "a.py")
    assert shown_path("<stdin>") == "<stdin>"
