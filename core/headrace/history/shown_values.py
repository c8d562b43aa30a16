"""Values in one short line, for people: without secrets, and never raising."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from headrace.masking import MASK, mask

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["short", "shown_values"]

_SECRET: Final = re.compile(r"passw|secret|token|credential|api_?key|private_?key|(^|_)pwd($|_)", re.IGNORECASE)
_LONGEST: Final = 60


def shown_values(values: Mapping[str, object], longest: int = _LONGEST) -> dict[str, str]:
    """Return values as short texts, with asterisks in place of a secret, and of what has the name of one."""
    return {name: MASK if _SECRET.search(name) else short(value, longest) for name, value in values.items()}


def short(value: object, longest: int = _LONGEST) -> str:
    """Return ``value`` in one line of at most so many characters, without the secrets that this process knows."""
    try:
        text = mask(" ".join(repr(value).split()))
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        text = f"<{type(value).__name__} that cannot be shown>"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
