"""What the pool remembers of each piece of work and of each worker."""

from __future__ import annotations

import os
import pickle
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import ExecutorError, TaskTimeoutError
from headrace.states import Cancelled, Crashed, State, TimedOut
from headrace_plugins.processes.channel import Channel
from headrace_plugins.processes.crashes import crash_error, start_error
from headrace_plugins.processes.protocol import End, Kind, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.engine.worker import Outcome, Work
    from headrace.remote import Part
    from headrace_plugins.processes.link import Supervisor

__all__ = ["Job", "WorkerHandle"]

_MOST_LOSSES: Final = 3
_LARGE: Final = 65_536


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

    def fate(self, end: End | None) -> State:
        """Return what becomes of it, having begun, when its worker ends as ``end`` says."""
        if self.cancelled:
            return Cancelled("It did not end when it was asked to, and was killed.")
        if self.overdue:
            text = (
                f"Task {self.work.name!r} took longer than its timeout of {self.work.task.timeout:g} s; it was killed."
            )
            return TimedOut(text, TaskTimeoutError(text))
        return _crashed(crash_error(self.work.name, end))

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
    one at most. ``closed`` is set when it has said its last words, ``end`` when its supervisor has told how it ended,
    and ``orphaned`` when there is no supervisor any more that could. A ``retired`` one gets no more jobs, and one that
    is ``recalling`` none until it is known what it has begun.
    """

    __slots__ = ("calls", "channel", "closed", "end", "id", "jobs", "known", "orphaned", "page", "recalling", "retired")

    def __init__(self, id_: int, supervisor: Supervisor) -> None:
        """Have its process started; raise OSError if the supervisor is gone."""
        ours, theirs = socket.socketpair()
        self.page, page = Page.create()
        try:
            supervisor.start(id_, theirs, page)
        except OSError:
            ours.close()
            self.page.close()
            raise
        finally:
            theirs.close()
            os.close(page)
        self.id = id_
        self.channel = Channel(ours)
        self.known: set[str] = set()
        self.jobs: dict[int, Job] = {}
        self.calls = 0
        self.closed = False
        self.end: End | None = None
        self.orphaned = False
        self.retired = False
        self.recalling = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be heard of it."""
        return self.closed and (self.end is not None or self.orphaned)

    def send(self, job: Job) -> None:
        """Send it a job; raise OSError if it is gone or there is no memory for what the job is called with."""
        self.calls += 1
        self.jobs[self.calls] = job
        run, task = job.parts
        for part in job.parts:
            if part.id not in self.known:
                self.channel.send(Kind.PART, part.id.encode(), part.data)
                self.known.add(part.id)
        head = pickle.dumps((self.calls, job.work.key, job.work.name, run.id, task.id))
        self.channel.send(Kind.CALL, head, job.data, job.buffers)

    def current(self) -> tuple[Job | None, float | None]:
        """Return the first job, and when it began, by the monotonic clock, if it has."""
        if not self.jobs:
            return None, None
        first = next(iter(self.jobs))
        number, moment = self.page.begun()
        return self.jobs[first], moment if number == first else None

    def answered(self, number: int) -> tuple[Job, bool]:
        """Take a job away, now that it has been answered; tell whether it took longer than its timeout."""
        job = self.jobs.pop(number)
        timeout = job.work.task.timeout
        begun, moment = self.page.begun()
        return job, timeout is not None and begun == number and time.monotonic() >= moment + timeout

    def recall(self) -> None:
        """Want back what it has not begun; `take_back` tells what that is, a moment later."""
        self.recalling = True
        begun, _ = self.page.begun()
        first, last = self.page.recalled()
        # As long as nothing has begun that was sent after the last recall, that one may not have been heeded yet.
        self.page.recall(begun + 1 if begun > last else first or 1, self.calls)

    def take_back(self) -> list[Job]:
        """Take away, and return, the jobs that it is never going to begin; of others it says so itself."""
        self.recalling = False
        begun, _ = self.page.begun()
        return [self.jobs.pop(number) for number in list(self.jobs) if number > begun]

    def losses(self) -> tuple[list[Job], list[tuple[Job, State]]]:
        """Return, for one that is over, the jobs that another may begin, and what became of the others."""
        begun, moment = self.page.begun()
        free: list[Job] = []
        lost: list[tuple[Job, State]] = []
        for number, job in self.jobs.items():
            if number == begun:
                state = job.fate(self.end)
                state.started = time.time() - (time.monotonic() - moment)
                lost.append((job, state))
            elif job.cancelled:
                lost.append((job, job.not_begun()))
            elif not free and not lost and job.is_hopeless():
                lost.append((job, _crashed(start_error(self.end))))
            else:
                free.append(job)
        return free, lost


def _crashed(error: ExecutorError) -> State:
    return Crashed(str(error), error)
