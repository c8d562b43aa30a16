"""The second Ctrl-C, SIGTERM or SIGHUP, which ends the process at once, wherever its threads are stuck.

The first one is the engine's, or Python's: a signal handler runs in the main thread, and only when that thread gets
to run Python code. This module does without: Python writes each signal's number to a socket, and a thread reads it.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["second_interrupt_ends_process"]

_SIGNALS: Final = frozenset(getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
_PATIENCE: Final = 2.0


@contextmanager
def second_interrupt_ends_process(first: Callable[[], object], second: Callable[[], object]) -> Iterator[None]:
    """Call ``first`` after the first signal inside the block; after another, call ``second`` and end the process.

    Both are called in a thread of their own. Outside of the main thread, which gets the signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reader, first, second), name="headrace-interrupts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        writer.close()
        thread.join(_PATIENCE)
        reader.close()


def _watch(reader: socket.socket, first: Callable[[], object], second: Callable[[], object]) -> None:
    received: list[int] = []
    while numbers := reader.recv(64):
        for number in filter(_SIGNALS.__contains__, numbers):
            received.append(number)
            if len(received) == 1:
                first()
            else:
                _end_process(second, 128 + received[0])


def _end_process(second: Callable[[], object], code: int) -> None:
    """Clean up as far as that goes without waiting for anybody, and exit."""

    def clean_up() -> None:
        with suppress(Exception):
            second()
        # Kills the child processes of tasks, which would live on, and flushes logs.
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit leaves them out, and sys.exit would wait for the main thread
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()

    thread = threading.Thread(target=clean_up, name="headrace-clean-up", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    os._exit(code)
