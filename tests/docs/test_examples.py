"""Every Python example of the README and of the documentation runs."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    code: str
    line: int


def examples(text: str) -> list[Example]:
    """Return the Python blocks of a page that are not marked ``no-run``."""
    return [
        Example(block["code"], text.count("\n", 0, block.start("code")))
        for block in BLOCK.finditer(text)
        if block["mark"].split() != ["no-run"]
    ]


def pages() -> list[Path]:
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if "_build" not in page.parts and examples(page.read_text(encoding="utf-8"))]


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Take back what an example does to the environment and to headrace's loggers."""
    environ, logger = dict(os.environ), logging.getLogger("headrace")
    handlers, level = logger.handlers[:], logger.level
    yield
    os.environ.clear()
    os.environ.update(environ)
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_of_the_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A module of its own, so that what an example defines can be found again under its module's name.
    module = ModuleType("example_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for example in examples(page.read_text(encoding="utf-8")):
        # Blank lines in front make tracebacks name the line of the page.
        code = compile("\n" * example.line + example.code, str(page), "exec", dont_inherit=True)
        exec(code, module.__dict__)


def test_a_marked_block_is_left_out_and_lines_are_counted() -> None:
    text = "# Page\n\n```python no-run\nraise SystemExit\n```\n\n```python\nassert True\n```\n"
    assert examples(text) == [Example("assert True\n", 7)]


def test_the_first_page_has_examples() -> None:
    assert ROOT / "docs" / "index.md" in pages()
