"""What runs have to do with each other and with people elsewhere: requests to cancel them, and limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from headrace_postgres import slots

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from headrace_postgres.presence import Presence
    from headrace_postgres.recorder import ServerRecorder
    from headrace_postgres.server import Server

__all__ = ["SharedRuns"]


class SharedRuns:
    """See `headrace.history.recording.Sharing`. ``is_alive`` and ``sweep`` are those of the store."""

    def __init__(
        self,
        server: Server,
        presence: Presence,
        recorder: ServerRecorder,
        is_alive: Callable[[str], bool | None],
        sweep: Callable[[], object],
    ) -> None:
        self._server = server
        self._presence = presence
        self._recorder = recorder
        self._is_alive = is_alive
        self._sweep = sweep

    def cancel_request(self, run_id: str) -> str | None:
        """Return why somebody wants a run to end."""
        return self._presence.ask(run_id)[0]

    def limited_tags(self) -> frozenset[str]:
        """Return the tags that have a limit."""
        return self._presence.ask("")[1]

    def take_slots(self, run_id: str, node: int, map_index: int, tags: Collection[str], /) -> bool:
        """Take slots, or a place in line. Called in the thread that writes."""
        schema = self._server.address.schema
        return self._recorder.transact(
            lambda connection: slots.take(connection, schema, run_id, (node, map_index), tags, time.time())
        )

    def free_slots_of_dead(self, run_id: str, /) -> bool:
        """Sweep if another run that has slots, or is in line, is dead; tell whether."""
        with self._server.lease() as connection:
            others = slots.rivals(connection, run_id)
        if not any(self._is_alive(other) is False for other in others):
            return False
        self._sweep()
        return True
