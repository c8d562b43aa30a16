"""What is in the wheel and in the source distribution."""

from __future__ import annotations

import re
import tarfile
import tomllib
from configparser import ConfigParser
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[2]
PACKAGES = {"core": "headrace", "plugins": "headrace_plugins", "tasklib": "headrace_tasklib"}
ROW = re.compile(r"^\| `(headrace\.[a-z]+)` \| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)


def names_in(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def text_in(wheel: Path, name: str) -> str:
    with ZipFile(wheel) as archive:
        (member,) = (found for found in archive.namelist() if found.endswith(f".dist-info/{name}"))
        return archive.read(member).decode()


def entry_points_of(wheel: Path) -> set[tuple[str, str, str]]:
    parser = ConfigParser(delimiters=["="])
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text_in(wheel, "entry_points.txt"))
    return {(group, name, value) for group in parser.sections() for name, value in parser.items(group)}


def test_wheel_holds_every_source_file_and_nothing_else(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT / folder).as_posix()
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names_in(wheel) == sources


def test_each_package_says_that_it_is_typed(wheel: Path) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES.values()} <= names_in(wheel)


def test_source_distribution_builds_the_same_wheel(wheel: Path, built: Path) -> None:
    (from_source,) = built.glob("*.whl")
    assert names_in(from_source) == names_in(wheel)
    assert entry_points_of(from_source) == entry_points_of(wheel)


def test_source_distribution_holds_tests_and_no_tool_caches(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        paths = [PurePosixPath(name) for name in archive.getnames()]
    parts = {part for path in paths for part in path.parts}
    assert {"tests", "docs", "tox.ini", "LICENSE"} <= parts
    assert not {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".tox", ".venv", "_build"} & parts


def test_plugins_of_the_wheel_are_those_of_the_documentation(wheel: Path) -> None:
    page = (ROOT / "docs" / "reference" / "plugins.md").read_text(encoding="utf-8")
    declared = {entry for entry in entry_points_of(wheel) if entry[0] != "console_scripts"}
    assert declared == set(ROW.findall(page))


def test_license_is_stated_as_an_expression_and_shipped(wheel: Path) -> None:
    metadata = Metadata.from_email(text_in(wheel, "METADATA"))
    assert metadata.license_expression == "Apache-2.0"
    assert "Apache License" in text_in(wheel, "licenses/LICENSE")


def test_nothing_is_capped(wheel: Path) -> None:
    """An upper bound in a library breaks environments that would have worked."""
    metadata = Metadata.from_email(text_in(wheel, "METADATA"))
    operators = {clause.operator for need in metadata.requires_dist or [] for clause in need.specifier}
    assert operators == {">="}


def test_oldest_environment_pins_what_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    pinned = dict(pin.split("==") for pin in tox["testenv:oldest"]["deps"].split())
    lowest = dict(need.split(">=") for need in declared)
    assert pinned.keys() == lowest.keys()
    for name, bound in lowest.items():
        numbers = [*bound.split("."), "0", "0"]
        assert pinned[name].split(".") == numbers[: len(pinned[name].split("."))], name
