"""What the README and the guide show, works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parent.parent / "README.md"
# In the repository of headrace only.
GUIDE = README.parents[2] / "docs" / "how-to" / "run-on-dask.md"
BLOCK = re.compile(r"```python[^\n]*\n(.*?)```", re.DOTALL)
EXAMPLES = BLOCK.findall(README.read_text(encoding="utf-8"))


def test_the_flow_runs_as_a_script(tmp_path: Path) -> None:
    script = tmp_path / "squares.py"
    script.write_text(EXAMPLES[0])
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False)
    assert found.stdout.split() == ["332833500"], found.stderr
    assert found.stderr == ""


@pytest.mark.parametrize("number", range(1, len(EXAMPLES)))
def test_the_other_examples_can_be_read(number: int) -> None:
    exec(EXAMPLES[number], {"__name__": "readme"})


def test_the_guide_can_be_read() -> None:
    """Its blocks go on where the ones before have ended, and say nothing that there is not."""
    if not GUIDE.exists():
        pytest.skip("the guide is no part of this distribution")
    names: dict[str, Any] = {"__name__": "guide"}
    for example in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        exec(example, names)
    assert (names["here"].capacity, names["train"].resources) == (1000, {"GPU": 1})


def test_every_option_is_in_the_table() -> None:
    import inspect

    from headrace_dask import DaskExecutor

    shown = re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(inspect.signature(DaskExecutor).parameters)
