"""Ctrl-C while a run is in progress, and the other signals that ask a process to end: SIGTERM and SIGHUP.

The first one lets the driver end the run in order. If it comes while a task runs in this very thread, it is raised
there, as Python would raise Ctrl-C. The second one is raised at once, wherever it lands.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.worker import Work
from headrace.forked_signals import reset_in_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from queue import SimpleQueue
    from types import CodeType, FrameType, TracebackType
    from typing import Self

    from headrace.states import State

__all__ = ["Interrupts", "Order", "Terminated"]

_CALLING_A_TASK: Final = Work.__call__.__code__
# With the handlers of a program that does nothing about them: one that does goes on doing that.
_SIGNALS: Final[Mapping[int, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    **({signal.SIGHUP: signal.SIG_DFL} if hasattr(signal, "SIGHUP") else {}),  # Windows has none
}


# What makes the main thread look up from whatever it does: a signal that nobody else sends, and that does nothing by
# itself. Windows has none: there, an order waits for what runs in the main thread.
_BELL: Final[int] = getattr(signal, "SIGURG", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Why a run is to end although nobody has pressed Ctrl-C: it ends in a state, and raises nothing.

    ``about_tasks`` is the message of those tasks that had not begun.
    """

    ends_in: State
    about_tasks: str


class Terminated(SystemExit):
    """Ends the process after a signal asked for that; its code is 128 and the number of the signal."""


class Interrupts:
    """Counts signals while entered; ``pending`` says that the driver has not reacted yet.

    Only the main thread can receive signals; entered in any other thread, this does nothing. ``driving`` is the code
    that a driver spends its life in, and ``hand_on`` tells the runs inside this one. ``number`` is the signal that was
    the first. ``order`` is the order that came before any signal, see `give`; ``listens`` says that there may be one.
    """

    def __init__(
        self,
        inbox: SimpleQueue[Any],
        *,
        driving: CodeType | None = None,
        hand_on: Callable[[], object] | None = None,
        listens: bool = False,
    ) -> None:
        self.count = 0
        self.number: int = signal.SIGINT
        self.pending = False
        self._at_once = False
        self._inbox = inbox
        self._driving = driving
        self._hand_on = hand_on
        self._listens = listens
        self.order: Order | None = None
        self._given: Order | None = None
        self._has_bell = False
        # That of the run around this one, if it is driven in this thread as well.
        self._outer: Interrupts | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            _leave_forks_alone()
            for number, default in _SIGNALS.items():
                if signal.getsignal(number) is default:
                    self._previous[number] = default
                    signal.signal(number, self._received)
            if self._listens and _BELL:
                self._hang_bell(_BELL)
        return self

    def _hang_bell(self, number: int) -> None:
        previous = signal.getsignal(number)
        outer = getattr(previous, "__self__", None)
        if isinstance(outer, Interrupts):
            self._outer = outer
        elif previous is not signal.SIG_DFL:
            return
        self._previous[number] = previous
        signal.signal(number, self._rung)
        self._has_bell = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._has_bell = False
        while self._previous:
            signal.signal(*self._previous.popitem())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for the first signal, or for an order, wherever it lands."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Be entered for the time being, and raise KeyboardInterrupt for the first signal wherever it lands."""
        with self.at_once(), self:
            yield

    def error(self) -> BaseException:
        """Return what is raised when all is over, so that the process ends as it was asked to."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else Terminated(128 + self.number)

    def raised_by_a_task(self) -> None:
        """Count a KeyboardInterrupt that came out of a task, with or without a signal; pass a second one on."""
        if self.count > 1:
            raise self.error()
        self.count = 1

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.count > 0:
            self.count += 1
            raise self.error()
        self.number = number
        self.request()
        if self._at_once or self._runs_a_task(frame):
            raise KeyboardInterrupt

    def give(self, order: Order) -> bool:
        """Let the run end as ``order`` says; tell whether it is ending. Called in another thread, until it is."""
        if self.count == 0:
            self._given = order
            if self._has_bell and hasattr(signal, "pthread_kill"):
                # It is obeyed where it is known what runs: what cleans up after that must not be interrupted.
                signal.pthread_kill(threading.main_thread().ident or 0, _BELL)
            else:
                self._obey()
        return self.count > 0

    def _obey(self) -> bool:
        if self._given is None or self.count > 0:
            return False
        self.order = self._given
        self.request()
        return True

    def _rung(self, _number: int, frame: FrameType | None) -> None:
        obeyed, each = False, self
        while True:
            obeyed = each._obey() or obeyed
            if each._outer is None:
                break
            each = each._outer
        if obeyed and (self._at_once or self._runs_a_task(frame)):
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


@cache
def _leave_forks_alone() -> None:
    """See to it, once, that what tasks fork has no part in how a run ends."""
    reset_in_forks(_SIGNALS, lambda handler: isinstance(getattr(handler, "__self__", None), Interrupts))
