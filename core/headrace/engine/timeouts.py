"""Soft timeouts: a call that takes too long is given up, and its code stopped if that can be done.

In the main thread of a POSIX process a timer signal interrupts Python code and most system calls. In any other thread
nothing can stop running code: the call goes on in a thread of its own, which is reported, while the run goes on.
"""

from __future__ import annotations

import contextvars
import signal
import threading
from typing import TYPE_CHECKING, Any

from headrace.exceptions import TaskTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["call_in_time", "timeout_error"]


class _OutOfTime(BaseException):
    """Raised by the timer inside the task; no Exception, so that the task's own handlers let it pass."""


def call_in_time(function: Callable[..., Any], arguments: Mapping[str, Any], seconds: float, name: str) -> Any:
    """Return ``function(**arguments)``; raise TaskTimeoutError if it takes longer than ``seconds``.

    No wait is longer than the system can wait, which is 292 years on POSIX.
    """
    seconds = min(seconds, threading.TIMEOUT_MAX)
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        return _call_with_timer(function, arguments, seconds, name)
    return _call_in_thread(function, arguments, seconds, name)


def timeout_error(name: str, seconds: float) -> TaskTimeoutError:
    """Return the error of a task run that took too long."""
    return TaskTimeoutError(f"Task {name!r} took longer than its timeout of {seconds:g} s.")


def _call_with_timer(function: Callable[..., Any], arguments: Mapping[str, Any], seconds: float, name: str) -> Any:
    def out_of_time(*_: object) -> None:
        raise _OutOfTime

    previous = signal.signal(signal.SIGALRM, out_of_time)
    left_before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function(**arguments)
    except _OutOfTime as error:
        raise timeout_error(name, seconds) from error.__cause__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if left_before:
            # An alarm of the user's own goes on; it may come late by as much as this call took.
            signal.setitimer(signal.ITIMER_REAL, left_before)


def _call_in_thread(function: Callable[..., Any], arguments: Mapping[str, Any], seconds: float, name: str) -> Any:
    call = _Call(function, arguments)
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(call,), name=f"headrace-timeout-{name}", daemon=True)
    thread.start()
    if call.done.wait(seconds):
        return call.result()
    from headrace.log import get_logger  # noqa: PLC0415 - most calls end in time

    get_logger(name).warning("The timeout of %g s has passed; the code goes on in thread %r.", seconds, thread.name)
    raise timeout_error(name, seconds)


class _Call:
    """A call made in another thread, and what came of it."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self.done = threading.Event()
        self._function = function
        self._arguments = arguments
        self._value: Any = None
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._value = self._function(**self._arguments)
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that waits
            self._error = error
        finally:
            self.done.set()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value
