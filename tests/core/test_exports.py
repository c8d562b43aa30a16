from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import headrace

NAMES = [
    "DateTimeParameter",
    "Engine",
    "Flow",
    "Parameter",
    "Secret",
    "Task",
    "__version__",
    "apply_map",
    "case",
    "config",
    "context",
    "flatten",
    "ifelse",
    "mapped",
    "merge",
    "resource_manager",
    "switch",
    "tags",
    "task",
    "unmapped",
]
MODULES = sorted(m.name for m in pkgutil.iter_modules(headrace.__path__) if not m.ispkg and m.name != "__main__")


def printed(code: str) -> list[str]:
    """Return the words that ``code`` prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_public_names():
    assert sorted(headrace.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_imported(name):
    assert getattr(headrace, name) is not None


@pytest.mark.parametrize("name", ["signals", "states", "triggers"])
def test_vocabulary_modules_are_attributes(name):
    assert getattr(headrace, name) is importlib.import_module(f"headrace.{name}")


def test_config_is_the_module():
    assert headrace.config is importlib.import_module("headrace.config")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="flowz"):
        headrace.flowz  # noqa: B018


def test_dir_lists_the_public_names():
    assert sorted(dir(headrace)) == NAMES


def test_a_star_import_brings_exactly_the_public_names():
    found = printed("from headrace import *; print(*sorted(name for name in dir() if name != '__builtins__'))")
    # These dunders are there in any module.
    module = {
        "__annotations__",
        "__cached__",
        "__doc__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__spec__",
    }
    assert set(found) - module == set(NAMES)


def test_a_name_is_looked_up_once():
    code = "import headrace; headrace.Flow; print('Flow' in vars(headrace))"
    assert printed(code) == ["True"]


def test_importing_the_package_imports_nothing_else_of_it():
    code = "import sys, headrace; print(*sorted(m for m in sys.modules if m.startswith('headrace')))"
    assert printed(code) == ["headrace"]


def test_the_version_is_that_of_the_distribution():
    assert headrace.__version__ == version("headrace")
    assert re.fullmatch(r"\d+\.\d+\.\d+", headrace.__version__)


@pytest.mark.parametrize("name", MODULES)
class TestModules:
    def test_what_a_module_exports_is_there(self, name):
        module = importlib.import_module(f"headrace.{name}")
        assert [missing for missing in module.__all__ if not hasattr(module, missing)] == []

    def test_exports_are_sorted_the_way_the_linter_sorts(self, name):
        module = importlib.import_module(f"headrace.{name}")

        def rank(exported: str) -> tuple[int, str]:
            # Constants, then classes, then functions.
            return (0 if exported.isupper() else 1 if exported[0].isupper() else 2), exported

        assert module.__all__ == sorted(module.__all__, key=rank)

    def test_a_module_says_what_it_is_for(self, name):
        assert importlib.import_module(f"headrace.{name}").__doc__

    def test_a_module_can_be_imported_first(self, name):
        assert printed(f"import headrace.{name}; print('fine')") == ["fine"]
