"""What workers tell the driver while a task runs: that it has begun, what it logs, and that it is over.

Most runs need no mailbox: what is logged travels with the outcome, and nobody has to know when a task began. It is an
actor on the driver's node, made when a task with a timeout is submitted or some task has been running for a while.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BEGUN", "LATE", "RECORDS", "MailReader", "Mailbox"]

BEGUN: Final = "begun"
LATE: Final = "late"
RECORDS: Final = "records"
_FLUSH: Final = "flush"
# Seconds that the mailbox gets to answer; it has nothing to do but that.
_PATIENCE: Final = 10.0
_CLOSING: Final = 1.0


class Mailbox:
    """Keeps letters, each a kind and what it says, until the driver takes them."""

    def __init__(self) -> None:
        self._letters: list[tuple[str, Any]] = []
        self._arrived = asyncio.Event()

    async def put(self, kind: str, content: Any) -> None:
        """Take in a letter."""
        self._letters.append((kind, content))
        self._arrived.set()

    async def take(self) -> list[tuple[str, Any]]:
        """Wait until there are letters and hand them out."""
        await self._arrived.wait()
        self._arrived.clear()
        letters, self._letters = self._letters, []
        return letters


class MailReader:
    """The driver's end; used by one thread. ``ref`` is ready when there are letters to `read`."""

    def __init__(self, name: str) -> None:
        here = ray.get_runtime_context().get_node_id()
        actor: Any = ray.remote(Mailbox)
        self._mailbox = actor.options(
            name=name,
            num_cpus=0,
            # If its node dies it goes on elsewhere, without the letters it had.
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
        ).remote()
        self.ref: Any = self._mailbox.take.remote()

    def read(self) -> list[tuple[str, Any]]:
        """Return the letters that `ref` is ready for."""
        letters: list[tuple[str, Any]] = ray.get(self.ref)
        self.ref = self._mailbox.take.remote()
        return [letter for letter in letters if letter[0] != _FLUSH]

    def flush(self) -> Iterator[tuple[str, Any]]:
        """Yield every letter that was put before now."""
        ray.get(self._mailbox.put.remote(_FLUSH, None), timeout=_PATIENCE)
        found = False
        while not found:
            letters: list[tuple[str, Any]] = ray.get(self.ref, timeout=_PATIENCE)
            self.ref = self._mailbox.take.remote()
            found = any(kind == _FLUSH for kind, _ in letters)
            yield from (letter for letter in letters if letter[0] != _FLUSH)

    def close(self) -> None:
        """End the mailbox, when the last call of it has been answered: Ray complains about others."""
        self._mailbox.put.remote(_FLUSH, None)
        ray.wait([self.ref], timeout=_CLOSING)
        ray.kill(self._mailbox)
