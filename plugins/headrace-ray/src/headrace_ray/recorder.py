"""What tasks log and print in a worker process: collected for the outcome, or mailed while the task goes on."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError

from headrace.remote import RecordForwarder
from headrace.whereabouts import place_of
from headrace_ray.mailbox import BEGUN, LATE, RECORDS
from headrace_ray.records import Printed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.engine.worker import Work
    from headrace.history.log_capture import TaskPrints
    from headrace.remote import Levels
    from headrace.whereabouts import Place
    from headrace_ray.records import Said
    from headrace_ray.worker import Head, Reply

__all__ = ["Recorder", "wait_for_the_end"]

# Seconds for which a record waits for the outcome.
_PATIENCE: Final = 1.0
# Seconds that the mailbox gets to answer.
_MAIL_SECONDS: Final = 30.0
_NOBODY: Final = nullcontext()


class Recorder:
    """Collects what is said while a task runs. One for each worker process, which runs one task at a time."""

    def __init__(self) -> None:
        self._forwarder = RecordForwarder(self._take)
        self._levels: Levels | None = None
        # The collector of garbage may print more while this is held.
        self._lock = threading.RLock()
        self._records: list[Said] = []
        self._prints: TaskPrints | None = None
        self._something = threading.Event()
        self._mailman: threading.Thread | None = None
        # The name of the mailbox while a task runs, and what answers when it has taken the last letter.
        self._address = ""
        self._receipt: Any = None

    @contextmanager
    def recording(self, head: Head, work: Work) -> Iterator[Recorder]:
        """Collect what is logged inside the block, and printed if the driver wants that.

        If the task has a timeout, the driver knows that it has begun.
        """
        if head.levels != self._levels:
            head.levels.apply()
            self._levels = head.levels
        self._records, self._receipt, self._address = [], None, head.mailbox
        self._forwarder.place = place_of(work) if head.prints else None
        self._prints = None if self._forwarder.place is None else self._prints_of(self._forwarder.place)
        logging.root.addHandler(self._forwarder)
        try:
            with self._prints or _NOBODY:
                if head.timed:
                    _tell_that_it_begins(head.mailbox, work.key)
                yield self
        finally:
            logging.root.removeHandler(self._forwarder)
            self._address = ""

    def _prints_of(self, place: Place) -> TaskPrints:
        from headrace.history.log_capture import TaskPrints

        return TaskPrints(place, self._print)

    def rest(self) -> tuple[list[Said], bool]:
        """Return the records that are left for the outcome, and whether others were mailed and have arrived."""
        if self._prints is not None:
            self._prints.finish()
        with self._lock:
            self._address = ""
            records, self._records = self._records, []
        if self._receipt is None:
            return records, False
        try:
            ray.get(self._receipt, timeout=_MAIL_SECONDS)
        except RayError:
            return records, False
        return records, True

    def _take(self, said: Said) -> None:
        with self._lock:
            self._records.append(said)
        self._something.set()
        if self._mailman is None:
            self._mailman = threading.Thread(target=self._mail_for_ever, name="headrace-mailman", daemon=True)
            self._mailman.start()

    def _print(self, place: Place, stream: str, text: str) -> None:
        self._take(Printed(place, stream, text, time.time()))

    def _mail_for_ever(self) -> None:
        while True:
            self._something.wait()
            self._something.clear()
            time.sleep(_PATIENCE)
            with self._lock:
                if self._address and self._records and not self._mailed():
                    # The driver makes the mailbox when it sees that a task takes long.
                    self._something.set()

    def _mailed(self) -> bool:
        try:
            mailbox: Any = ray.get_actor(self._address)
            self._receipt = mailbox.put.remote(RECORDS, self._records)
        except (ValueError, RayError):
            return False
        self._records = []
        return True


def _tell_that_it_begins(address: str, key: int) -> None:
    try:
        _mail(address, BEGUN, key)
    except (ValueError, RayError) as error:
        logging.getLogger("headrace.ray").warning(
            "The driver cannot be told that a task with a timeout begins, and so cannot kill it: %s", error
        )


def wait_for_the_end(address: str, key: int, reply: Reply) -> None:
    """Tell the driver that a task was interrupted at its deadline; it ends this process, and what the task has started.

    Returns if the driver does not, so that the reply goes the usual way.
    """
    try:
        _mail(address, LATE, (key, reply))
    except (ValueError, RayError):
        return
    time.sleep(_MAIL_SECONDS)


def _mail(address: str, kind: str, content: object) -> None:
    mailbox: Any = ray.get_actor(address)
    ray.get(mailbox.put.remote(kind, content), timeout=_MAIL_SECONDS)
