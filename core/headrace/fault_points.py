"""Fault points: named places in the code at which a test can have something go wrong.

They do nothing unless the environment variable `VARIABLE` says what is to happen where::

    HEADRACE_FAULT_POINTS="database.commit=kill@3"     kill the process before its third commit
    HEADRACE_FAULT_POINTS="file.written=ENOSPC"        the disk is full each time that a file has been written
    HEADRACE_FAULT_POINTS="*=EIO@12"                   an input or output error at the twelfth point of whatever name
    HEADRACE_FAULT_POINTS="run.ending=pause:5"         wait for five seconds
    HEADRACE_FAULT_POINTS="*=note:points.txt"          write down the names of all points that are reached

``file.*`` stands for all points that begin so. Several faults are separated by commas. Each process counts for itself,
and those that it starts inherit the variable. `POINTS` are the names. No point is where a task run would pay for it:
what is done for each has points only if any is armed.
"""

from __future__ import annotations

import errno
import os
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from headrace.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["POINTS", "VARIABLE", "is_armed", "reached"]

VARIABLE: Final = "HEADRACE_FAULT_POINTS"

POINTS: Final = (
    "file.opened",
    "file.written",
    "file.flushed",
    "file.renamed",
    "file.durable",
    "file.publishing",
    "file.published",
    "database.filled",
    "database.begin",
    "database.begun",
    "database.commit",
    "database.committed",
    "journal.make",
    "journal.made",
    "journal.begun",
    "journal.append",
    "journal.appended",
    "journal.discard",
    "journal.discarded",
    "sweep.claimed",
    "sweep.taken",
    "sweep.ended",
    "run.begin",
    "run.begun",
    "run.ending",
    "run.ended",
)
"""The names of all points, what each says having been done, or being about to be done, when it is reached."""


class _Fault(NamedTuple):
    name: str
    action: str
    detail: str
    at: int | None


class _Armed:
    """What the variable asks for, and how often each point was reached."""

    def __init__(self, text: str) -> None:
        self._faults = [_fault(part.strip()) for part in text.split(",") if part.strip()]
        self._counts = [0] * len(self._faults)

    def reach(self, name: str, error: Callable[[OSError], Exception] | None) -> None:
        for number, fault in enumerate(self._faults):
            if not fnmatchcase(name, fault.name):
                continue
            self._counts[number] += 1
            if fault.at in {None, self._counts[number]}:
                _do(fault, name, error)


@lru_cache(maxsize=1)
def _armed(text: str) -> _Armed:
    return _Armed(text)


def is_armed() -> bool:
    """Tell whether any point does anything."""
    return bool(os.environ.get(VARIABLE))


def reached(name: str, error: Callable[[OSError], Exception] | None = None) -> None:
    """Do what is asked for at the point ``name``.

    May raise OSError, or what ``error`` makes of that where the operating system is not what fails.
    """
    text = os.environ.get(VARIABLE)
    if text:
        _armed(text).reach(name, error)


def _fault(text: str) -> _Fault:
    name, _, rest = text.partition("=")
    action, _, at = rest.rpartition("@") if "@" in rest else (rest, "", "")
    action, _, detail = action.partition(":")
    known = action in {"kill", "pause", "note"} or hasattr(errno, action)
    if not any(fnmatchcase(point, name) for point in POINTS) or not known or (at and not at.isdecimal()):
        raise ConfigError(
            f"The environment variable {VARIABLE} has {text!r}, which is no fault.",
            hint="Write POINT=ACTION or POINT=ACTION@NUMBER; `headrace.fault_points` lists points and actions.",
        )
    return _Fault(name, action, detail, int(at) if at else None)


def _do(fault: _Fault, name: str, error: Callable[[OSError], Exception] | None) -> None:
    if fault.action == "kill":
        import signal  # noqa: PLC0415 - only for tests

        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    elif fault.action == "pause":
        import time  # noqa: PLC0415 - only for tests

        time.sleep(float(fault.detail or "1"))
    elif fault.action == "note":
        with open(fault.detail, "a", encoding="utf-8") as file:  # noqa: PTH123 - only for tests
            file.write(f"{name}\n")
    else:
        number = getattr(errno, fault.action)
        raised = OSError(number, f"{os.strerror(number)} (fault point {name})")
        raise raised if error is None else error(raised)
