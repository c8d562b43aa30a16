"""Log records of a worker process: collected for the outcome, or mailed while the task goes on."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import ray

from headrace.remote import RecordForwarder
from headrace_ray.mailbox import BEGUN, RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.remote import Levels
    from headrace_ray.worker import Head

__all__ = ["Recorder"]

# Seconds for which records may wait for the outcome.
_PATIENCE: Final = 1.0
# Records that are kept in memory at most before they are mailed.
_MOST_WAITING: Final = 1000
_MAIL_SECONDS: Final = 30.0


class Recorder:
    """Collects what is logged while one task runs. One for each worker process, which runs one task at a time."""

    def __init__(self) -> None:
        self._forwarder = RecordForwarder(self._take)
        self._levels: Levels | None = None
        self._records: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._mailman: _Mailman | None = None
        self._mailed: Any = None
        self._mailbox: Any = None
        self._mailbox_name = ""

    @contextmanager
    def recording(self, head: Head, key: int) -> Iterator[Recorder]:
        """Collect what is logged inside the block; first tell the driver that a task with a timeout begins."""
        ...
