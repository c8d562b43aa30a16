"""Who drives a run, and whether that process is still there: facts, not heartbeats."""

from __future__ import annotations

import os
from typing import Final

from headrace.history.records import Owner

__all__ = ["has_restarted", "is_running", "looks_alive", "this_process"]

# Where the fields of /proc/PID/stat are, counted from the one after the name of the program.
_STATE: Final = 0
_START_TIME: Final = 19
_DEAD_STATES: Final = frozenset({"Z", "X", "x"})


def this_process() -> Owner:
    """Return what is to be recorded of this process."""
    pid = os.getpid()
    return Owner(
        pid=pid,
        started=_process(pid)[0],
        boot=_text("/proc/sys/kernel/random/boot_id"),
        namespace=_link("/proc/self/ns/pid"),
        host=_host_name(),
    )


def looks_alive(owner: Owner, here: Owner) -> bool | None:
    """Tell whether ``owner`` is a process that lives, as seen from the process ``here``; None if it cannot be told.

    A process that has died and whose parent has not noticed yet is dead.
    """
    if has_restarted(owner, here):
        return False
    if owner.boot != here.boot or owner.host != here.host or owner.namespace != here.namespace:
        return None
    if owner.started is None:
        return None
    return _process(owner.pid) == (owner.started, True)


def is_running(pid: int) -> bool:
    """Tell whether there is a process with an id here, as far as that can be told."""
    return pid == os.getpid() or _process(pid)[1]


def has_restarted(owner: Owner, here: Owner) -> bool:
    """Tell whether the machine of ``owner`` is this one and was restarted since."""
    known = owner.boot is not None and here.boot is not None
    return known and owner.boot != here.boot and owner.host == here.host


def _process(pid: int) -> tuple[str | None, bool]:
    """Return when a process started, None if there is no such process or no telling, and whether it lives."""
    text = _text(f"/proc/{pid}/stat")
    if text is None:
        return None, False
    # The name of the program may hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[_START_TIME], fields[_STATE] not in _DEAD_STATES


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - nothing else here needs pathlib
            return file.read().strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except (OSError, AttributeError):
        return None


def _host_name() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform  # noqa: PLC0415 - only on Windows

    return platform.node()
