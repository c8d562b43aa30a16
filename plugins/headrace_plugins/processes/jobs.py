"""What the pool remembers of each piece of work and of each worker."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import ExecutorError, TaskTimeoutError
from headrace.states import Cancelled, Crashed, State, TimedOut
from headrace.whereabouts import place_of
from headrace_plugins.processes.channel import NonBlockingChannel
from headrace_plugins.processes.crashes import crash_error, hung_up_error, start_error
from headrace_plugins.processes.pace import LONGEST_QUEUE
from headrace_plugins.processes.protocol import End, Kind, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.engine.worker import Outcome, Work
    from headrace.remote import Part
    from headrace_plugins.processes.channel import Message
    from headrace_plugins.processes.link import Supervisor
    from headrace_plugins.processes.output import Output

__all__ = ["Job", "WorkerHandle", "crashed"]

_MOST_LOSSES: Final = 3
_LARGE: Final = 32_768
_TIME_TO_READ: Final = 60.0


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """One piece of work, ready to be sent.

    ``losses`` counts the workers that ended before they began it; ``cancelled`` and ``overdue`` say that it was stopped
    from outside, and why.
    """

    work: Work
    needs: Mapping[str, float]
    deliver: Callable[[Outcome], object]
    parts: tuple[Part, Part]
    data: bytes
    buffers: list[Any]
    losses: int = 0
    cancelled: bool = False
    overdue: bool = False

    @property
    def waits_well(self) -> bool:
        """Whether it may wait at a worker for another job to end."""
        return self.work.task.timeout is None and not self.needs and not self.buffers and len(self.data) < _LARGE

    def fate(self, end: End | None, *, hung_up: bool = False) -> State:
        """Return what becomes of it, having begun, when its worker ends as ``end`` says; maybe because it hung up."""
        if self.cancelled:
            return Cancelled("It did not end when it was asked to, and was killed.")
        if self.overdue:
            text = (
                f"Task {self.work.name!r} took longer than its timeout of {self.work.task.timeout:g} s; it was killed."
            )
            return TimedOut(text, TaskTimeoutError(text))
        was_killed = end is not None and end.status == signal.SIGKILL and not end.out_of_memory
        return crashed(hung_up_error(self.work.name) if hung_up and was_killed else crash_error(self.work.name, end))

    def not_begun(self) -> State:
        """Return what becomes of it if the run is cancelled before it begins."""
        return self.work.cancelled().state

    def is_hopeless(self) -> bool:
        """Note that a worker ended before it began this; tell whether that has happened too often."""
        self.losses += 1
        return self.losses >= _MOST_LOSSES


class WorkerHandle:
    """A worker as the pool sees it. It may be sent jobs before its process exists: the socket keeps them.

    ``jobs`` are those that it has been sent and has not answered, by the numbers of their calls; it has begun the first
    one at most. ``is_quick`` is whether all of them are. ``closed`` is set when it has said its last words, ``end``
    when its supervisor has told how it ended, ``orphaned`` when there is no supervisor any more that could, and
    ``hung_up`` when it was killed because it could say nothing any more. A ``retired`` one gets no more jobs, and one
    that is ``recalling`` none until it is known what it has begun.
    """

    __slots__ = (
        *(
            "answers",
            "calls",
            "channel",
            "closed",
            "end",
            "hung_up",
            "id",
            "is_full",
            "is_quick",
            "is_watched",
            "jobs",
            "orphaned",
            "output",
            "page",
            "recalling",
            "said",
        ),
        *("_known", "retired"),
    )

    def __init__(
        self, id_: int, supervisor: Supervisor, new_file: Callable[[], int], output: Output | None = None
    ) -> None:
        """Have its process started; raise OSError if that cannot be asked for, ConnectionError without a supervisor."""
        ours, theirs = socket.socketpair()
        self.channel = NonBlockingChannel(ours, new_file)
        try:
            self.page, page = Page.create()
            try:
                _start(supervisor, id_, theirs, page, output)
            except OSError:
                self.page.close()
                raise
            finally:
                os.close(page)
        except OSError:
            self.channel.close()
            raise
        finally:
            theirs.close()
        self.id = id_
        self.output = output
        # What it has sent that is to be shown, and its answers: both after what it wrote before.
        self.said: list[Message] = []
        self.answers: list[Message] = []
        self.jobs: dict[int, Job] = {}
        self.is_quick = True
        self.is_full = False
        self.is_watched = False
        self.calls = 0
        self.closed = False
        self.end: End | None = None
        self.orphaned = False
        self.hung_up = False
        self.retired = False
        self.recalling = False
        self._known: set[str] = set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be heard of it."""
        return self.closed and (self.end is not None or self.orphaned)

    @property
    def was_refused(self) -> bool:
        """Whether its process could not be made."""
        return self.end is not None and self.end.status == -1

    def send(self, job: Job, *, is_quick: bool) -> None:
        """Have it sent a job when its channel is flushed; raise OSError if there is no memory for what goes along."""
        self.calls += 1
        self.is_quick = is_quick and (self.is_quick or not self.jobs)
        self.jobs[self.calls] = job
        if self.output is not None and (place := place_of(job.work)) is not None:
            self.output.expect(self.calls, place)
        self.is_full = len(self.jobs) >= LONGEST_QUEUE
        run, task = job.parts
        for part in job.parts:
            if part.id not in self._known:
                self.channel.send(Kind.PART, part.id.encode(), part.data)
                self._known.add(part.id)
        head = pickle.dumps((self.calls, job.work.key, job.work.name, run.id, task.id))
        self.channel.send(Kind.CALL, head, job.data, job.buffers)

    def retire(self, *, at_once: bool) -> None:
        """Send it no more jobs, and let it end; unless that is to be at once, when what it has started has ended."""
        self.retired = True
        if at_once:
            self.channel.hang_up()
            return
        self.channel.send(Kind.RETIRE, b"")

    @property
    def takes_another(self) -> bool:
        """Whether a quick job may wait here; once it is full, not before it is half empty, so that many go at once."""
        if self.is_full and 2 * len(self.jobs) <= LONGEST_QUEUE:
            self.is_full = False
        return self.is_quick and not self.is_full and not self.retired and not self.recalling

    def abandon(self) -> None:
        """Note that its supervisor has died, and it with it; kill what may have outlived them."""
        self.orphaned = True
        self.retired = True
        if self.end is None and self.page.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.page.pid, signal.SIGKILL)

    @property
    def current(self) -> Job | None:
        """The job that it has begun, if it has not answered it."""
        return self.jobs.get(self.page.begun())

    def time_left(self, job: Job, now: float) -> float:
        """Return the seconds until its first job, which it may not have begun, is out of time.

        What a job is called with, and the modules that it needs, may take longer to read than it may take.
        """
        timeout = job.work.task.timeout or 0.0
        if self.current is not job:
            return timeout
        started = self.page.started_at()
        since = self.page.begun_at() + _TIME_TO_READ if started is None else started
        return since + timeout - now

    def answered(self, number: int) -> tuple[Job, bool]:
        """Take a job away, now that it has been answered; tell whether it took longer than its timeout."""
        job, now = self.jobs[number], time.monotonic()
        late = job.work.task.timeout is not None and self.time_left(job, now) <= 0
        return self.jobs.pop(number), late

    def recall(self) -> None:
        """Want back what it has not begun; `take_back` tells what that is, a moment later."""
        self.recalling = True
        begun = self.page.begun()
        first, last = self.page.recalled()
        # As long as nothing has begun that was sent after the last recall, that one may not have been heeded yet.
        self.page.recall(begun + 1 if begun > last else first or 1, self.calls)

    def take_back(self) -> list[Job]:
        """Take away, and return, the jobs that it is never going to begin; of others it says so itself."""
        self.recalling = False
        begun = self.page.begun()
        return [self.jobs.pop(number) for number in list(self.jobs) if number > begun]

    def losses(self, *, others_live: bool = False) -> tuple[list[Job], list[tuple[Job, State]]]:
        """Return, for one that is over, the jobs that another may begin, and what became of the others.

        A job that several workers have ended before, without having begun it, is given up; unless there was no process
        for them, and there are others that live.
        """
        free: list[Job] = []
        lost: list[tuple[Job, State]] = []
        for job in self.jobs.values():
            if job is self.current:
                state = job.fate(self.end, hung_up=self.hung_up)
                state.started = time.time() - (time.monotonic() - self.page.begun_at())
                lost.append((job, state))
            elif job.cancelled:
                lost.append((job, job.not_begun()))
            elif not free and not lost and not (self.was_refused and others_live) and job.is_hopeless():
                lost.append((job, crashed(start_error(self.end))))
            else:
                free.append(job)
        return free, lost

    def close(self) -> None:
        """Let go of its socket, its page and its jobs."""
        self.jobs.clear()
        if self.output is not None:
            self.output.close()
        self.channel.close()
        self.page.close()


def _start(supervisor: Supervisor, id_: int, connection: socket.socket, page: int, output: Output | None) -> None:
    if output is None:
        supervisor.start(id_, connection, page)
        return
    ends = output.make_pipes()
    try:
        supervisor.start(id_, connection, page, ends)
    except OSError:
        output.close()
        raise
    finally:
        for end in ends:
            os.close(end)


def crashed(error: ExecutorError) -> State:
    """Return the state of a job that nothing can run."""
    return Crashed(str(error), error)
