"""Ctrl-C while a run is in progress.

The first one lets the driver end the run in order. If it comes while a task runs in this very thread, it is raised
there, as Python would. The second one is raised at once, wherever it lands.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from headrace.engine.worker import Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from types import CodeType, FrameType, TracebackType
    from typing import Self

__all__ = ["Interrupts"]

_CALLING_A_TASK = Work.__call__.__code__


class Interrupts:
    """Counts Ctrl-C while entered; ``pending`` says that the driver has not reacted yet.

    Only the main thread can receive signals; entered in any other thread, this does nothing. ``driving`` is the code
    that a driver spends its life in, and ``hand_on`` tells the runs inside this one.
    """

    def __init__(
        self,
        inbox: SimpleQueue[Any],
        *,
        driving: CodeType | None = None,
        hand_on: Callable[[], object] | None = None,
    ) -> None:
        self.count = 0
        self.pending = False
        self._inbox = inbox
        self._driving = driving
        self._hand_on = hand_on
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if previous is signal.default_int_handler:
                self._previous = previous
                signal.signal(signal.SIGINT, self._received)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def raised_by_a_task(self) -> None:
        """Count a KeyboardInterrupt that came out of a task, with or without a signal; pass a second one on."""
        if self.count > 1:
            raise KeyboardInterrupt
        self.count = 1

    def _received(self, _number: int, frame: FrameType | None) -> None:
        if self.count > 0:
            self.count += 1
            raise KeyboardInterrupt
        self.request()
        if self._runs_a_task(frame):
            raise KeyboardInterrupt

    def request(self) -> None:
        """Ask the driver to end the run in order. May be called from any thread."""
        self.count = max(self.count, 1)
        self.pending = True
        # Wakes a driver that waits; SimpleQueue.put is safe in a signal handler.
        self._inbox.put(None)
        if self._hand_on is not None:
            self._hand_on()

    def _runs_a_task(self, frame: FrameType | None) -> bool:
        """Tell whether user code, called by a task, is what was interrupted, and not a driver inside a task."""
        inside = None
        while frame is not None and frame.f_code is not self._driving:
            if frame.f_code is _CALLING_A_TASK:
                return inside is not None
            inside = frame
            frame = frame.f_back
        return False
