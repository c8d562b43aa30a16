"""Asking the nodes how far work is that left together."""

from __future__ import annotations

import time
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

import ray
from ray.exceptions import RayError

from headrace_ray.ledger import look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace_ray.cluster import Connection
    from headrace_ray.flights import Flight
    from headrace_ray.ledger import Findings

__all__ = ["Inquiries", "Report"]

# Seconds that the nodes get to answer; they may have to start a process first.
_PATIENCE: Final = 20.0
# Seconds between looks at whether the run is over.
_OFTEN: Final = 0.2


class Report(NamedTuple):
    """What was found out about a flight, and why it failed, if it has.

    ``findings`` are None if no node knows it; ``certain`` is whether all of them have said so.
    """

    flight: Flight
    error: BaseException | None
    findings: Findings | None
    certain: bool


class Inquiries:
    """Asks about flights in a thread of its own, about all together that there are to ask about."""

    def __init__(self, connection: Connection, tell: Callable[[list[Report]], object]) -> None:
        self._connection = connection
        self._tell = tell
        self._lock = Lock()
        self._open: list[tuple[Flight, BaseException | None]] = []
        self._closed = False
        self._thread: Thread | None = None

    def ask(self, flight: Flight, error: BaseException | None = None) -> None:
        """Find out how far a flight is, which has failed if there is an ``error``; nothing more of it begins."""
        with self._lock:
            self._open.append((flight, error))
            if self._thread is None and not self._closed:
                self._thread = Thread(target=self._run, name="headrace-ray-inquiry", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ask nothing more, since Ray may be about to end."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                asked, self._open = self._open, []
                if self._closed or not asked:
                    self._thread = None
                    return
            try:
                found, certain = self._answers([flight.name for flight, _ in asked])
            except Exception:  # noqa: BLE001 - any of Ray's; then nobody can tell, and that is said of each flight
                found, certain = {}, False
            self._tell([Report(flight, error, found.get(flight.name), certain) for flight, error in asked])

    def _answers(self, names: list[bytes]) -> tuple[dict[bytes, Findings], bool]:
        found: dict[bytes, Findings] = {}
        refs = self._connection.on_each_node(look_up, names)
        deadline = time.monotonic() + _PATIENCE
        certain = True
        while refs and len(found) < len(set(names)):
            if self._closed or time.monotonic() > deadline:
                return found, False
            ready, refs = ray.wait(refs, timeout=_OFTEN)
            try:
                for ref in ready:
                    found |= ray.get(ref)
            except RayError:
                certain = False
        return found, certain
