"""The pool: which worker gets which job, and what becomes of jobs whose worker is stopped or dies.

The driver's thread submits jobs; a thread of the pool receives what workers and the supervisor say, gives a worker that
is free again its next job, and watches deadlines. A lock guards what both change. While it is held nothing waits for a
worker, and no outcome is delivered.
"""

from __future__ import annotations

import contextvars
import selectors
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, describe
from headrace_plugins.processes.alarms import Alarm, Alarms
from headrace_plugins.processes.answers import call_number, learn_secrets, outcome_of, show_record, show_text
from headrace_plugins.processes.crew import Crew
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.jobs import Job, WorkerHandle, crashed
from headrace_plugins.processes.link import Supervisor
from headrace_plugins.processes.pace import Pace
from headrace_plugins.processes.protocol import Kind
from headrace_plugins.processes.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.engine.worker import Work
    from headrace.states import State
    from headrace.whereabouts import Place
    from headrace_plugins.processes.channel import Message
    from headrace_plugins.processes.supervisor import Setup

__all__ = ["Pool"]

# Seconds that a task gets to notice that its time is up before what it has started is told to end.
_NOTICE: Final = 0.05
# Seconds between the end of a worker and that of its connection: something it has started may hold that too.
_LAST_WORDS: Final = 1.0
# Seconds after which a job that others wait behind is not quick any more.
_QUEUE_TIME: Final = 0.01
# Seconds for a worker to notice that jobs are wanted back: many times what a write takes to reach another core.
_RECALL_TIME: Final = 0.002
# How often a worker is looked at before others get their turn.
_MOST_LOOKS: Final = 8
# Seconds after which to look again, whatever is due when: epoll waits for no more than 24 days.
_LONGEST_WAIT: Final = 3600.0


