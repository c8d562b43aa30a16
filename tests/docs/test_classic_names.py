"""The table of classic names names what is there."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

from headrace_plugins import __path__

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "classic-names.md"
ROWS = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
ANSWERS = [row[-1].rstrip(" |") for row in ROWS if row[0] != "| Classic"]
NAMES = sorted({name for answer in ANSWERS for name in re.findall(r"`(headrace(?:_tasklib)?\.[\w.]+)`", answer)})
PLUGINS = sorted({name for answer in ANSWERS for name in re.findall(r'`"(\w+)"`', answer)})


def found(name: str) -> object:
    """Import ``name``: a module, or an attribute of one or of what is in one."""
    parts = name.split(".")
    value: object = import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        value = getattr(value, part, None) or import_module(".".join(parts[:i]))
    return value


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_beside_a_classic_name_can_be_imported(name: str) -> None:
    if name.startswith("headrace_tasklib.http"):
        pytest.importorskip("httpx2")
    if name.startswith("headrace_tasklib.sql"):
        pytest.importorskip("sqlalchemy")
    assert found(name) is not None


def offered() -> set[str]:
    """Return the names of the executors and serializers that the plugins of this repository offer."""
    modules = [import_module(f"headrace_plugins.{module.name}") for module in pkgutil.iter_modules(__path__)]
    hooks = [
        getattr(module, hook, None) for module in modules for hook in ("headrace_executors", "headrace_serializers")
    ]
    return {spec.name for hook in hooks if hook is not None for spec in hook()}


@pytest.mark.parametrize("name", PLUGINS)
def test_what_stands_in_quotes_is_the_name_of_a_plugin(name: str) -> None:
    assert name in offered()


def test_every_row_answers() -> None:
    assert all(ANSWERS)
    assert len(NAMES) > 90
