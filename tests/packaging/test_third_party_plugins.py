"""Plugins of strangers: installed by pip into a fresh environment, one that works and several that do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.packaging.conftest import FreshEnvironment

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
FLOW = """
from headrace import Flow, task

@task
def divide(x, y):
    return x / y

with Flow("sums") as flow:
    divide(6, 3)
    divide(1, 0)
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.0"

[project.entry-points."{group}"]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
include = ["{module}.py"]
"""


def install(environment: FreshEnvironment, folder: Path) -> None:
    environment.run("python", "-m", "pip", "install", "--no-deps", str(folder))


def make_plugin(folder: Path, *, group: str, name: str, module: str, code: str) -> Path:
    folder.mkdir()
    project = PROJECT.format(distribution=module.replace("_", "-"), group=group, name=name, module=module)
    (folder / "pyproject.toml").write_text(project)
    (folder / f"{module}.py").write_text(code)
    return folder


def write_files(folder: Path, guide: str, files: Mapping[str, str]) -> Path:
    """Write files that a guide shows to ``folder``, each the first block of its language."""
    page = (GUIDES / guide).read_text(encoding="utf-8")
    folder.mkdir()
    for name, language in files.items():
        block = re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        assert block is not None
        (folder / name).write_text(block[1])
    return folder


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    path = tmp_path / "sums.py"
    path.write_text(FLOW)
    return path


def test_notifier_of_the_guide_receives_state_changes(fresh: FreshEnvironment, tmp_path: Path, flow_file: Path) -> None:
    files = {"pyproject.toml": "toml", "headrace_journal.py": "python"}
    install(fresh, write_files(tmp_path / "plugin", "write-a-notifier.md", files))
    journal = tmp_path / "journal.txt"
    fresh.run("headrace", "run", str(flow_file), "--notify", f"journal://{journal}", expected=1)
    assert journal.read_text().splitlines() == ["divide: Success", "divide: Failed", "sums: Failed"]
    assert "headrace-journal" in fresh.run("headrace", "plugins", "info", "journal")


def test_executor_of_the_guide_runs_flows_and_keeps_the_contract(
    fresh: FreshEnvironment, tmp_path: Path, flow_file: Path
) -> None:
    test = "test_headrace_pool.py"
    files = {"pyproject.toml": "toml", "headrace_pool.py": "python", test: "python no-run"}
    plugin = write_files(tmp_path / "plugin", "write-an-executor.md", files)
    install(fresh, plugin)
    try:
        ran = fresh.run("headrace", "run", str(flow_file), "--executor", "pool", "-o", "workers=1", expected=1)
        assert "division by zero" in ran
        assert "workers" in fresh.run("headrace", "plugins", "info", "pool")
        wrong = fresh.run("headrace", "run", str(flow_file), "--executor", "pool", "-o", "workers=many", expected=2)
        assert "Option 'workers' of the executor 'pool' of headrace-pool 1.0 expects a whole number" in wrong
        fresh.run("python", "-m", "pip", "install", "pytest")
        text = (plugin / test).read_text()
        smaller = "    mapped_children, big_value_bytes = 500, 20_000_000\n\n    def make"
        (plugin / test).write_text(text.replace("    def make", smaller))
        report = fresh.run("python", "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", str(plugin / test))
    finally:
        fresh.run("python", "-m", "pip", "uninstall", "--yes", "headrace-pool", "pytest")
    assert re.search(r"^\d\d passed, \d\d skipped", report, re.MULTILINE)
    for limit in ("declare HARD_TIMEOUT", "declare CANCEL", "declare KEEPS_RESULTS", "crashes_alone = False"):
        assert limit in report


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("raises", "raise RuntimeError('not today')"),
        ("typo", "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_task_state_chnged(run): pass\n"),
        ("angry", "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_flow_state_changed(run): 1 / 0\n"),
    ],
)
def test_broken_observer_does_not_disturb_the_run(
    fresh: FreshEnvironment, tmp_path: Path, flow_file: Path, name: str, code: str
) -> None:
    module = f"broken_{name}"
    install(fresh, make_plugin(tmp_path / name, group="headrace.hooks", name=name, module=module, code=code))
    try:
        output = fresh.run("headrace", "run", str(flow_file), expected=1)
        assert f"broken-{name}" in output
        assert "division by zero" in output
        assert f"broken-{name}" in fresh.run("headrace", "plugins", "doctor", expected=1 if name != "angry" else 0)
    finally:
        fresh.run("python", "-m", "pip", "uninstall", "--yes", f"broken-{name}")


def test_broken_executor_is_a_precise_error_for_who_names_it_and_for_nobody_else(
    fresh: FreshEnvironment, tmp_path: Path, flow_file: Path
) -> None:
    plugin = make_plugin(
        tmp_path / "turbo", group="headrace.executors", name="turbo", module="broken_turbo", code="import nothing_here"
    )
    install(fresh, plugin)
    try:
        named = fresh.run("headrace", "run", str(flow_file), "--executor", "turbo", expected=2)
        assert "broken-turbo 1.0" in named
        assert "nothing_here" in named
        assert "Traceback" not in named
        assert "turbo" not in fresh.run("headrace", "run", str(flow_file), expected=1)
    finally:
        fresh.run("python", "-m", "pip", "uninstall", "--yes", "broken-turbo")
