"""The examples of the README and the guide run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_README = Path(__file__).parents[1] / "README.md"
# In the repository of headrace only.
_GUIDE = _README.parents[2] / "docs" / "how-to" / "run-on-ray.md"
_BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_examples_of_the_readme_run():
    examples = _BLOCK.findall(_README.read_text(encoding="utf-8"))
    assert len(examples) == 3
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples:
        exec(example, names)


def test_the_examples_of_the_guide_run():
    if not _GUIDE.exists():
        pytest.skip("the guide is no part of this distribution")
    names: dict[str, object] = {"__name__": "__main__"}
    for example in _BLOCK.findall(_GUIDE.read_text(encoding="utf-8")):
        exec(example, names)


def test_the_options_of_the_readme_are_those_that_there_are():
    from inspect import signature

    from headrace_ray import RayExecutor

    options = signature(RayExecutor).parameters
    table = _README.read_text(encoding="utf-8").partition("| option |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(options)
