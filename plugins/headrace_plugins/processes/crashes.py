"""What it means that a worker process has ended: the error that its task's state carries."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from headrace.exceptions import ExecutorError, WorkerCrashedError

if TYPE_CHECKING:
    from headrace_plugins.processes.protocol import End

__all__ = ["crash_error", "hung_up_error", "start_error"]

_HINTS = {
    "SIGSEGV": "The usual cause is a fault in an extension module; standard error shows where Python was.",
    "SIGABRT": "The usual cause is a failed check in an extension module; standard error shows where Python was.",
    "SIGBUS": "A file that was mapped into memory may have been truncated, or a disk in memory may be full.",
    "SIGKILL": "Something outside killed it: a person, a supervisor, or a limit of the container.",
    "SIGTERM": "Something outside asked it to end.",
}


def crash_error(task: str, end: End | None) -> WorkerCrashedError:
    """Return the error for a task whose worker ended as ``end`` says; None if nobody knows how."""
    whose = f"The process that ran task {task!r}"
    if end is None:
        return WorkerCrashedError(f"{whose} is gone, together with its supervisor.")
    if not os.WIFSIGNALED(end.status):
        code = os.waitstatus_to_exitcode(end.status)
        return WorkerCrashedError(f"{whose} ended with exit code {code}.", exit_code=code)
    name = _signal_name(os.WTERMSIG(end.status))
    if name == "SIGKILL" and end.out_of_memory:
        return WorkerCrashedError(
            f"{whose} was killed by SIGKILL: the kernel ran out of memory, and it had used up to {_size(end.peak)}.",
            signal=name,
            hint="Use fewer workers, or give the task less to hold at once.",
        )
    return WorkerCrashedError(f"{whose} was killed by {name}.", signal=name, hint=_HINTS.get(name))


def hung_up_error(task: str) -> WorkerCrashedError:
    """Return the error for a task whose process can send nothing any more, and was killed."""
    return WorkerCrashedError(
        f"The process that ran task {task!r} has closed its connection to the run, and was killed.",
        hint="The task may close files that it has not opened.",
    )


def start_error(end: End | None) -> ExecutorError:
    """Return the error for workers that cannot be started, or end before they have done anything."""
    if end is not None and end.status == -1:
        return ExecutorError(
            f"Executor 'processes' cannot start a worker: {os.strerror(end.peak)}.",
            hint="The machine may have no memory or no process numbers left.",
        )
    return ExecutorError(
        "The workers of executor 'processes' end before they do anything; the last one "
        + str(crash_error("none", end)).partition("task 'none' ")[2],
        hint="Standard error may say why. With a `memory_limit`, it may be too small for what `preload` imports.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
