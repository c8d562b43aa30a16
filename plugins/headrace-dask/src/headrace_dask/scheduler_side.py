"""What happens in Dask's scheduler: it is kept from running anything twice, and asked what only it knows."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps
from distributed.protocol.serialize import Serialized, deserialize

from headrace_dask.journal import Last, last_of
from headrace_dask.messages import DROPPED, ERRED, GONE, JOINED, LOST, RESTARTED, RUNS, STUCK
from headrace_dask.names import data_name, plugin_name
from headrace_dask.nannies import kill_worker
from headrace_dask.site import close_site

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from distributed.scheduler import Scheduler, WorkerState

__all__ = ["RunGuard", "finish", "kill", "withdraw"]

# How long a nanny may take to answer, in seconds.
_PATIENCE: Final = 10.0
# Seconds after which nothing of a run is on its way any more.
_AFTERWARDS: Final = 1.0
# How many pieces of work are remembered for each worker.
_LATELY: Final = 1000
_NOT_SENT: Final = frozenset({"released", "waiting", "queued", "no-worker"})


class RunGuard(SchedulerPlugin):
    """Watches over the work of one run.

    Dask runs again what was lost: work whose worker died, and finished work whose result was there. Headrace decides
    itself what runs again, so whatever has begun or is finished is made to look to Dask like data, which cannot be
    computed. The process that drives the run is told what happened.
    """

    def __init__(self, token: str, topic: str, client: str, *, owner: bool) -> None:
        self.name = plugin_name(token)
        self._token = token
        self._data = data_name(token)
        self._topic = topic
        self._client = client
        self._owner = owner
        self._nannies: dict[str, str | None] = {}
        # What each worker has done lately: its last word on that may be lost with it.
        self._done: dict[str, deque[int]] = defaultdict(partial(deque, maxlen=_LATELY))
        # Of workers that are gone, what they had while their nannies are asked.
        self._inquiries: dict[str, list[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, scheduler: Scheduler) -> None:
        """Begin to watch."""
        self._scheduler = scheduler
        self._nannies = {address: worker.nanny for address, worker in scheduler.workers.items()}

    def workers(self) -> list[str]:
        """Return the workers that there are."""
        return list(self._scheduler.workers)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Tell that there is another worker."""
        self._nannies[worker] = scheduler.workers[worker].nanny
        self._tell(JOINED, worker)

    def transition(self, key: Any, start: str, finish: str, *_: Any, **about: Any) -> None:
        """Keep finished work from being computed again; tell what becomes of work that is not finished."""
        if not self._is_work(key):
            if start == "memory" and self._is_data(key) and _is_lost(self._scheduler.tasks[key]):
                self._tell(LOST, key)
            return
        task = self._scheduler.tasks[key]
        if finish == "memory":
            task.run_spec = None
            self._done[about.get("worker", "")].append(key[1])
        elif start == "memory":
            # A worker says that it does not have it any more.
            if _is_lost(task):
                self._tell(LOST, key[1])
        elif finish == "erred":
            self._tell_of_error(key, task, about.get("worker"))
        elif finish == "no-worker":
            self._tell(STUCK, key[1])
        elif start == "no-worker":
            self._tell(RUNS, key[1])

    def log_event(self, topic: str, msg: Any) -> None:
        """Take note that a worker is gone, before Dask gives its work to others, and of work that Dask refuses."""
        action = msg.get("action") if isinstance(msg, dict) else None
        if topic == "all" and action == "remove-worker":
            self._worker_is_gone(msg["worker"], msg["processing-tasks"])
            for key in (*msg["lost-computed-tasks"], *msg["lost-scattered-tasks"]):
                if self._is_work(key) or self._is_data(key):
                    self._tell(LOST, key if isinstance(key, str) else key[1])
        elif topic == self._client and action == "update-graph" and msg.get("status") == "cancelled":
            # Of what is sent together, all is refused if some of it needs what was lost meanwhile.
            self._tell(DROPPED, [*chain.from_iterable(self._inquiries.values())])

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Clean up after a process that drove a run and is gone."""
        if client == self._client:
            self._start(self.finish())

    def restart(self, scheduler: Scheduler) -> None:
        """Tell that somebody restarted the cluster."""
        self._tell(RESTARTED)

    def _is_work(self, key: Any) -> bool:
        return type(key) is tuple and len(key) == 2 and type(key[0]) is str and key[0].endswith(self._token)

    def _is_data(self, key: Any) -> bool:
        return type(key) is str and key.startswith(self._data)

    def _tell(self, *message: Any) -> None:
        self._scheduler.log_event(self._topic, [message])

    def _tell_of_error(self, key: Any, task: Any, worker: str | None) -> None:
        # Dask's own verdict on a worker that is gone comes beside ours.
        if worker is None or worker in self._scheduler.workers:
            blamed = task.exception_blame or task
            where = worker or next(iter(blamed.erred_on or ()), None)
            self._tell(ERRED, key[1], where, blamed.exception_text or "")

    # -- workers that are gone -----------------------------------------------------------------------------------

    def _worker_is_gone(self, worker: str, keys: Iterable[Any]) -> None:
        mine = [key for key in keys if self._is_work(key)]
        for key in mine:
            task = self._scheduler.tasks.get(key)
            if task is not None:
                # So Dask forgets it, instead of giving it to another worker.
                task.has_lost_dependencies = True
            # If it was done in the last moment, and said so, its result is not there any more.
            self._tell(LOST, key[1])
        self._inquiries[worker] = [*self._done.pop(worker, ()), *(key[1] for key in mine)]
        self._start(self._inquire(worker))

    async def _inquire(self, worker: str) -> None:
        nanny, tickets = self._nannies.pop(worker, None), self._inquiries[worker]
        last: Last | None = None
        if nanny is not None:
            last = await self._ask_nanny(nanny, last_of, address=worker, token=self._token, tickets=tickets)
        del self._inquiries[worker]
        self._tell(GONE, worker, tickets, last)

    async def _ask_nanny(self, nanny: str, function: Callable[..., Any], **about: Any) -> Any:
        """Return what ``function`` returns in a nanny, or None if that cannot be had."""
        with suppress(Exception):  # it may be gone itself, or be anything
            replies = await asyncio.wait_for(self._broadcast(function, [nanny], **about), _PATIENCE)
            reply = replies[nanny]
            result = reply["result"] if reply["status"] == "OK" else None
            return deserialize(result.header, result.frames) if isinstance(result, Serialized) else result
        return None

    async def _broadcast(self, function: Callable[..., Any], addresses: Collection[str] | None, **about: Any) -> Any:
        message = {"op": "run", "function": dumps(function), "args": dumps(()), "kwargs": dumps(about), "wait": True}
        return await self._scheduler.broadcast(msg=message, workers=addresses, on_error="ignore")

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what the driver asks for --------------------------------------------------------------------------------

    def withdraw(self) -> list[Any]:
        """Take back the work that no worker has, and return its tickets."""
        state = self._scheduler.clients.get(self._client)
        wanted = [task for task in (state.wants_what if state else ()) if self._is_work(task.key)]
        keys: list[Any] = [task.key for task in wanted if task.state in _NOT_SENT]
        self._scheduler.client_releases_keys(keys, self._client, f"headrace-withdraws-{self._token}")
        return [key[1] for key in keys]

    async def kill(self) -> list[Any]:
        """Kill the workers that have work of this run and of nobody else; return the tickets of what dies with them.

        Each worker's end is told as any other.
        """
        dying: list[Any] = []
        for worker in tuple(self._scheduler.workers.values()):
            keys: list[Any] = [task.key for task in worker.processing]
            tickets = [key[1] for key in keys if self._is_work(key)]
            if tickets and self._may_kill(worker) and await self._kill(worker):
                dying += tickets
        return dying

    def _may_kill(self, worker: WorkerState) -> bool:
        if self._owner:
            return True
        keys = [task.key for task in (*worker.processing, *worker.has_what)]
        return all(self._is_work(key) or self._is_data(key) for key in keys)

    async def _kill(self, worker: WorkerState) -> bool:
        return worker.nanny is not None and bool(await self._ask_nanny(worker.nanny, kill_worker))

    async def finish(self) -> None:
        """Leave nothing of the run behind, here and on the workers."""
        with suppress(ValueError):  # it is gone already
            self._scheduler.remove_plugin(self.name)
        with suppress(Exception):  # workers may be anything; what is left there is little
            await asyncio.wait_for(self._broadcast(close_site, None, token=self._token), _PATIENCE)
        self._forget_topic()
        # What was on its way here made it anew.
        asyncio.get_running_loop().call_later(_AFTERWARDS, self._forget_topic)

    def _forget_topic(self) -> None:
        topics = getattr(getattr(self._scheduler, "_broker", None), "_topics", {})
        topics.pop(self._topic, None)


def _is_lost(task: Any) -> bool:
    """Tell whether a value that was there is wanted and cannot be computed."""
    return bool(task.who_wants) and not task.run_spec


def _guard(scheduler: Any, token: str) -> RunGuard | None:
    found: RunGuard | None = scheduler.plugins.get(plugin_name(token))
    return found


def workers(token: str, dask_scheduler: Any = None) -> list[str]:
    """Call `RunGuard.workers` in the scheduler."""
    guard = _guard(dask_scheduler, token)
    return [] if guard is None else guard.workers()


def withdraw(token: str, dask_scheduler: Any = None) -> list[int]:
    """Call `RunGuard.withdraw` in the scheduler."""
    guard = _guard(dask_scheduler, token)
    return [] if guard is None else guard.withdraw()


async def kill(token: str, dask_scheduler: Any = None) -> list[int]:
    """Call `RunGuard.kill` in the scheduler."""
    guard = _guard(dask_scheduler, token)
    return [] if guard is None else await guard.kill()


async def finish(token: str, dask_scheduler: Any = None) -> None:
    """Call `RunGuard.finish` in the scheduler."""
    guard = _guard(dask_scheduler, token)
    if guard is not None:
        await guard.finish()
