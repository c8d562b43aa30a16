"""What each key that headrace reads must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.config._view import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a key holds: words for an error message, and the test."""

    expected: str
    accepts: Callable[[object], bool]


def _is_number(value: object, *types: type) -> bool:
    """Tell whether ``value`` is 0 or more and finite; false is the classic way to write 0."""
    if isinstance(value, bool):
        return value is False
    return isinstance(value, types) and 0 <= value < inf  # type: ignore[operator]


FLAG: Final = Kind(expected="true or false", accepts=lambda value: isinstance(value, bool))
TEXT: Final = Kind(expected="a string", accepts=lambda value: isinstance(value, str))
TEXTS: Final = Kind(
    expected="a list of strings",
    accepts=lambda value: isinstance(value, list | tuple) and all(isinstance(item, str) for item in value),
)
COUNT: Final = Kind(expected="a whole number, 0 or more", accepts=lambda value: _is_number(value, int))
SECONDS: Final = Kind(expected="a number of seconds, 0 or more", accepts=lambda value: _is_number(value, int, float))
NUMBER: Final = Kind(expected="a number, 0 or more", accepts=lambda value: _is_number(value, int, float))
LEVEL: Final = Kind(
    expected='the name of a logging level such as "INFO", or its number',
    accepts=lambda value: isinstance(value, str | int) and not isinstance(value, bool),
)
TABLE: Final = Kind(expected="a table", accepts=lambda value: isinstance(value, Mapping))

_KINDS: Final = {
    ("debug",): FLAG,
    ("logging", "level"): LEVEL,
    ("logging", "format"): TEXT,
    ("logging", "datefmt"): TEXT,
    ("logging", "extra_loggers"): TEXTS,
    ("flows", "eager_edge_validation"): FLAG,
    ("flows", "run_on_schedule"): FLAG,
    ("tasks", "defaults", "max_retries"): COUNT,
    ("tasks", "defaults", "retry_delay"): SECONDS,
    ("tasks", "defaults", "timeout"): SECONDS,
    ("engine", "executor"): TEXT,
    ("engine", "executors"): TABLE,
    ("engine", "keep_results"): TEXT,
    ("engine", "kept_result_bytes"): COUNT,
    ("engine", "kept_total_bytes"): COUNT,
    ("engine", "cancel_grace"): SECONDS,
    ("history", "record"): FLAG,
    ("history", "store"): TEXT,
    ("history", "keep_days"): NUMBER,
    ("history", "keep_runs"): COUNT,
    ("history", "max_mb"): NUMBER,
    ("history", "log_bytes_per_task"): COUNT,
    ("history", "log_bytes_per_run"): COUNT,
    ("results", "store"): TEXT,
    ("results", "location"): TEXT,
    ("results", "serializer"): TEXT,
    ("cache", "url"): TEXT,
    ("cache", "max_bytes"): COUNT,
    ("cache", "max_age"): SECONDS,
    ("notify", "urls"): TEXTS,
    ("secrets", "providers"): TEXTS,
    ("plugins", "allow"): TEXTS,
    ("plugins", "disabled"): TEXTS,
    ("plugins", "strict"): FLAG,
    ("plugins", "prefer"): TABLE,
    ("plugins", "modules"): TEXTS,
    ("context", "secrets"): TABLE,
}
_TABLES: Final = {path[:length] for path in _KINDS for length in range(1, len(path))}
_OF_TABLES: Final = {("engine", "executors"), ("plugins", "prefer")}
_OPEN: Final = {*_OF_TABLES, ("context",)}


def kind_of(path: Path) -> Kind | None:
    """Return what the key must hold, or None for a key that is not headrace's own."""
    if path in _TABLES or (len(path) == 3 and path[:2] in _OF_TABLES):
        return TABLE
    return _KINDS.get(path)


def is_known(path: Path) -> bool:
    """Tell whether headrace reads the key, or leaves it to somebody else on purpose."""
    if path in _KINDS or any(path[: len(table)] == table for table in _OPEN):
        return True
    sections = {known[0] for known in _TABLES}
    section, *rest = path
    if not rest or section in sections:
        return False
    return not get_close_matches(section.lower(), sections, n=1, cutoff=0.8)
