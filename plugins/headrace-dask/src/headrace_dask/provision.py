"""Values on the cluster: brought there for the work that needs them, and fetched from there."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from headrace_dask.names import data_name
from headrace_dask.references import Kept, Lender, Missing, unavailable
from headrace_dask.site import take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from headrace.exceptions import HeadraceError

__all__ = ["Provision"]

# How often somebody who waits for a value looks whether there still is a cluster, in seconds.
_LOOK: Final = 1.0


class Provision(Lender):
    """Knows where the values of one run are. Used in the thread of Dask's event loop, but for `upload` and `fetch`."""

    def __init__(self, client: Client, token: str) -> None:
        self.closed: HeadraceError | None = None
        self.data: WeakValueDictionary[str, Kept] = WeakValueDictionary()
        self._client = client
        self._name = data_name(token)
        self._numbers = count()
        self._queue: dict[int, Kept] = {}

    def provide(self, kept: Kept) -> HeadraceError | None:
        """See to it that a value is there once `send` was called; return why it cannot be."""
        if kept.origin is not None:
            error = self.provide(kept.origin[0])
            if error is not None:
                return error
            # The whole may have been made once more.
            kept.lost = kept.lost or ("" if kept.basis is not kept.origin[0].future else None)
        if kept.future is not None and kept.lost is None:
            return None
        if kept.origin is None and kept.again is None:
            return unavailable(kept, kept.lost or "it is gone")
        self._queue[id(kept)] = kept
        return None

    def send(self) -> None:
        """Have the values made that `provide` found missing."""
        queue, self._queue = [*self._queue.values()], {}
        calls = defaultdict(list)
        for kept in queue:
            if kept.again is not None:
                calls[kept.again.function].append(kept)
        for function, together in calls.items():
            self._map(function, together, [kept.again.data() for kept in together if kept.again is not None])
        parts = [kept for kept in queue if kept.origin is not None]
        if parts:
            origins = [kept.origin for kept in parts if kept.origin is not None]
            self._map(take, parts, [whole.future for whole, _ in origins], [index for _, index in origins])

    def _map(self, function: Any, together: list[Kept], *arguments: list[Any]) -> None:
        keys = [self._key() for _ in together]
        futures = self._client.map(function, *arguments, key=keys, pure=False, fifo_timeout="0s")
        for kept, key, future in zip(together, keys, futures, strict=True):
            self._note(kept, key, future)

    def _key(self) -> str:
        return f"{self._name}-{next(self._numbers)}"

    def _note(self, kept: Kept, key: str, future: Any) -> None:
        kept.future, kept.lost = future, None
        kept.basis = None if kept.origin is None else kept.origin[0].future
        self.data[key] = kept

    def upload(self, kept: Kept, data: bytes) -> None:
        """Bring a large value to the cluster now; if that cannot be done, it is made when it is needed."""
        key = self._key()
        with suppress(Exception):  # there may be no worker yet, or no cluster any more, which shows soon enough
            self._note(kept, key, self._client.scatter({key: data}, hash=False)[key])

    # -- back ----------------------------------------------------------------------------------------------------

    def fetch(self, kept: Sequence[Kept]) -> list[Any | Missing]:
        if self._is_over():
            return self._nothing(kept)
        waiting = asyncio.run_coroutine_threadsafe(self._fetch(kept), self._client.loop.asyncio_loop)
        while True:
            try:
                return waiting.result(_LOOK)
            except NotYetError:
                if self._is_over():
                    waiting.cancel()
                    return self._nothing(kept)

    def _is_over(self) -> bool:
        return self.closed is not None

    def _nothing(self, kept: Sequence[Kept]) -> list[Any | Missing]:
        return [Missing(unavailable(each, self.closed or "there is no cluster")) for each in kept]

    async def _fetch(self, kept: Sequence[Kept]) -> list[Any | Missing]:
        errors = [self.provide(each) for each in kept]
        self.send()
        there = [each for each, error in zip(kept, errors, strict=True) if error is None]
        values = iter(await self._gathered(there))
        return [
            next(values) if error is None else Missing(unavailable(each, error))
            for each, error in zip(kept, errors, strict=True)
        ]

    async def _gathered(self, kept: list[Kept]) -> list[Any | Missing]:
        try:
            found: list[Any] = await self._client.gather([each.future for each in kept], asynchronous=True)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - reading a value back runs code of others
            if len(kept) == 1:
                return [Missing(unavailable(kept[0], error))]
            return [value for each in kept for value in await self._gathered([each])]
        return found
