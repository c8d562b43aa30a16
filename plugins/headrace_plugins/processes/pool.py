"""The pool: which worker gets which job, and what becomes of jobs whose worker is stopped or dies.

The driver's thread submits jobs; a thread of the pool receives what workers and the supervisor say, gives a worker that
is free again its next job, and watches deadlines. A lock guards what both change. Outcomes are delivered outside of it.
"""

from __future__ import annotations

import pickle
import selectors
import signal
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError
from headrace.remote import PackedOutcome, replay, unpack_outcome
from headrace.states import Crashed, State
from headrace_plugins.processes.jobs import Job, WorkerHandle
from headrace_plugins.processes.link import Supervisor
from headrace_plugins.processes.protocol import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.engine.worker import Work
    from headrace_plugins.processes.channel import Message
    from headrace_plugins.processes.supervisor import Setup

__all__ = ["Pool"]

# Seconds that a task gets to notice that its time is up before what it has started is told to end.
_NOTICE: Final = 0.05
# Seconds to wait for the last words of a worker that has ended: something it started may hold its end of the socket.
_LAST_WORDS: Final = 1.0
_MOST_SUPERVISORS: Final = 5

# How many jobs a worker may be sent, if all of them take less than so many seconds.
_QUEUE: Final = 16
_QUICK: Final = 0.001
_SLOW: Final = 1.0
# Seconds after which a job that others wait behind is not quick any more.
_QUEUE_TIME: Final = 0.01
# Seconds for a worker to notice that jobs are wanted back: many times what a write takes to reach another core.
_RECALL_TIME: Final = 0.002


class _Alarm(Enum):
    """What to look after when its moment has come."""

    OVERDUE = "the timeout of a job"
    QUEUE = "jobs that wait at a worker"
    RECALL = "jobs that are wanted back"
    RETIRED = "a worker that gets no more jobs"
    LAST_WORDS = "a worker that has ended"


