"""Asking at the terminal which paused tasks may go on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ask_on_terminal"]


def ask_on_terminal(names: Sequence[str]) -> list[str]:
    """Ask about each of ``names`` and return those that may go on; none if nobody sits at a terminal.

    Enter, or anything but ``y`` or ``yes``, leaves a task paused; so does the end of the input.
    """
    if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return []
    return [name for name in names if _agreed(f"Task {name!r} is paused. Resume it now? [y/N] ")]


def _agreed(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
