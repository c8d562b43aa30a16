"""What a worker tells the process that drives a run, several things at a time where that does not matter."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["Outbox"]

# How long messages are gathered that nobody is in a hurry for, in seconds, and how many at most.
_GATHER: Final = 0.005
_MANY: Final = 100


class Outbox:
    """Sends messages under one topic, in order. Used from any thread."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._messages: list[tuple[Any, ...]] = []
        self._lock = Lock()
        self._closed = False

    def put(self, *message: Any, urgent: bool = False) -> None:
        """Send a message with the others that come soon, or now if it is urgent."""
        with self._lock:
            self._messages.append(message)
            waiting = len(self._messages)
        loop = self._worker.loop
        if urgent or waiting == _MANY:
            loop.add_callback(self.send)
        elif waiting == 1:
            loop.add_callback(loop.call_later, _GATHER, self.send)

    def send(self) -> None:
        """Send what has been gathered; called in the thread of the worker's event loop."""
        with self._lock:
            messages, self._messages = self._messages, []
        if messages and not self._closed:
            self._worker.log_event(self._topic, messages)

    def close(self) -> None:
        """Send nothing more: nobody listens."""
        self._closed = True
