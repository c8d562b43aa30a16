"""The guide for old flows keeps its word: its table turns the old file into the new one, which runs."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-from-prefect-core.md"
TEXT = PAGE.read_text(encoding="utf-8")
OLD, NEW = re.findall(r"^```python[^\n]*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
TABLE = TEXT.partition("## Replace names")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", TABLE, re.MULTILINE)


def moved(text: str) -> str:
    """Apply the rows of the table in order."""
    for old, new in ROWS:
        text = text.replace(old, new)
    return text


def test_the_table_makes_the_new_file_from_the_old_one() -> None:
    body, _, _ = moved(OLD).partition('if __name__ == "__main__":')
    without_executors = re.sub(r"^from headrace\.executors .*\n", "", body, flags=re.MULTILINE)
    assert NEW.startswith(without_executors)
    assert "prefect" not in moved(OLD)


@pytest.mark.parametrize("new", [new for _, new in ROWS if new.endswith(" import")])
def test_what_the_table_imports_from_is_there(new: str) -> None:
    name = new.split()[1]
    assert import_module(name).__name__ == name
