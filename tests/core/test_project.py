"""Where the project's folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import config
from headrace.exceptions import HistoryError
from headrace.project import project_folder


def test_the_nearest_folder_above_is_the_project_s(tmp_path: Path) -> None:
    (tmp_path / ".headrace").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project_folder(tmp_path / "a" / "b", {}) == tmp_path / ".headrace"
    (tmp_path / "a" / ".headrace").mkdir()
    assert project_folder(tmp_path / "a" / "b", {}) == tmp_path / "a" / ".headrace"


def test_where_there_is_none_it_is_to_be_made_in_the_current_folder(tmp_path: Path) -> None:
    assert project_folder(tmp_path / "a", {}) == tmp_path / "a" / ".headrace"


@pytest.mark.parametrize("exists", [True, False])
def test_a_variable_names_another_folder(tmp_path: Path, exists: bool) -> None:
    (tmp_path / ".headrace").mkdir()
    if exists:
        (tmp_path / "other").mkdir()
    assert project_folder(tmp_path, {"HEADRACE_HOME": str(tmp_path / "other")}) == tmp_path / "other"


def test_a_relative_one_is_seen_from_the_current_folder(tmp_path: Path) -> None:
    assert project_folder(tmp_path, {"HEADRACE_HOME": "other"}) == tmp_path / "other"


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert project_folder(tmp_path, {"HEADRACE_HOME": ""}) == tmp_path / ".headrace"


def test_the_configuration_of_the_project_is_in_the_folder_that_is_named(tmp_path: Path) -> None:
    for name, folder in (("here", ".headrace"), ("there", "other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.toml").write_text(f'[engine]\nexecutor = "{name}"\n')
    environ = {"HOME": str(tmp_path / "nobody")}
    assert config.load(environ, cwd=tmp_path)["engine"]["executor"] == "here"
    named = environ | {"HEADRACE_HOME": str(tmp_path / "other")}
    assert config.load(named, cwd=tmp_path)["engine"]["executor"] == "there"
    empty = environ | {"HEADRACE_HOME": str(tmp_path / "nothing")}
    assert config.load(empty, cwd=tmp_path)["engine"]["executor"] == "local"


def test_a_current_folder_that_was_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(HistoryError, match="The current folder is not there any more"):
        project_folder()


def test_one_that_is_named_in_full_needs_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert project_folder(environ={"HEADRACE_HOME": str(tmp_path / "named")}) == tmp_path / "named"