class Pool:
    """Up to ``size`` workers.

    ``amounts`` are the resources that jobs share, ``most_calls`` after how many a worker is replaced, or None, and
    ``kill_grace`` the seconds between asking and killing.
    """

    def __init__(
        self, setup: Setup, size: int, amounts: Mapping[str, float], most_calls: int | None, kill_grace: float
    ) -> None:
        self._setup = setup
        self._size = size
        self._free = dict(amounts)
        self._most_calls = most_calls
        self._kill_grace = kill_grace
        self._lock = threading.RLock()
        self._pending: deque[Job] = deque()
        self._idle: deque[WorkerHandle] = deque()
        self._workers: dict[int, WorkerHandle] = {}
        self._ids = count(1)
        # Seconds that the runs of each task take.
        self._pace: dict[str, float] = {}
        self._recent_pace = _QUICK
        # When to look after what; the numbers in between make entries comparable.
        self._alarms: list[tuple[float, int, WorkerHandle, int, _Alarm]] = []
        self._alarm_numbers = count()
        self._outbox: list[tuple[Job, State]] = []
        self._closing = False
        self._broken: ExecutorError | None = None
        self._supervisors_left = _MOST_SUPERVISORS
        self._wakeup, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._supervisor = self._new_supervisor()
        self._thread = threading.Thread(target=self._receive, name="headrace-processes", daemon=True)

    # -- the driver's thread -------------------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        """Begin, with so many workers being started in the background."""
        self._idle.extend(filter(None, [self._new_worker() for _ in range(min(workers, self._size))]))
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Send ``job`` to a free worker, or keep it for the next that will be."""
        with self._lock:
            self._pending.append(job)
            self._dispatch()
        self._deliver()

    def withdraw(self) -> list[Work]:
        """Take back the jobs that no worker has been sent."""
        with self._lock:
            found = [job.work for job in self._pending]
            self._pending.clear()
        return found

    def cancel(self, *, force: bool) -> None:
        """Ask every job that runs to end, or kill it; jobs that wait at a worker come back."""
        with self._lock:
            for worker in self._workers.values():
                for job in worker.jobs.values():
                    job.cancelled = True
                if force and worker.jobs:
                    self._supervisor.kill(worker.id)
                elif worker.jobs:
                    self._supervisor.signal(worker.id, signal.SIGINT)
                    self._recall(worker)
        self._wake()

    def close(self) -> None:
        """End all workers; what still runs is killed and not delivered."""
        with self._lock:
            self._closing = True
            for worker in self._workers.values():
                if worker.jobs or worker.retired:
                    self._supervisor.kill(worker.id)
        self._wake()
        self._thread.join()
        for worker in self._workers.values():
            worker.channel.close()
            worker.page.close()
        self._supervisor.close()
        self._selector.close()
        self._wakeup.close()
        self._waker.close()

    def _wake(self) -> None:
        self._waker.send(b"\0")

    # -- assigning, with the lock held ---------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while self._pending and not self._closing:
            if self._broken is not None:
                self._outbox += [(job, Crashed(str(self._broken), self._broken)) for job in self._pending]
                self._pending.clear()
                return
            index = self._next_job()
            worker = None if index is None else self._worker_for(self._pending[index])
            if index is None or worker is None:
                return
            job = self._pending[index]
            del self._pending[index]
            self._send(worker, job)

    def _next_job(self) -> int | None:
        """Return the place of the first job whose resources are free."""
        for index, job in enumerate(self._pending):
            if all(self._free[name] >= amount for name, amount in job.needs.items()):
                return index
        return None

    def _worker_for(self, job: Job) -> WorkerHandle | None:
        if self._idle:
            return self._idle.popleft()
        if sum(not worker.retired for worker in self._workers.values()) < self._size:
            return self._new_worker()
        if not self._is_quick(job):
            return None
        # It is not going to wait for long where all others are quick too.
        busy = [w for w in self._workers.values() if self._takes_another(w)]
        return min(busy, key=lambda worker: len(worker.jobs), default=None)

    def _is_quick(self, job: Job) -> bool:
        return job.waits_well and self._most_calls is None and self._pace.get(job.parts[1].id, _SLOW) < _QUICK

    def _takes_another(self, worker: WorkerHandle) -> bool:
        if worker.retired or worker.recalling or len(worker.jobs) >= _QUEUE:
            return False
        return all(self._is_quick(job) for job in worker.jobs.values())

    def _new_worker(self) -> WorkerHandle | None:
        try:
            worker = WorkerHandle(next(self._ids), self._supervisor)
        except OSError:  # the supervisor has died, which the pool's thread is about to hear
            return None
        self._workers[worker.id] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        return worker

    def _send(self, worker: WorkerHandle, job: Job) -> None:
        self._take_resources(job, -1)
        try:
            worker.send(job)
        except ConnectionError:  # the worker has died, and its jobs go to others when that is heard
            return
        except OSError as error:
            del worker.jobs[worker.calls]
            self._take_resources(job, 1)
            if not worker.jobs:
                self._idle.append(worker)
            refused = ExecutorError(f"There is no memory to send task {job.work.name!r} to a worker: {error}.")
            self._outbox.append((job, Crashed(str(refused), refused)))
            return
        timeout = job.work.task.timeout
        if timeout is not None:
            self._set_alarm(time.monotonic() + timeout + _NOTICE, worker, _Alarm.OVERDUE)
            self._wake()
        elif len(worker.jobs) == 2:
            self._set_alarm(time.monotonic() + _QUEUE_TIME, worker, _Alarm.QUEUE)
            if threading.current_thread() is not self._thread:
                self._wake()

    def _take_resources(self, job: Job, sign: int) -> None:
        for name, amount in job.needs.items():
            self._free[name] += sign * amount

    def _recall(self, worker: WorkerHandle) -> None:
        if not worker.recalling:
            worker.recall()
            self._set_alarm(time.monotonic() + _RECALL_TIME, worker, _Alarm.RECALL)

    def _set_alarm(self, moment: float, worker: WorkerHandle, about: _Alarm) -> None:
        heappush(self._alarms, (moment, next(self._alarm_numbers), worker, worker.calls, about))

    # -- the pool's thread ---------------------------------------------------------------------------------------

    def _receive(self) -> None:
        while not self._closing:
            patience = max(0.0, self._alarms[0][0] - time.monotonic()) if self._alarms else None
            for key, _ in self._selector.select(patience):
                if isinstance(key.data, WorkerHandle):
                    self._hear(key.data)
                elif key.fileobj is self._wakeup:
                    self._wakeup.recv(4096)
                else:
                    self._hear_of_end()
            with self._lock:
                self._look_after_alarms(time.monotonic())
            self._deliver()

    def _deliver(self) -> None:
        """Deliver what was decided while the lock was held."""
        if self._outbox:
            with self._lock:
                found, self._outbox = self._outbox, []
            for job, state in found:
                job.deliver(Outcome(job.work.key, state))

    def _hear(self, worker: WorkerHandle) -> None:
        if worker.closed:  # meanwhile
            return
        if not worker.channel.read():
            with self._lock:
                self._close(worker)
            return
        for message in worker.channel.messages():
            head = pickle.loads(message.head)  # noqa: S301 - the worker is ours
            if message.kind == Kind.RECORD:
                replay(head)
            elif message.kind == Kind.PASSED:
                with self._lock:
                    self._take_back(worker, [worker.jobs.pop(head)] if head in worker.jobs else [])
            else:
                self._conclude(worker, head, message)

    def _conclude(self, worker: WorkerHandle, head: tuple[Any, ...], message: Message) -> None:
        number, key, error, traceback, location = head
        with self._lock:
            job, late = worker.answered(number)
            self._take_resources(job, 1)
            self._make_free(worker, stopped=job.cancelled or late)
            self._dispatch()
        packed = PackedOutcome(key, message.body, message.buffers, error, traceback, location)
        outcome = unpack_outcome(job.work, packed)
        self._note_pace(job.parts[1].id, outcome.state.duration)
        job.deliver(outcome)

    def _make_free(self, worker: WorkerHandle, *, stopped: bool) -> None:
        """Let a worker that has answered take the next job, unless its time is over."""
        if worker.retired:
            return
        if stopped:
            # What the task has started may still run: it is asked to end, and killed later.
            worker.retired = True
            self._supervisor.signal(worker.id, signal.SIGTERM)
            self._set_alarm(time.monotonic() + self._kill_grace, worker, _Alarm.RETIRED)
        elif self._most_calls is not None and worker.calls >= self._most_calls:
            worker.retired = True
            worker.channel.hang_up()
        elif not worker.jobs and not worker.recalling:
            self._idle.append(worker)

    def _note_pace(self, task_id: str, seconds: float | None) -> None:
        if seconds is not None:
            self._pace[task_id] = _average(self._pace.get(task_id, seconds), seconds)
            self._recent_pace = _average(self._recent_pace, seconds)

    @property
    def depth(self) -> int:
        """How many jobs to have for each worker, running and waiting; many where they are short."""
        return _QUEUE + 2 if self._recent_pace < _QUICK else 2

    # -- alarms, with the lock held ------------------------------------------------------------------------------

    def _look_after_alarms(self, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, _, worker, calls, about = heappop(self._alarms)
            if worker.id not in self._workers:
                continue
            if about is _Alarm.LAST_WORDS:
                self._close(worker)
            elif about is _Alarm.RETIRED:
                self._supervisor.kill(worker.id)
            elif about is _Alarm.RECALL:
                self._take_back(worker, worker.take_back())
            elif about is _Alarm.QUEUE:
                self._look_after_queue(worker, now)
            elif worker.calls == calls:
                self._look_after_timeout(worker, now)

    def _look_after_queue(self, worker: WorkerHandle, now: float) -> None:
        """Take back what waits behind a job that is not so quick after all."""
        _, begun = worker.current()
        if len(worker.jobs) < 2 or worker.recalling:
            return
        if begun is not None and now - begun > _QUEUE_TIME:
            self._recall(worker)
        else:
            self._set_alarm(now + _QUEUE_TIME, worker, _Alarm.QUEUE)

    def _take_back(self, worker: WorkerHandle, jobs: list[Job]) -> None:
        """Let others have the jobs that the worker has not begun."""
        for job in reversed(jobs):
            self._take_resources(job, 1)
            if job.cancelled:
                self._outbox.append((job, job.not_begun()))
            else:
                self._pace[job.parts[1].id] = _SLOW
                self._pending.appendleft(job)
        if not worker.jobs:
            self._make_free(worker, stopped=False)
        self._dispatch()

    def _look_after_timeout(self, worker: WorkerHandle, now: float) -> None:
        """Stop a job that is past its timeout: ask what it has started to end, and kill it a while later."""
        job, begun = worker.current()
        if job is None:
            return
        timeout = job.work.task.timeout
        assert timeout is not None
        over = (now if begun is None else begun) + timeout + _NOTICE
        if over > now:
            self._set_alarm(over, worker, _Alarm.OVERDUE)
        elif not job.overdue:
            job.overdue = True
            self._supervisor.signal(worker.id, signal.SIGTERM)
            self._set_alarm(now + self._kill_grace, worker, _Alarm.OVERDUE)
        else:
            self._supervisor.kill(worker.id)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _hear_of_end(self) -> None:
        end = self._supervisor.receive()
        with self._lock:
            if end is None:
                self._replace_supervisor()
                return
            worker = self._workers.get(end.worker)
            if worker is not None:
                worker.end = end
                self._set_alarm(time.monotonic() + _LAST_WORDS, worker, _Alarm.LAST_WORDS)
                self._bury(worker)

    def _close(self, worker: WorkerHandle) -> None:
        if not worker.closed:
            worker.closed = True
            self._selector.unregister(worker.channel)
            self._bury(worker)

    def _bury(self, worker: WorkerHandle) -> None:
        """Forget a worker that is over; its jobs are over too, or go to others."""
        if not worker.is_over:
            return
        del self._workers[worker.id]
        with suppress(ValueError):
            self._idle.remove(worker)
        for job in worker.jobs.values():
            self._take_resources(job, 1)
        free, lost = worker.losses()
        self._pending.extendleft(reversed(free))
        self._outbox += lost
        worker.channel.close()
        worker.page.close()
        self._dispatch()

    def _new_supervisor(self) -> Supervisor:
        supervisor = Supervisor(self._setup)
        self._selector.register(supervisor.control, selectors.EVENT_READ)
        return supervisor

    def _replace_supervisor(self) -> None:
        """Go on with a new supervisor: the old one has died, and the system has killed its workers."""
        self._selector.unregister(self._supervisor.control)
        self._supervisor.close()
        self._supervisors_left -= 1
        if self._supervisors_left <= 0:
            self._broken = ExecutorError("The supervisor of executor 'processes' has died too often.")
        else:
            try:
                self._supervisor = self._new_supervisor()
            except ExecutorError as error:
                self._broken = error
        for worker in list(self._workers.values()):
            worker.orphaned = True
            self._bury(worker)
        self._dispatch()


def _average(before: float, now: float) -> float:
    """Return a moving average, of about the last five."""
    return 0.8 * before + 0.2 * now
