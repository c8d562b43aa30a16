"""One run on one cluster, in the process that drives the run."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import count, groupby
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, TransferError, WorkerCrashedError, describe
from headrace.log import get_logger
from headrace.remote import reader_of, replay, unpack_outcome
from headrace.remote.pickles import Pickler
from headrace.states import Cancelled, Failed
from headrace.whereabouts import speaking_of
from headrace_dask import messages
from headrace_dask.references import Again, DaskReference, Kept, SmallResult
from headrace_dask.site import run_call, stored
from headrace_dask.submissions import Submission, resources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from distributed import Client

    from headrace.engine.worker import Work
    from headrace.states import State
    from headrace_dask.journal import Last
    from headrace_dask.packing import Packer
    from headrace_dask.provision import Provision
    from headrace_dask.site import Found

__all__ = ["Session"]

# How often one piece of work is sent before it counts as one that cannot be run.
_MOST_SENT: Final = 5
# How long work is gathered to be sent together, in seconds, and how much at most.
_GATHER: Final = 0.02
_MANY: Final = 200
# Seconds after which what is done is let go although nothing is sent.
_LATER: Final = 0.1
_NOBODY: Final = -1
_UNFIT: Final = ("UnfitWorkerError", "ModuleNotFoundError", "ImportError")


class Session:
    """Sends the work of one run to a cluster and delivers what came of it.

    Work is submitted from the driver's thread; everything else happens in the thread of Dask's event loop.
    """

    def __init__(
        self,
        client: Client,
        token: str,
        packer: Packer,
        provision: Provision,
        *,
        most_deaths: int,
        outlives_run: bool,
        enough: int,
    ) -> None:
        self.client = client
        self._enough = enough
        # The client forgets it when it loses the link.
        self._address = client.scheduler.address
        self.broken: ExecutorError | None = None
        self.workers: set[str] = set()
        self.stuck: dict[int, None] = {}
        self._token = token
        self._packer = packer
        self._provision = provision
        self._most_deaths = most_deaths
        self._outlives_run = outlives_run
        self._pickler = Pickler()
        self._tickets = count()
        self._last_ticket = -1
        self._cancelled_up_to = -1
        self._pending: dict[int, Submission] = {}
        self._batch: list[Submission] = []
        # Futures of what is done, let go together with the next work that is sent: each message costs.
        self._spent: list[Any] = []
        self._lock = Lock()
        self._results: WeakValueDictionary[int, Kept] = WeakValueDictionary()
        self._deaths: Counter[Any] = Counter()
        self._unfit: dict[str, str] = {}
        self._handlers: dict[str, Callable[..., object]] = {
            messages.OUTCOME: self._outcome,
            messages.LOG: lambda fields: replay(pickle.loads(fields)),
            messages.PRINT: _print,
            messages.JOINED: self.workers.add,
            messages.GONE: self._gone,
            messages.ERRED: self._erred,
            messages.LOST: self._lost,
            messages.DROPPED: self._dropped,
            messages.STUCK: self.stuck.setdefault,
            messages.RUNS: lambda ticket: self.stuck.pop(ticket, None),
            messages.RESTARTED: lambda: self.break_off("somebody restarted the cluster, and everything on it is gone"),
        }

    @property
    def pending(self) -> Sequence[int]:
        """The tickets of the work that is on the cluster."""
        return list(self._pending)

    # -- to the cluster ------------------------------------------------------------------------------------------

    def submit(self, work: Work, deliver: Callable[[Outcome], object], depth: int) -> None:
        """Send ``work`` off, with others that come soon after it; raise ExecutorError if there is no cluster left."""
        if self.broken is not None:
            raise self.broken
        submission = self._packer.submission(work, deliver, depth, resources_of(work.task))
        deaths = self._deaths[submission.suspect]
        if deaths >= self._most_deaths:
            self._deliver(submission, work.failed(_poison(work, deaths)))
        else:
            self._enqueue(submission)

    def _enqueue(self, submission: Submission) -> None:
        submission.sent += 1
        with self._lock:
            submission.ticket = self._last_ticket = next(self._tickets)
            self._pending[submission.ticket] = submission
            self._batch.append(submission)
            waiting = len(self._batch)
        if waiting == 1:
            # As long as the cluster has enough to do, more are sent together: each message costs.
            soon = len(self._pending) <= self._enough
            self.client.loop.add_callback(self._flush if soon else self._flush_later)
        elif waiting == _MANY:
            self.client.loop.add_callback(self._flush)

    def _flush_later(self) -> None:
        self.client.loop.call_later(_GATHER, self._flush)

    def _flush(self) -> None:
        with self._lock:
            batch, self._batch = self._batch, []
        self._spent.clear()
        batch = [submission for submission in batch if self._is_to_be_sent(submission)]
        for _, group in groupby(batch, key=lambda submission: submission.terms):
            together = list(group)
            try:
                self._send(together)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for what is lost by it
                for submission in together:
                    if self._pending.pop(submission.ticket, None) is not None:
                        self._deliver(submission, submission.work.failed(error))

    def _is_to_be_sent(self, submission: Submission) -> bool:
        """Tell whether what a submission needs can be had; deliver its end if not."""
        if submission.ticket not in self._pending:
            return False
        error: BaseException | None = self.broken
        for kept in submission.needed if error is None else ():
            error = error or self._provision.provide(kept)
        if error is None:
            return True
        del self._pending[submission.ticket]
        outcome = submission.work.failed(error) if self.broken else _failed(submission.work, error)
        self._deliver(submission, outcome)
        return False

    def _send(self, together: list[Submission]) -> None:
        self._provision.send()
        first = together[0]
        futures = self.client.map(
            run_call,
            [submission.ticket for submission in together],
            [submission.part for submission in together],
            [submission.call for submission in together],
            [[kept.future for kept in submission.needed] for submission in together],
            key=[(f"{submission.work.slug}-{self._token}", submission.ticket) for submission in together],
            manifest=first.manifest,
            hurry=len(self._pending) <= self._enough,
            pure=False,
            # What comes later waits behind what came earlier, unless it lies deeper in the flow.
            priority=first.priority,
            fifo_timeout="0s",
            resources=dict(first.resources) or None,
            workers=[*self.workers.difference(self._unfit)] if self._unfit else None,
        )
        for submission, future in zip(together, futures, strict=True):
            submission.future = future

    # -- from the cluster ----------------------------------------------------------------------------------------

    def on_event(self, event: tuple[float, Sequence[Sequence[Any]]]) -> None:
        """Take note of messages."""
        for word, *about in event[1]:
            try:
                self._handlers[word](*about)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for what is lost by it
                self.break_off(f"a message {word!r} could not be handled: {describe(error)}", error)

    def _outcome(self, message: bytes) -> int:
        ticket, packed, found = pickle.loads(message)
        submission = self._pending.pop(ticket, None)
        if submission is None:
            return _NOBODY
        outcome = unpack_outcome(submission.work, packed)
        outcome.key = submission.work.key
        if found is not None:
            outcome.state._result = self._reference(submission, outcome.state, found)
        self._deliver(submission, outcome)
        return submission.ticket

    def _reference(self, submission: Submission, state: State, found: Found) -> DaskReference | SmallResult:
        label = f"the result of task {submission.work.name!r}"
        if found.data is not None:
            return SmallResult(label, found.data, found.length)
        kept = self._results[submission.ticket] = Kept(label, submission.future)
        read = reader_of(submission.work, state)
        if read is not None:
            kept.again = Again(stored, lambda: self._pickler.dump(read, label))
        return DaskReference(self._provision, kept, found.size, found.length, outlives_run=self._outlives_run)

    def _deliver(self, submission: Submission, outcome: Outcome) -> None:
        self.stuck.pop(submission.ticket, None)
        submission.settle()
        if submission.future is not None:
            self._let_go(submission)
        submission.deliver(outcome)

    def _let_go(self, submission: Submission) -> None:
        if not self._spent:
            self.client.loop.call_later(_LATER, self._spent.clear)
        self._spent.append(submission.future)
        submission.future = None

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def _gone(self, worker: str, tickets: Iterable[int], last: Last | None) -> None:
        """Take note that a worker is gone: what it ran has crashed, and what it had not begun goes elsewhere."""
        self.workers.discard(worker)
        self._unfit.pop(worker, None)
        tickets_begun, done = last or ([], [])
        for message in done:
            # A result that stayed there is gone all the same.
            self._lost(self._outcome(message))
        begun = set(tickets_begun)
        for ticket in tickets:
            submission = self._pending.pop(ticket, None)
            if submission is None:
                continue
            if last is None or ticket in begun:
                self._crashed(submission, worker, certain=last is not None)
            else:
                self._again(submission)

    def _crashed(self, submission: Submission, worker: str, *, certain: bool) -> None:
        work = submission.work
        if submission.ticket <= self._cancelled_up_to:
            self._deliver(submission, _cancelled(work, f"Was killed with worker {worker}."))
            return
        self._deaths[submission.suspect] += 1
        text = "while it ran" if certain else "and nobody can tell whether it had begun"
        error = WorkerCrashedError(f"Worker {worker} was lost with task {work.name!r}, {text}.")
        self._deliver(submission, work.failed(error))

    def _again(self, submission: Submission) -> None:
        """Send work once more that has not begun."""
        submission.future = None
        if submission.ticket <= self._cancelled_up_to:
            self._deliver(submission, submission.work.cancelled())
        elif submission.sent >= _MOST_SENT:
            error = ExecutorError(f"Task {submission.work.name!r} was sent {submission.sent} times and never begun.")
            self._deliver(submission, submission.work.failed(error))
        else:
            self._enqueue(submission)

    def _erred(self, ticket: int, worker: str | None, text: str) -> None:
        """Take note that work could not be begun: where it was sent to, or because of what it needs."""
        submission = self._pending.pop(ticket, None)
        if submission is None:
            return
        if worker is not None and text.startswith(_UNFIT) and self._does_without(worker, text):
            self._again(submission)
        else:
            error = TransferError(f"Task {submission.work.name!r} could not be begun on {worker or 'Dask'}: {text}.")
            self._deliver(submission, _failed(submission.work, error))

    def _does_without(self, worker: str, text: str) -> bool:
        """Send nothing more to ``worker``, and tell whether there are others."""
        if worker not in self._unfit:
            self._unfit[worker] = text
            get_logger("dask").warning("Worker %s takes no part in the run: %s", worker, text)
        return not self.workers <= self._unfit.keys()

    def _lost(self, what: int | str) -> None:
        """Take note that a value is gone, and see to it that what waits for it does not wait for ever."""
        kept = self._results.get(what) if isinstance(what, int) else self._provision.data.get(what)
        if kept is None:
            return
        kept.lost = "the worker that had it is gone"
        for submission in tuple(self._pending.values()):
            if submission.future is not None and any(each.depends_on(kept) for each in submission.needed):
                del self._pending[submission.ticket]
                self._again(submission)

    def _dropped(self, inquired: Sequence[int]) -> None:
        """Send once more what the scheduler has refused; of what is ``inquired`` into, news are still to come."""
        for submission in tuple(self._pending.values()):
            if submission.ticket not in inquired and submission.future is not None and submission.future.cancelled():
                for kept in submission.needed:
                    kept.check()
                del self._pending[submission.ticket]
                self._again(submission)

    def break_off(self, reason: str, cause: BaseException | None = None) -> None:
        """Give up: all that is on the cluster has crashed, and nothing more is sent."""
        if self.broken is not None:
            return
        self.broken = ExecutorError(
            f"The Dask cluster at {self._address} was lost: {reason}.",
            hint="Start its scheduler again if it is gone; a recorded run goes on with `headrace resume`.",
        )
        self.broken.__cause__ = cause
        self._provision.closed = self.broken
        while self._pending:
            submission = self._pending.pop(next(iter(self._pending)))
            self._deliver(submission, submission.work.failed(self.broken))

    def what_waits(self) -> str:
        """Return a sentence about what waits for a worker."""
        count = len(self.stuck or self._pending)
        tasks = f"{count} task{'s wait' if count > 1 else ' waits'}"
        if not self.workers:
            return f"The Dask cluster at {self._address} has no worker; {tasks} for one."
        wanted = {str(each.resources) for each in map(self._pending.get, self.stuck) if each and each.resources}
        return f"No worker of the Dask cluster at {self._address} has {' or '.join(wanted) or 'room'}; {tasks} for one."

    def nobody_came(self, seconds: float) -> None:
        """Deliver what has waited for a worker for too long as crashed."""
        text = f"{self.what_waits()} It was given up after {seconds:.0f} s."
        error = ExecutorError(text, hint="Start workers, with `--resources` where tasks ask for some.")
        for ticket in list(self.stuck) if self.workers else self.pending:
            submission = self._pending.pop(ticket, None)
            if submission is not None:
                self._deliver(submission, submission.work.failed(error))

    def close(self) -> None:
        """Let go of everything; results that outlive the run can still be fetched."""
        self._pending.clear()
        if not self._outlives_run:
            self._provision.closed = ExecutorError("the run is over, and what it left on the cluster is gone")

    # -- cancelling ----------------------------------------------------------------------------------------------

    def take_back(self, tickets: Iterable[int]) -> list[Work]:
        """Return the work of these tickets, which is not delivered."""
        taken = [submission for ticket in tickets if (submission := self._pending.pop(ticket, None)) is not None]
        for submission in taken:
            submission.settle()
            submission.future = None
        return [submission.work for submission in taken]

    def unsent(self) -> list[int]:
        """Return the tickets of what has not left this process."""
        with self._lock:
            batch, self._batch = self._batch, []
        return [submission.ticket for submission in batch]

    def cancel(self) -> int:
        """Send nothing once more of what was sent so far; return the last ticket of that."""
        with self._lock:
            self._cancelled_up_to = self._last_ticket
        return self._cancelled_up_to

    def give_up(self, text: str, tickets: Iterable[int]) -> None:
        """Deliver the work of these tickets as cancelled, whatever becomes of it."""
        for ticket in tickets:
            submission = self._pending.pop(ticket, None)
            if submission is not None:
                self._deliver(submission, _cancelled(submission.work, text))


def _print(message: bytes) -> None:
    whose, line = pickle.loads(message)
    with speaking_of(*whose):
        print(line)  # noqa: T201 - a task printed it


def _failed(work: Work, error: BaseException) -> Outcome:
    return Outcome(work.key, Failed(describe(error), error))


def _cancelled(work: Work, text: str) -> Outcome:
    return Outcome(work.key, Cancelled(text))


def _poison(work: Work, deaths: int) -> WorkerCrashedError:
    return WorkerCrashedError(
        f"Task {work.name!r} is not run again: {deaths} workers were lost while they ran it.",
        hint="Raise `max_worker_deaths` of the executor if the task is not to blame.",
    )
