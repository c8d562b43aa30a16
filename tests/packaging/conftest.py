"""What the packaging tests share: builds of this checkout, and a fresh environment it is installed into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, expected: int = 0) -> str:
    """Run a command outside this test environment and return what it printed, with its errors if it is to fail."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    printed = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == expected, f"{command} ended with {done.returncode}:\n{printed}"
    return printed if expected else done.stdout


@dataclass(frozen=True)
class FreshEnvironment:
    """A virtual environment with the pip that comes with Python, and headrace installed by it."""

    home: Path

    def run(self, program: str, *arguments: str, expected: int = 0) -> str:
        """Run a program of the environment in an empty folder and return what it printed."""
        folder = self.home / "empty"
        folder.mkdir(exist_ok=True)
        programs = self.home / ("Scripts" if os.name == "nt" else "bin")
        return run(programs / program, *arguments, cwd=folder, expected=expected)

    def distributions(self) -> set[str]:
        """Return the names of what is installed."""
        return {row["name"] for row in json.loads(self.run("python", "-m", "pip", "list", "--format", "json"))}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that was built from the checkout itself."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installation:
    """A fresh environment and the names of the distributions that installing headrace brought into it."""

    environment: FreshEnvironment
    brought: frozenset[str]


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Run ``pip install .`` for the checkout in a fresh environment."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=True)
    environment = FreshEnvironment(home)
    before = environment.distributions()
    environment.run("python", "-m", "pip", "install", str(ROOT))
    return Installation(environment, frozenset(environment.distributions() - before))


@pytest.fixture(scope="session")
def fresh(installation: Installation) -> FreshEnvironment:
    """Return the environment that headrace was installed into; other tests may have installed plugins since."""
    return installation.environment
