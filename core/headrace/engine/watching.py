"""What comes to a run from outside while it goes on: a request to cancel it, limits that change, its deadline."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from headrace.engine.interrupts import Order
from headrace.exceptions import HistoryError
from headrace.states import Cancelled, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from headrace.abc import RunJournal

__all__ = ["Watch", "cancel_order", "timeout_order"]

_PAUSE: Final = 0.25
_PATIENCE: Final = 5.0


def cancel_order(reason: str) -> Order:
    """Return what a run is told that somebody wants to end."""
    message = f"The run was cancelled on request: {reason}" if reason else "The run was cancelled on request."
    return Order(ends_in=Cancelled(message), about_tasks="The run was cancelled before this task began.")


def timeout_order(seconds: float) -> Order:
    """Return what a run is told that has taken too long."""
    message = f"The run took longer than its timeout of {seconds:g} s."
    return Order(ends_in=TimedOut(message), about_tasks="The timeout of the run passed before this task began.")


class Watch:
    """A thread that looks a few times a second, while entered.

    ``give`` is called with an order that the run has got, again and again until it returns True; ``limit`` with the
    tags that have a limit, when these have changed. ``journal`` is None for a run that is not recorded, which only
    has a ``timeout``, in seconds from now.
    """

    def __init__(
        self,
        give: Callable[[Order], bool],
        limit: Callable[[frozenset[str]], object],
        journal: RunJournal | None,
        limited: frozenset[str],
        timeout: float | None,
    ) -> None:
        self._give = give
        self._limit = limit
        self._journal = journal
        self._limited = limited
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="headrace-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)

    def _look(self) -> None:
        order: Order | None = None
        while not self._over.wait(self._pause()):
            order = order or self._order()
            if order is not None and self._give(order):
                return
            self._look_at_limits()

    def _pause(self) -> float:
        if self._deadline is None:
            return _PAUSE
        left = max(0.01, self._deadline - time.monotonic())
        # Without a journal there is nothing else to look at; longer than a day a thread cannot wait everywhere.
        return min(_PAUSE if self._journal is not None else 86_400.0, left)

    def _order(self) -> Order | None:
        if self._deadline is not None and self._timeout is not None and time.monotonic() >= self._deadline:
            return timeout_order(self._timeout)
        reason = None if self._journal is None else self._journal.cancel_request()
        return None if reason is None else cancel_order(reason)

    def _look_at_limits(self) -> None:
        if self._journal is None:
            return
        try:
            limited = self._journal.limited_tags()
        except HistoryError:
            # If the history is gone, the thread that drives the run is told when it writes.
            return
        if limited != self._limited:
            self._limited = limited
            self._limit(limited)