class Pool:
    """Up to ``size`` workers.

    ``take_output`` gets what task runs write to standard output and error: the task run, the name of the stream, and
    the text. The setup has a token then.

    ``amounts`` are the resources that jobs share, ``most_calls`` after how many a worker is replaced, or None, and
    ``kill_grace`` the seconds between asking and killing. ``new_supervisor`` starts the process that makes processes,
    and ``new_file`` makes files for what is large.
    """

    def __init__(
        self,
        setup: Setup,
        size: int,
        *,
        amounts: Mapping[str, float] | None = None,
        most_calls: int | None = None,
        kill_grace: float = 5.0,
        new_supervisor: Callable[[Setup], Supervisor] = Supervisor,
        new_file: Callable[[], int] = nameless_file,
        take_output: Callable[[Place, str, str], object] | None = None,
    ) -> None:
        self._most_calls = most_calls
        self._kill_grace = kill_grace
        self._lock = threading.RLock()
        self._waiting = Waiting(amounts or {})
        self._pace = Pace()
        self._alarms: Alarms[WorkerHandle] = Alarms()
        self._outbox: list[tuple[Job, State]] = []
        self._closing = False
        self._in_a_hurry = False
        self._broken: ExecutorError | None = None
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        try:
            self._crew = Crew(setup, size, self._selector, new_supervisor, new_file, take_output)
        except BaseException:
            self._release()
            raise
        # In a copy of the context, because what is printed may be captured here.
        receive = contextvars.copy_context().run
        self._thread = threading.Thread(target=receive, args=(self._receive,), name="headrace-processes", daemon=True)

    # -- the driver's thread -------------------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        """Begin, with so many workers being started in the background."""
        self._crew.prepare(workers)
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many jobs to have for each worker, running and waiting."""
        return self._pace.depth

    def submit(self, job: Job) -> None:
        """Send ``job`` to a free worker, or keep it for the next that will be."""
        with self._lock:
            self._waiting.add(job)
            self._dispatch()
        self._deliver()

    def withdraw(self) -> list[Work]:
        """Take back the jobs that no worker has been sent."""
        with self._lock:
            return [job.work for job in self._waiting.clear()]

    def cancel(self, *, force: bool) -> None:
        """Ask every job that runs to end, or kill it; jobs that wait at a worker come back."""
        with self._lock:
            for worker in self._crew:
                for job in worker.jobs.values():
                    job.cancelled = True
                if force and worker.jobs:
                    self._crew.kill(worker)
                elif worker.jobs:
                    self._crew.signal(worker, signal.SIGINT)
                    self._recall(worker)

    def close(self) -> None:
        """End all workers; what still runs is killed."""
        with self._lock:
            self._closing = True
            for worker in self._crew:
                if worker.jobs:
                    self._crew.kill(worker)
        try:
            self._join(min(self._kill_grace + _LAST_WORDS, threading.TIMEOUT_MAX))
        finally:
            # An interrupt means that what is left of stopped tasks gets no more time.
            self._in_a_hurry = True
            self._join()
            self._crew.close()
            self._release()

    def _join(self, seconds: float | None = None) -> None:
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _release(self) -> None:
        self._selector.close()
        self._wakeup.close()
        self._waker.close()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it has enough to wake it
            self._waker.send(b"\0")

    # -- assigning, with the lock held ---------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if self._broken is not None:
            self._outbox += [(job, crashed(self._broken)) for job in self._waiting.clear()]
        given: set[WorkerHandle] = set()
        while not self._closing and (job := self._waiting.next()) is not None:
            try:
                worker = self._worker_for(job)
            except OSError as error:
                refused = ExecutorError(f"Executor 'processes' cannot start a worker: {error}.")
                self._outbox.append((job, crashed(refused)))
                self._waiting.drop(job)
                continue
            if worker is None:
                break
            self._waiting.take(job)
            self._send(worker, job)
            given.add(worker)
        for worker in given:
            self._flush(worker)

    def _worker_for(self, job: Job) -> WorkerHandle | None:
        worker = self._crew.free()
        # It is not going to wait for long where all others are quick too.
        return self._crew.busy() if worker is None and self._is_quick(job) else worker

    def _is_quick(self, job: Job) -> bool:
        return job.waits_well and self._most_calls is None and self._pace.is_quick(job.parts[1].id)

    def _send(self, worker: WorkerHandle, job: Job) -> None:
        try:
            worker.send(job, is_quick=self._is_quick(job))
        except OSError as error:
            del worker.jobs[worker.calls]
            self._waiting.release(job)
            self._make_free(worker, stopped=False)
            refused = ExecutorError(f"Task {job.work.name!r} could not be sent to a worker: {error}.")
            self._outbox.append((job, crashed(refused)))
            return
        timeout = job.work.task.timeout
        if timeout is not None:
            self._set_alarm(timeout + _NOTICE, worker, Alarm.OVERDUE)
        elif len(worker.jobs) == 2:
            self._set_alarm(_QUEUE_TIME, worker, Alarm.QUEUE)

    def _flush(self, worker: WorkerHandle) -> None:
        """Send a worker what there is room for, and the rest when there is."""
        try:
            worker.channel.flush()
        except ConnectionError:  # it has died, and its jobs go to others when that is heard
            return
        except OSError:
            self._crew.kill(worker)
        if worker.channel.has_unsent != worker.is_watched:
            self._crew.watch(worker)

    def _recall(self, worker: WorkerHandle) -> None:
        if not worker.recalling:
            worker.recall()
            self._set_alarm(_RECALL_TIME, worker, Alarm.RECALL)

    def _set_alarm(self, seconds: float, worker: WorkerHandle, about: Alarm) -> None:
        earlier = self._alarms.set(time.monotonic() + seconds, worker, about)
        if earlier and threading.current_thread() is not self._thread:
            self._wake()

    # -- the pool's thread ---------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            while not self._closing or self._has_leaving():
                self._listen()
                with self._lock:
                    self._look_after_alarms()
                self._deliver()
        except BaseException as error:  # noqa: BLE001 - nothing may wait for a thread that is gone
            self._fail(error)
            self._deliver()

    def _has_leaving(self) -> bool:
        """Tell whether workers are about to end that are given time to."""
        return not self._in_a_hurry and any(worker.retired for worker in self._crew)

    def _listen(self) -> None:
        moment = self._alarms.next
        patience = None if moment is None else min(max(0.0, moment - time.monotonic()), _LONGEST_WAIT)
        for key, events in self._selector.select(patience):
            if not isinstance(key.data, WorkerHandle):
                self._be_woken() if key.fileobj is self._wakeup else self._hear_of_end()
                continue
            if events & selectors.EVENT_WRITE and not key.data.closed:
                with self._lock:
                    self._flush(key.data)
            if not events & selectors.EVENT_READ:
                continue
            if key.fileobj is key.data.channel:
                self._hear(key.data)
            else:
                self._take_output(key.data)
                self._heed(key.data)

    def _be_woken(self) -> None:
        self._wakeup.recv(4096)

    def _deliver(self) -> None:
        """Deliver what was decided while the lock was held."""
        if self._outbox:
            with self._lock:
                found, self._outbox = self._outbox, []
            for job, state in found:
                job.deliver(Outcome(job.work.key, state))

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._broken = ExecutorError(f"Executor 'processes' has failed: {describe(error)}.")
            self._broken.__cause__ = error
            for worker in self._crew:
                self._crew.kill(worker)
                self._outbox += [(job, crashed(self._broken)) for job in worker.jobs.values()]
                worker.jobs.clear()
            self._dispatch()

    def _hear(self, worker: WorkerHandle) -> None:
        # Meanwhile, it may have been closed, or heard because it has written something.
        if worker.closed or (worker.output is not None and not worker.channel.is_ready()):
            return
        if not worker.channel.read():
            self._take_output(worker)
            self._heed(worker)
            with self._lock:
                self._close(worker)
            return
        self._sort(worker)
        if worker.said:
            self._take_output(worker)
        self._heed(worker)

    def _sort(self, worker: WorkerHandle) -> None:
        """Learn at once what is secret from the messages of a worker, and keep what it has said, and its answers."""
        while (message := worker.channel.take()) is not None:
            if message.kind == Kind.SECRETS:
                learn_secrets(message)
            elif message.kind in (Kind.RECORD, Kind.PRINT):
                worker.said.append(message)
            else:
                worker.answers.append(message)

    def _heed(self, worker: WorkerHandle) -> None:
        """Take in the answers of a worker, after what its tasks have written before."""
        while worker.answers:
            answers, worker.answers = worker.answers, []
            self._take_output(worker)
            self._conclude(worker, answers)

    def _take_output(self, worker: WorkerHandle) -> None:
        """Show what a worker has written, and what it has said: that after what it had written before."""
        for _ in range(_MOST_LOOKS):
            said, worker.said = worker.said, []
            if worker.output is not None:
                self._crew.read_output(worker)
                # The secrets that the worker knew when it wrote this are in its channel by now.
                while not worker.closed and worker.channel.is_ready() and worker.channel.read():
                    self._sort(worker)
                worker.output.hand_on()
            _show(said)
            if not worker.said:
                return
        # It says more and more, and others want to be heard, too.
        said, worker.said = worker.said, []
        _show(said)

    def _conclude(self, worker: WorkerHandle, answers: list[Message]) -> None:
        """Take in what a worker has answered, give it more to do, and deliver."""
        concluded: list[tuple[Job, Message]] = []
        passed: list[Job] = []
        stopped = False
        with self._lock:
            for message in answers:
                number = call_number(message)
                if number not in worker.jobs:  # it was taken back, or delivered as something else
                    continue
                job, late = worker.answered(number)
                if message.kind == Kind.PASSED:
                    passed.append(job)
                    continue
                self._waiting.release(job)
                concluded.append((job, message))
                stopped = stopped or late or job.cancelled
                if late:
                    self._crew.signal(worker, signal.SIGTERM)
            if concluded or passed:
                self._take_in(worker, passed, stopped=stopped)
        # Values may be large: each is let go of once it has been delivered.
        answers.clear()
        concluded.reverse()
        while concluded:
            job, message = concluded.pop()
            outcome = outcome_of(job.work, message)
            if outcome.state.duration is not None:
                self._pace.note(job.parts[1].id, outcome.state.duration)
            job.deliver(outcome)

    def _take_in(self, worker: WorkerHandle, jobs: list[Job], *, stopped: bool = False) -> None:
        """Let others have jobs that a worker has not begun, and the worker others, unless its job was stopped."""
        cancelled = [job for job in jobs if job.cancelled]
        for job in cancelled:
            self._waiting.release(job)
            self._outbox.append((job, job.not_begun()))
        self._waiting.put_back([job for job in jobs if not job.cancelled])
        if stopped or not worker.jobs:
            # The signal to cancelled ones may reach the worker only now.
            self._make_free(worker, stopped=stopped or bool(cancelled))
        self._dispatch()

    def _make_free(self, worker: WorkerHandle, *, stopped: bool) -> None:
        """Let a worker that has answered take the next job, unless its time is over."""
        if worker.retired:
            return
        if stopped:
            # What the task has started may still run. It was asked to end, and is killed later.
            worker.retire(at_once=False)
            self._flush(worker)
            self._set_alarm(self._kill_grace, worker, Alarm.RETIRED)
        elif self._most_calls is not None and worker.calls >= self._most_calls:
            worker.retire(at_once=True)
        elif not worker.jobs and not worker.recalling:
            self._crew.rest(worker)

    # -- alarms, with the lock held ------------------------------------------------------------------------------

    def _look_after_alarms(self) -> None:
        now = time.monotonic()
        while (due := self._alarms.due(now)) is not None:
            worker, about = due
            if about is Alarm.OVERDUE:
                self._look_after_timeout(worker, now)
            elif about is Alarm.QUEUE:
                self._look_after_queue(worker, now)
            elif about is Alarm.RECALL:
                self._take_in(worker, worker.take_back())
            elif about is Alarm.LAST_WORDS and (worker.end is not None or worker.orphaned):
                self._close(worker)
            else:
                worker.hung_up = about is Alarm.LAST_WORDS
                self._crew.kill(worker)

    def _look_after_timeout(self, worker: WorkerHandle, now: float) -> None:
        """Stop a job that is past its timeout: ask what it has started to end, and kill it a while later."""
        job = next(iter(worker.jobs.values()), None)
        if job is None or job.work.task.timeout is None:
            return
        left = worker.time_left(job, now)
        if job.overdue:
            self._crew.kill(worker)
        elif left + _NOTICE > 0:
            # It may start at any time, if it has not.
            self._set_alarm(min(left, job.work.task.timeout) + _NOTICE, worker, Alarm.OVERDUE)
        else:
            job.overdue = True
            self._crew.signal(worker, signal.SIGTERM)
            self._set_alarm(self._kill_grace, worker, Alarm.OVERDUE)

    def _look_after_queue(self, worker: WorkerHandle, now: float) -> None:
        """Take back what waits behind a job that is not so quick after all."""
        if len(worker.jobs) < 2 or worker.recalling:
            return
        job = worker.current
        if job is not None and now - worker.page.begun_at() > _QUEUE_TIME:
            self._pace.note_delay(job.parts[1].id)
            self._recall(worker)
        else:
            self._set_alarm(_QUEUE_TIME, worker, Alarm.QUEUE)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _hear_of_end(self) -> None:
        with self._lock:
            end = self._crew.hear_of_end()
            if end is None:
                self._replace_supervisor()
                return
            worker = self._crew.find(end.worker)
            if worker is not None:
                worker.end = end
                self._set_alarm(_LAST_WORDS, worker, Alarm.LAST_WORDS)
                self._bury(worker)

    def _close(self, worker: WorkerHandle) -> None:
        if not worker.closed:
            self._crew.listen_no_more(worker)
            # What has closed its end, and does not end itself, can do no more work.
            self._set_alarm(max(self._kill_grace, _LAST_WORDS), worker, Alarm.LAST_WORDS)
            self._bury(worker)

    def _bury(self, worker: WorkerHandle) -> None:
        """Forget a worker that is over; its jobs are over too, or go to others."""
        if not worker.is_over:
            return
        # Something it has started may hold the pipes, and write on.
        self._take_output(worker)
        free, lost = worker.losses(others_live=self._crew.active > 0)
        for job, _ in lost:
            self._waiting.release(job)
        self._waiting.put_back(free)
        self._outbox += lost
        self._alarms.drop(worker)
        self._crew.remove(worker)
        self._dispatch()

    def _replace_supervisor(self) -> None:
        """Go on with a new supervisor and new workers."""
        self._crew.abandon()
        if not self._closing:
            try:
                self._crew.replace_supervisor()
            except ExecutorError as error:
                self._broken = error
        for worker in self._crew:
            self._set_alarm(_LAST_WORDS, worker, Alarm.LAST_WORDS)
            self._bury(worker)
        self._dispatch()


def _show(said: list[Message]) -> None:
    for message in said:
        if message.kind == Kind.RECORD:
            show_record(message)
        else:
            show_text(message)
