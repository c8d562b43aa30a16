"""Messages about a run, sent from a thread of their own so that nobody waits for a slow service."""

from __future__ import annotations

from contextlib import ExitStack
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING

from headrace.log import get_logger
from headrace.plugins import StateChange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from headrace.abc import Notifier
    from headrace.log import Logger
    from headrace.plugins import FlowRunInfo, TaskRunInfo
    from headrace.states import State

__all__ = ["NotificationThread"]


class NotificationThread:
    """Hands changes of state to notifiers, in order.

    At most ``size`` changes wait; further ones are dropped and counted. When the run is over, what waits is sent
    before the run returns, for at most ``patience`` seconds.
    """

    watches_tasks = True
    watches_flows = True

    def __init__(self, notifiers: Sequence[Notifier], *, size: int = 10_000, patience: float = 30.0) -> None:
        self._notifiers = notifiers
        self._patience = patience
        self._queue: Queue[tuple[Notifier, StateChange] | None] = Queue(size)
        self._thread = Thread(target=self._send_all, name="headrace-notify", daemon=True)
        self._dropped = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for notifier in self._notifiers:
                notifier.start(stack)
            # All have started; if one had not, the others would be stopped here.
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._queue.put(None, timeout=self._patience)
        except Full:
            pass
        else:
            self._thread.join(self._patience)
        if self._thread.is_alive():
            _logger().warning(
                "Gave up sending after %g s; about %d messages are lost.", self._patience, self._queue.qsize()
            )
        if self._dropped:
            _logger().warning("Dropped %d messages: notifiers were slower than the run.", self._dropped)
        self._stack.close()

    def flow_state_changed(self, run: FlowRunInfo, old: State, new: State) -> None:
        """Queue a change of the flow run."""
        self._offer(StateChange(run=run, task_run=None, old=old, new=new))

    def task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
        """Queue a change of a task run."""
        self._offer(StateChange(run=run, task_run=task_run, old=old, new=new))

    def _offer(self, change: StateChange) -> None:
        for notifier in self._notifiers:
            try:
                if notifier.wants(change):
                    self._queue.put_nowait((notifier, change))
            except Full:
                self._dropped += 1
            except Exception:  # noqa: BLE001 - a plugin's filter may raise anything, and must not end the run
                _logger().exception("Notifier %s could not say whether it wants a message", type(notifier).__name__)

    def _send_all(self) -> None:
        while (item := self._queue.get()) is not None:
            notifier, change = item
            try:
                notifier.notify(change)
            except Exception:  # noqa: BLE001 - a plugin's notifier may raise anything, and must not end the run
                _logger().exception("Notifier %s failed", type(notifier).__name__)


def _logger() -> Logger:
    return get_logger("notify")
