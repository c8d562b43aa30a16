"""Signals in processes that tasks fork: they do there what they do in any program, and not what they do in a run.

A handler in Python is no good in a copy of the process. A signal that comes while Python makes ready after the fork is
forgotten, and where the copy waits in C code, a handler might never run: `multiprocessing.Pool.terminate` would wait
for its workers for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["reset_in_forks"]


def reset_in_forks(defaults: Mapping[int, Any], is_ours: Callable[[object], bool]) -> None:
    """Give signals their ``defaults`` back in every process that this one forks, before any of them can come there.

    That goes for those whose handler ``is_ours`` at the time. It holds until this process ends. Where processes do not
    fork, it does nothing.
    """
    held = threading.local()

    def hold() -> None:
        held.before = signal.pthread_sigmask(signal.SIG_BLOCK, defaults)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.before)

    def go_on_in_copy() -> None:
        for number, default in defaults.items():
            if is_ours(signal.getsignal(number)):
                signal.signal(number, default)
        go_on()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=go_on_in_copy)
