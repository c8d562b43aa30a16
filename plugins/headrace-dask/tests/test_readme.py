"""What the README shows, works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_flow_runs_as_a_script(tmp_path: Path) -> None:
    script = tmp_path / "squares.py"
    script.write_text(EXAMPLES[0])
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False)
    assert found.stdout.split() == ["332833500"], found.stderr
    assert found.stderr == ""


@pytest.mark.parametrize("number", range(1, len(EXAMPLES)))
def test_the_other_examples_can_be_read(number: int) -> None:
    exec(EXAMPLES[number], {"__name__": "readme"})


def test_every_option_is_in_the_table() -> None:
    import inspect

    from headrace_dask import DaskExecutor

    shown = re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(inspect.signature(DaskExecutor).parameters)
