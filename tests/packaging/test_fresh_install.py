"""What ``pip install .`` gives in a fresh environment, with the pip that comes with Python."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.packaging.conftest import FreshEnvironment, Installation

ROOT = Path(__file__).parents[2]
HELLO_WORLD = """
from headrace import Flow, task

@task
def say_hello():
    print("Hello, world!")

with Flow("My First Flow") as flow:
    say_hello()

state = flow.run()
assert state.is_successful(), state
"""


def test_hello_world_runs(fresh: FreshEnvironment) -> None:
    assert "Hello, world!" in fresh.run("python", "-c", HELLO_WORLD).splitlines()


def test_declared_plugins_are_found(fresh: FreshEnvironment) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    code = """
from importlib.metadata import distribution
import json
print(json.dumps([[e.group, e.name] for e in distribution("headrace").entry_points if e.group != "console_scripts"]))
"""
    found = {tuple(entry) for entry in json.loads(fresh.run("python", "-c", code))}
    assert found == {(group, name) for group, entries in project["entry-points"].items() for name in entries}


def test_command_line_lists_the_declared_plugins(fresh: FreshEnvironment) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = fresh.run("headrace", "plugins", "list", "--json")
    for entries in project["entry-points"].values():
        for name in entries:
            assert re.search(rf'"{name}"', listed), name


def test_installing_brings_at_most_sixteen_distributions(installation: Installation) -> None:
    assert "headrace" in installation.brought
    assert len(installation.brought) <= 16, sorted(installation.brought)


def test_installed_requirements_fit_together(fresh: FreshEnvironment) -> None:
    assert "No broken requirements" in fresh.run("python", "-m", "pip", "check")
