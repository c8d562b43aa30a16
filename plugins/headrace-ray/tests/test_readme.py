"""The examples of the README run as they are."""

from __future__ import annotations

import re
from pathlib import Path

_README = Path(__file__).parents[1] / "README.md"


def test_the_examples_of_the_readme_run():
    examples = re.findall(r"^```python\n(.*?)^```", _README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples:
        exec(example, names)


def test_the_options_of_the_readme_are_those_that_there_are():
    from inspect import signature

    from headrace_ray import RayExecutor

    options = signature(RayExecutor).parameters
    table = _README.read_text(encoding="utf-8").partition("| option |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(options)
