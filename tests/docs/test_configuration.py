"""The table of configuration keys has every key with its default, and no other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.config import load
from headrace.config._defaults import defaults
from headrace.config._kinds import _KINDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
ROWS = re.findall(r"^\| `([a-z_.]+)` \| (?:`(.+?)`|none) \| .* \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
TABLE = {key: tomllib.loads(f"value = {text}")["value"] for key, text in ROWS if text}


def flat(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", list(value) if isinstance(value, tuple) else value


def test_every_default_is_listed_as_it_is() -> None:
    assert {key: value for key, value in TABLE.items() if key != "context"} == dict(flat(defaults()))


def test_every_key_that_is_read_is_listed_once() -> None:
    listed = [key for key, _ in ROWS]
    assert sorted(listed) == sorted({".".join(path) for path in _KINDS} | {"context"})


def test_a_key_without_a_default_is_listed_as_none(tmp_path: Path) -> None:
    absent = load(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert [key for key, text in ROWS if not text] == [key for key, _ in ROWS if absent.get(key) is None]
