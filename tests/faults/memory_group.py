"""A control group that limits memory, so that the kernel kills for want of it and the machine does not notice."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup/memory")


def enter(name: str, limit: int) -> bool:
    """Move this process into a new group below its own; return False where that cannot be done.

    Needs the right to do so, and control groups of version 1: in version 2, a group that has processes cannot have
    limited groups below it.
    """
    try:
        group = _folder(name)
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        remove(name)
        return False
    return True


def remove(name: str) -> None:
    """Remove a group whose processes have ended, if there is one."""
    with suppress(OSError):
        _folder(name).rmdir()


def _folder(name: str) -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory" and _ROOT.is_dir():
            return _ROOT / path.lstrip("/") / name
    raise FileNotFoundError("This system has no memory controller of version 1.")
