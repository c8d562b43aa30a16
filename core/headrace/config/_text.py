"""Reading strings: references to variables and to other keys, and Python literals."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.config._kinds import FLAG, TEXT

if TYPE_CHECKING:
    from headrace.config._kinds import Kind

_TOKEN: Final = re.compile(r"\$\{|\}|\$[A-Za-z_][A-Za-z0-9_]*")
_FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """``$NAME``, or ``${...}``, whose name may hold references itself."""

    name: list[str | Reference]
    braced: bool


def parse(text: str) -> list[str | Reference]:
    """Return the plain pieces of ``text`` and its references; a ``${`` that is never closed is plain."""
    open_parts: list[list[str | Reference]] = [[]]
    end = 0
    for token in _TOKEN.finditer(text):
        parts = open_parts[-1]
        if token.start() > end:
            parts.append(text[end : token.start()])
        end = token.end()
        if token.group() == "${":
            open_parts.append([])
        elif token.group() != "}":
            parts.append(Reference(name=[token.group()[1:]], braced=False))
        elif len(open_parts) == 1:
            parts.append("}")
        else:
            open_parts.pop()
            open_parts[-1].append(Reference(name=parts, braced=True))
    if end < len(text):
        open_parts[-1].append(text[end:])
    return _with_unclosed(open_parts)


def _with_unclosed(open_parts: list[list[str | Reference]]) -> list[str | Reference]:
    parts = open_parts[0]
    for unclosed in open_parts[1:]:
        parts += ["${", *unclosed]
    return parts


def typed(text: str, kind: Kind | None) -> object:
    """Return the value that ``text`` spells, or ``text`` itself where a string is what the key holds."""
    if kind is FLAG and text in {"0", "1"}:
        return text == "1"
    value = _literal(text)
    return text if kind is TEXT and not isinstance(value, str) else value


def _literal(text: str) -> object:
    flag = _FLAGS.get(text.strip().lower())
    if flag is not None:
        return flag
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the text is data: `"\d"` is no mistake in anybody's code
            value: object = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    return text if value is ... else value
