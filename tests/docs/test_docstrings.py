"""Every ``>>>`` example in a docstring of the core and of the plugins runs, by the ordinary rules of doctest.

Those of the task library need servers and databases; ``tests/tasklib`` runs them.
"""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules_with_examples() -> list[str]:
    """Return the names of the modules whose source shows a prompt, without importing any."""
    return [
        ".".join(source.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root in (ROOT / "core", ROOT / "plugins")
        for package in ("headrace", "headrace_plugins")
        for source in sorted((root / package).rglob("*.py"))
        if ">>> " in source.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_of_the_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(exclude_empty=True).find(import_module(name)):
        runner.run(example, out=report.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)
