"""What is imported when, counted in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SLOW_TO_IMPORT = {"click", "dask", "importlib_metadata", "networkx", "pendulum", "pluggy", "rich", "toml"}
HELLO_WORLD = """
from headrace import Flow, task

@task
def say_hello():
    pass

with Flow("My First Flow") as flow:
    say_hello()

assert flow.run().is_successful()
"""


def modules_after(code: str) -> set[str]:
    """Return the names of all modules that are loaded when ``code`` has run."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages_after(code: str) -> set[str]:
    return {name.partition(".")[0] for name in modules_after(code)}


@pytest.mark.parametrize("package", ["headrace", "headrace_plugins", "headrace_tasklib"])
def test_importing_a_package_loads_nothing_slow(package: str) -> None:
    assert not packages_after(f"import {package}") & SLOW_TO_IMPORT


def test_importing_headrace_loads_only_itself_and_the_standard_library() -> None:
    loaded = packages_after("import headrace") - packages_after("pass") - set(sys.stdlib_module_names)
    assert loaded == {"headrace"}


def test_hello_world_imports_no_plugin_but_the_local_executor() -> None:
    loaded = {
        name
        for name in modules_after(HELLO_WORLD)
        if name.partition(".")[0] in {"headrace_plugins", "headrace_tasklib"}
    }
    assert loaded <= {"headrace_plugins", "headrace_plugins.local"}


def test_hello_world_loads_nothing_for_terminals_times_or_clusters() -> None:
    assert not packages_after(HELLO_WORLD) & {"click", "dask", "pendulum", "rich", "toml"}


def test_what_travels_to_an_executor_loads_nothing_slow() -> None:
    loaded = modules_after("import headrace.engine.worker")
    assert not {name.partition(".")[0] for name in loaded} & SLOW_TO_IMPORT
    assert not loaded & {"headrace.engine.driver", "headrace.engine.scheduler", "headrace.hooks"}


def test_help_imports_no_plugin() -> None:
    code = """
import contextlib, io
from headrace.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["--help"])
"""
    assert not packages_after(code) & {"headrace_plugins", "headrace_tasklib"}
