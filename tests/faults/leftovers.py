"""Finding processes that should be gone, whoever their parent is by now, through /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.faults.sidelog import wait_until

MARK = "HEADRACE_FAULTS_MARK"
"""An environment variable: every process that a trial starts inherits it, also when it leaves group and session."""


def marked(mark: str) -> list[int]:
    """Return the processes that carry ``mark`` and run; those that have ended and nobody has asked about do not."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _processes() if pid != os.getpid() and wanted in _environment(pid) and is_running(pid)]


def is_running(pid: int) -> bool:
    """Tell whether a process exists and has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The name before may hold blanks and brackets.
    return status.rpartition(")")[2].split()[0] not in "ZX"


def left(mark: str, seconds: float) -> list[int]:
    """Return the processes that carry ``mark`` and are not gone within ``seconds``."""
    wait_until(lambda: not marked(mark), seconds)
    return marked(mark)


def kill(pids: Sequence[int]) -> None:
    """Kill processes of a trial."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def shown(pid: int) -> str:
    """Return a process as text, for messages."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return f"{pid} ({command[:60].strip()})"
    return str(pid)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
