"""The children of this process, also those that it has taken in."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

__all__ = ["children", "end_sessions"]


def children() -> list[int]:
    """Return the children of this process, where the system tells."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
            with suppress(OSError):  # it has ended, or the system does not tell
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def end_sessions(group: int, asked: set[int]) -> None:
    """Send SIGTERM to each child outside of ``group`` that is not in ``asked``, and note it there."""
    for pid in children():
        with suppress(ProcessLookupError, PermissionError):
            if pid not in asked and os.getpgid(pid) != group:
                asked.add(pid)
                os.kill(pid, signal.SIGTERM)
