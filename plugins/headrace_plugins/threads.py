"""The executor ``threads``: tasks side by side in a pool of threads."""

from __future__ import annotations

import os
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from headrace.abc import Executor
from headrace.claims import Claim
from headrace.exceptions import PluginOptionError
from headrace.plugins import ExecutorSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext
    from headrace.engine.worker import Outcome, Work

__all__ = ["ThreadsExecutor"]


class ThreadsExecutor(Executor):
    """Runs up to ``workers`` tasks at the same time, each in a thread of this process.

    Good for work that waits: requests, queries, subprocesses. Python code that computes shares one interpreter.

    Args:
        workers: how many threads; by default four per core, and at least eight.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise PluginOptionError(f"Executor 'threads' needs at least one worker, and got workers={workers}.")
        self.workers = workers or max(8, 4 * (os.cpu_count() or 1))
        self._queue: SimpleQueue[tuple[Work, Callable[[Outcome], object]] | None] = SimpleQueue()
        self._crew: list[_Worker] = []
        self._submitted = 0
        self._claim = Claim()

    @property
    def capacity(self) -> int:
        """Return twice the workers, so that each finds its next task waiting."""
        return 2 * self.workers

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Begin without threads; on exit, stop those that are idle and leave any that is stuck in a task behind."""
        self._claim.take(stack)
        self._queue = SimpleQueue()
        self._crew = []
        self._submitted = 0
        stack.callback(self._stop)

    def _stop(self) -> None:
        # A run that broke off leaves work behind that must not begin now.
        self.withdraw()
        for _ in self._crew:
            self._queue.put(None)
        for worker in self._crew:
            worker.join(0.05 if worker.busy else 5.0)

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Queue ``work`` for the next free thread; start one more if all are busy and there may be more."""
        self._queue.put((work, deliver))
        self._submitted += 1
        if len(self._crew) < self.workers and self._submitted - sum(w.done for w in self._crew) > len(self._crew):
            worker = _Worker(self._queue, len(self._crew))
            self._crew.append(worker)
            worker.start()

    def withdraw(self) -> list[Work]:
        """Take back what no thread has begun."""
        found: list[Work] = []
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return found
            if item is not None:
                found.append(item[0])


class _Worker(Thread):
    """One thread of the pool. A daemon: a task that never ends must not keep the process from ending."""

    def __init__(self, queue: SimpleQueue[tuple[Work, Callable[[Outcome], object]] | None], number: int) -> None:
        super().__init__(name=f"headrace-worker-{number}", daemon=True)
        self._queue = queue
        self.busy = False
        self.done = 0

    def run(self) -> None:
        """Work until told to stop."""
        while (item := self._queue.get()) is not None:
            work, deliver = item
            self.busy = True
            outcome = work()
            self.busy = False
            self.done += 1
            deliver(outcome)
            # What was delivered is the driver's now; holding on to it here would keep a large value alive.
            del item, work, deliver, outcome


@hookimpl
def headrace_executors() -> list[ExecutorSpec]:
    """Offer the executor."""
    return [
        ExecutorSpec(
            name="threads",
            factory="headrace_plugins.threads:ThreadsExecutor",
            summary="Tasks side by side in a pool of threads.",
        )
    ]
