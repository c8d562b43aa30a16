"""Looks after the link to the cluster, so that nobody waits for what cannot come any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from headrace.log import get_logger

if TYPE_CHECKING:
    from headrace_dask.session import Session

__all__ = ["Watch"]

# Seconds between two looks.
_EVERY: Final = 0.5
# Seconds of waiting for a worker after which it is said that somebody waits.
_TELL_AFTER: Final = 10.0


class Watch:
    """Ends a session whose scheduler is gone or silent, and work that no worker can take.

    Runs in the thread of Dask's event loop. ``link_timeout`` is how long the scheduler may take to answer, and
    ``worker_timeout`` how long work may wait for a worker, both in seconds.
    """

    def __init__(self, session: Session, link_timeout: float, worker_timeout: float) -> None:
        self._session = session
        self._link_timeout = link_timeout
        self._worker_timeout = worker_timeout
        self._waiting_since: float | None = None
        self._told = False
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look; called in any thread."""
        self._session.client.loop.add_callback(self._start)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._look()), loop.create_task(self._call())]

    def stop(self) -> None:
        """Look no more; called in any thread."""
        self._stopped = True
        with suppress(RuntimeError):  # the loop may be closed
            self._session.client.loop.add_callback(lambda: [task.cancel() for task in self._tasks])

    async def _look(self) -> None:
        try:
            await self._look_until_broken()
        except asyncio.CancelledError:
            # Whoever the client belongs to has closed it, and with it the loop.
            if not self._stopped:
                self._session.break_off("its client was closed")
            raise

    async def _look_until_broken(self) -> None:
        session = self._session
        while session.broken is None:
            if session.client.status != "running":
                session.break_off("the link to its scheduler broke")
            elif session.pending and (session.stuck or not session.workers):
                self._wait_for_workers()
            else:
                self._waiting_since, self._told = None, False
            await asyncio.sleep(_EVERY)

    async def _call(self) -> None:
        """Ask the scheduler for a sign of life: one that is stopped keeps its links."""
        session = self._session
        while session.broken is None:
            await asyncio.sleep(min(5.0, self._link_timeout))
            try:
                await asyncio.wait_for(session.client.scheduler.echo(data=0), self._link_timeout)
            except TimeoutError:
                session.break_off(f"its scheduler has not answered for {self._link_timeout:g} s")
            except (OSError, AttributeError):  # the link is gone, which the other look sees as well
                continue

    def _wait_for_workers(self) -> None:
        session, now = self._session, monotonic()
        self._waiting_since = self._waiting_since or now
        waited = now - self._waiting_since
        if waited >= self._worker_timeout:
            self._waiting_since = None
            session.nobody_came(waited)
        elif waited >= _TELL_AFTER and not self._told:
            self._told = True
            get_logger("dask").warning("%s", session.what_waits())
