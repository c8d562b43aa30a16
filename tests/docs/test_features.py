"""What people write flows with stands in an example of a guide; ``test_examples`` runs them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import getmembers, isfunction, signature
from pathlib import Path

import pytest

import headrace
from headrace import Flow, Task, caching, schedules, signals, states, triggers
from headrace.engine.runs import RunOptions
from headrace.schedules import adjustments, clocks, filters

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def words_of(code: str) -> Iterator[str]:
    """Yield what ``code`` names: variables, attributes, imports, keyword arguments and keys of dictionaries."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word) | ast.keyword(arg=str(word)):
                yield word
            case ast.ImportFrom(module=str(module)):
                yield from module.split(".")
            case ast.Dict(keys=keys):
                yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


WORDS = {
    word
    for page in sorted(GUIDES.glob("*.md"))
    for code in EXAMPLE.findall(page.read_text(encoding="utf-8"))
    for word in words_of(code)
}


def methods(cls: type) -> set[str]:
    return {name for name, value in getmembers(cls, isfunction) if not name.startswith("_")}


FEATURES = {
    "headrace": set(headrace.__all__) - {"__version__"},
    "options of tasks": set(signature(Task).parameters),
    "options of flows": set(signature(Flow).parameters),
    "methods of flows": methods(Flow) - {"plan"},
    "methods of tasks": methods(Task),
    # The last two are for whoever resumes runs, such as `headrace resume`.
    "what a run is told": {field.name for field in fields(RunOptions)} - {"origin", "resumption"},
    "signals": set(signals.__all__) - {"Signal", "signal_from_state"},
    "triggers": set(triggers.__all__) - {"Trigger"},
    "states": {name for name in methods(states.State) if name.startswith("is_")},
    "validators": {name for name in caching.__all__ if name.islower()},
    "schedules": set(schedules.__all__),
    "clocks": set(clocks.__all__) - {"Clock", "ClockEvent"},
    "filters": set(filters.__all__),
    "adjustments": set(adjustments.__all__),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_every_feature_stands_in_an_example_of_a_guide(kind: str) -> None:
    assert sorted(FEATURES[kind] - WORDS) == []
