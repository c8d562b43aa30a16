"""The workers of a pool and the supervisor that makes their processes."""

from __future__ import annotations

import selectors
from collections import deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Final

from headrace.exceptions import ExecutorError
from headrace.log import get_logger
from headrace_plugins.processes.jobs import WorkerHandle
from headrace_plugins.processes.output import Output

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from headrace.whereabouts import Place
    from headrace_plugins.processes.link import Supervisor
    from headrace_plugins.processes.protocol import End
    from headrace_plugins.processes.supervisor import Setup

__all__ = ["Crew"]

_MOST_SUPERVISORS: Final = 5


class Crew:
    """Up to ``size`` workers that get jobs, and those that end. Not for several threads at once.

    ``selector`` is told of every connection: with the worker as its data, or None for that of the supervisor.
    ``new_supervisor`` starts the process that makes processes, and ``new_file`` makes files for what is large.
    ``take_output`` gets what workers write, if anybody wants it.
    """

    def __init__(
        self,
        setup: Setup,
        size: int,
        selector: selectors.BaseSelector,
        new_supervisor: Callable[[Setup], Supervisor],
        new_file: Callable[[], int],
        take_output: Callable[[Place, str, str], object] | None = None,
    ) -> None:
        self._setup = setup
        self._size = size
        self._selector = selector
        self._new_supervisor = new_supervisor
        self._new_file = new_file
        self._take_output = take_output
        self._supervisors_left = _MOST_SUPERVISORS
        self._workers: dict[int, WorkerHandle] = {}
        self._idle: deque[WorkerHandle] = deque()
        self._ids = count(1)
        self._supervise()

    def __iter__(self) -> Iterator[WorkerHandle]:
        return iter(list(self._workers.values()))

    @property
    def active(self) -> int:
        """How many workers there are that get jobs."""
        return sum(not worker.retired for worker in self._workers.values())

    # -- workers that get jobs -----------------------------------------------------------------------------------

    def prepare(self, workers: int) -> None:
        """Have workers started in the background."""
        with suppress(OSError):  # if there can be none at all, the first job says why
            self._idle.extend(filter(None, [self._new_worker() for _ in range(min(workers, self._size))]))

    def free(self) -> WorkerHandle | None:
        """Return a worker that has no job, or None for none; raise OSError if there can be no worker at all."""
        if self._idle:
            return self._idle.popleft()
        return self._new_worker() if self.active < self._size else None

    def _new_worker(self) -> WorkerHandle | None:
        try:
            worker = WorkerHandle(next(self._ids), self._supervisor, self._new_file, self._output())
        except ConnectionError:  # the supervisor has died, which is about to be heard
            return None
        except OSError:
            if self.active:  # those have to do
                return None
            raise
        self._workers[worker.id] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        for reader in () if worker.output is None else worker.output.readers:
            self._selector.register(reader, selectors.EVENT_READ, worker)
        return worker

    def _output(self) -> Output | None:
        return None if self._take_output is None else Output(self._take_output, self._setup.token)

    def read_output(self, worker: WorkerHandle) -> None:
        """Read what a worker has written; its `Output` is to hand it on."""
        if worker.output is not None:
            for reader in worker.output.read():
                self._selector.unregister(reader)
                reader.close()

    def busy(self) -> WorkerHandle | None:
        """Return the worker with the fewest jobs where a quick one may wait, or None."""
        found = [worker for worker in self._workers.values() if worker.takes_another]
        return min(found, key=lambda worker: len(worker.jobs), default=None)

    def rest(self, worker: WorkerHandle) -> None:
        """Take in a worker that has no job."""
        self._idle.append(worker)

    def watch(self, worker: WorkerHandle) -> None:
        """Let the selector tell when there is room for what could not be sent to a worker."""
        worker.is_watched = worker.channel.has_unsent
        writing = selectors.EVENT_WRITE if worker.is_watched else 0
        self._selector.modify(worker.channel, selectors.EVENT_READ | writing, worker)

    # -- workers that end ----------------------------------------------------------------------------------------

    def signal(self, worker: WorkerHandle, number: signal.Signals) -> None:
        """Have a worker and what it has started sent a signal."""
        self._supervisor.signal(worker.id, number)

    def kill(self, worker: WorkerHandle) -> None:
        """Have a worker and all that it has started killed."""
        self._supervisor.kill(worker.id)

    def hear_of_end(self) -> End | None:
        """Return the next word of a worker's end, or None when the supervisor has died."""
        return self._supervisor.receive()

    def find(self, id_: int) -> WorkerHandle | None:
        """Return a worker that is not over yet."""
        return self._workers.get(id_)

    def listen_no_more(self, worker: WorkerHandle) -> None:
        """Note that a worker has said its last words."""
        self._selector.unregister(worker.channel)
        worker.closed = worker.retired = True
        with suppress(ValueError):
            self._idle.remove(worker)

    def remove(self, worker: WorkerHandle) -> None:
        """Forget a worker that is over; if its process could not be made, do with fewer from now on."""
        del self._workers[worker.id]
        for reader in () if worker.output is None else worker.output.readers:
            self._selector.unregister(reader)
        worker.close()
        if worker.was_refused and 0 < self.active < self._size:
            self._size = self.active
            text = "The machine refuses to make another process: executor 'processes' goes on with workers=%d."
            get_logger("processes").warning(text, self._size)

    # -- supervisors ---------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        self._supervisor = self._new_supervisor(self._setup)
        self._selector.register(self._supervisor.control, selectors.EVENT_READ)

    def abandon(self) -> None:
        """Give up the workers, whose supervisor has died: the system has killed them too."""
        self._selector.unregister(self._supervisor.control)
        self._supervisor.close()
        self._idle.clear()
        for worker in self._workers.values():
            worker.abandon()

    def replace_supervisor(self) -> None:
        """Start another one; raise ExecutorError if that cannot be done, or was done too often."""
        self._supervisors_left -= 1
        if self._supervisors_left <= 0:
            raise ExecutorError(
                f"The supervisor of executor 'processes' dies again and again; this time, {self._supervisor.ending}.",
                hint="Standard error may say why.",
            )
        self._supervise()

    def close(self) -> None:
        """Have all processes end, and wait for it."""
        for worker in self._workers.values():
            worker.close()
        self._supervisor.close()
