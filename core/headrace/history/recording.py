"""Taking down a run without waiting for the disk: entries go to a file at once, and from there to the store in groups.

What is in the file outlives the process, and what is in the store outlives a power cut too. One thread of a process
moves what its runs have written into the store, many entries in one transaction, and keeps nothing in memory that is in
a file. What it has not moved when the process dies, whoever sweeps the store moves.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from headrace.abc import RunJournal
from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError, describe
from headrace.history.encoding import (
    ATTEMPTED,
    ENDED,
    ENTERED,
    FINISHED,
    WAITING,
    encode_began,
    encode_entered,
    encode_expanded,
    encode_logged,
    encode_noted,
    encode_state,
    encode_taken_over,
)
from headrace.history.folding import fold
from headrace.history.forks import watch_forks
from headrace.history.log_bounds import LogBounds, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from headrace.history.folding import Batch
    from headrace.history.journal_files import JournalFile
    from headrace.history.records import TaskRunRecord, ValueRecord

__all__ = ["FileJournal", "Recorder", "Sharing", "batches"]

T = TypeVar("T")

# How much of a journal goes into one transaction, in bytes.
_PIECE: Final = 1 << 20
# How long entries wait for others to join them, in seconds.
_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
# For one commit that takes long, entries are collected for so many times as long.
_SHARE: Final = 2.0
# How long a fork is held up, in seconds.
_LONGEST_REST: Final = 5.0


class Sharing(Protocol):
    """What a run has to do with others, as its store has it; see the methods of `RunJournal`. For use in any thread."""

    def cancel_request(self, run_id: str) -> str | None: ...

    def limited_tags(self) -> frozenset[str]: ...

    def take_slots(self, run_id: str, node: int, map_index: int, tags: Collection[str], /) -> bool:
        """Take slots, or a place in line. Called in the thread that writes."""
        ...

    def free_slots_of_dead(self, run_id: str, /) -> bool:
        """Sweep if another run that has slots, or is in line, is dead; tell whether."""
        ...


class FileJournal(RunJournal):
    """Takes a run down in a journal file that a `Recorder` moves to a store."""

    __slots__ = ("_logs", "_recorder", "_sharing", "failure", "file", "taken")

    def __init__(self, recorder: Recorder, file: JournalFile, sharing: Sharing) -> None:
        self._recorder = recorder
        self._sharing = sharing
        self.file = file
        # How far the store has it.
        self.taken = file.start
        # Why nothing more can be taken down.
        self.failure: HistoryError | None = None
        self._logs = LogBounds(file, self._write)

    def began(self, node: int, map_index: int, attempt: int, at: float, /) -> None:
        self._write(encode_began(node, map_index, attempt, at))

    def expanded(self, node: int, count: int, at: float, /) -> None:
        self._write(encode_expanded(node, count, at))

    def waiting(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        at: float,
        until: float | None = None,
        value: ValueRecord | None = None,
        details: str | None = None,
        /,
    ) -> None:
        self._write(encode_state(WAITING, node, map_index, attempt, state, message, None, at, until, value, details))

    def attempted(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        started: float | None,
        at: float,
        value: ValueRecord | None = None,
        /,
    ) -> None:
        self._write(encode_state(ATTEMPTED, node, map_index, attempt, state, message, started, at, None, value, None))

    def finished(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        started: float | None,
        at: float,
        value: ValueRecord | None = None,
        details: str | None = None,
        /,
    ) -> None:
        self._logs.finish(node, map_index)
        self._write(encode_state(FINISHED, node, map_index, attempt, state, message, started, at, None, value, details))

    def taken_over(self, record: TaskRunRecord, /) -> None:
        self._write(encode_taken_over(record))

    def noted(self, node: int, map_index: int, kind: str, text: str, /) -> None:
        self._write(encode_noted(node, map_index, kind, text))

    def logged(self, node: int, map_index: int, attempt: int, at: float, level: int, logger: str, text: str, /) -> None:
        if self.failure is not None:
            raise self.refusal()
        self._logs.add(node, map_index, encode_logged(node, map_index, attempt, at, level, logger, shortened(text)))

    def bound_logs(self, per_task_run: int, per_run: int, /) -> None:
        self._logs.set(per_task_run, per_run)

    def entered(self, state: str, message: str | None, at: float, /) -> None:
        self._write(encode_entered(ENTERED, state, message, at))

    def cancel_request(self) -> str | None:
        return self._sharing.cancel_request(self.file.run_id)

    def limited_tags(self) -> frozenset[str]:
        return self._sharing.limited_tags()

    def take_slots(self, node: int, map_index: int, tags: Collection[str], /) -> bool:
        run_id, sharing = self.file.run_id, self._sharing

        def take() -> bool:
            return sharing.take_slots(run_id, node, map_index, tags)

        if self._recorder.call_behind(self, take):
            return True
        return sharing.free_slots_of_dead(run_id) and self._recorder.call_behind(self, take)

    def flush(self) -> None:
        if self.failure is not None:
            raise self.refusal()
        self._recorder.wait_for(self)

    def ended(self, state: str, message: str | None, at: float, /) -> None:
        self._logs.finish_all()
        self._write(encode_entered(ENDED, state, message, at))
        try:
            self._recorder.wait_for(self)
        except BaseException:
            self._recorder.let_go(self)
            raise
        self._recorder.let_go(self, complete=True)

    def abandon(self, why: str | None = None, /) -> None:
        self._logs.close()
        self._recorder.let_go(self, why=why)

    def _write(self, entry: bytes) -> None:
        if self.failure is not None:
            raise self.refusal()
        try:
            self.file.append(entry)
        except HistoryError as error:
            self.failure = error
            raise
        recorder = self._recorder
        if recorder.idle:
            recorder.wake()

    def forked(self, failure: HistoryError) -> None:
        """Be of no use any more: this process was forked, maybe while another thread was writing."""
        self.failure = failure
        self._logs = LogBounds(self.file, self._write)
        # The lock goes with the last process that has the file open.
        self.file.close_forked()

    def refusal(self) -> HistoryError:
        """Return the failure as an error of its own, since it may be raised many times."""
        assert self.failure is not None
        refusal = copy(self.failure)
        refusal.__cause__ = self.failure.__cause__
        return refusal


class _Job(Generic[T]):
    """Something to be done in the thread that writes."""

    __slots__ = ("_done", "_error", "_function", "_result", "deadline")

    def __init__(self, function: Callable[[], T], deadline: float) -> None:
        self._function = function
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._result: Any = None
        self.deadline = deadline

    def run(self) -> bool:
        """Do it, and return True; return False if it should be tried again."""
        try:
            self._result = self._function()
        except HistoryBusyError as error:
            if time.monotonic() < self.deadline:
                return False
            self._error = error
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
            self._error = error
        self._done.set()
        return True

    def refuse(self, error: HistoryError) -> None:
        """Do not do it."""
        self._error = error
        self._done.set()

    def wait(self) -> T:
        """Wait until it is done and return what came of it, or raise that."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result


class Recorder:
    """The one thread of a process that writes to a store. It is started when it is first needed.

    ``take`` writes batches in one transaction, and is called in that thread only. It raises `HistoryBusyError` if it
    had to wait for others for a fraction of a second, and is called again then. ``patience`` is how many seconds may
    pass like that before somebody who waits is told so.
    """

    def __init__(self, take: Callable[[Sequence[Batch]], None], *, patience: float = 60.0) -> None:
        self._take = take
        self._patience = patience
        self._journals: list[FileJournal] = []
        self._jobs: deque[_Job[Any]] = deque()
        # Whether the thread waits to be woken. Read on every entry, so it is a plain attribute.
        self.idle = False
        self._pause = _PAUSE
        # How many wait until something is in the store.
        self._waiters = 0
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        # Held while the store is used and while journals come and go.
        self._at_work = threading.Lock()
        self._thread: threading.Thread | None = None
        # When to end although there is something left to do, on a clock that only goes forward.
        self._give_up_at: float | None = None
        self._forked = False
        self._resting = False

    # -- for those who write -------------------------------------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Call ``function`` in the thread that writes, and return what it returns or raise what it raises."""
        job = _Job(function, time.monotonic() + self._patience)
        self._start()
        self._jobs.append(job)
        self._hurry.set()
        self._wake.set()
        return job.wait()

    def call_behind(self, journal: FileJournal, function: Callable[[], T]) -> T:
        """Call ``function`` as `call` does, when the store has all that was said in ``journal`` before."""
        end = journal.file.end

        def behind() -> T:
            if journal.failure is not None:
                raise journal.refusal()
            if journal.taken < end:
                # It is tried again after the next piece.
                raise HistoryBusyError(str(journal.file.path), self._patience)
            return function()

        return self.call(behind)

    def journal(self, file: JournalFile, sharing: Sharing) -> FileJournal:
        """Return a journal that writes to ``file``, of a run that has to do with others as ``sharing`` says."""
        journal = FileJournal(self, file, sharing)
        with self._at_work:
            self._journals.append(journal)
        return journal

    def wake(self) -> None:
        """Tell the thread that there is something to move."""
        self.idle = False
        self._wake.set()

    def wait_for(self, journal: FileJournal) -> None:
        """Wait until the store has all of ``journal``; raise HistoryError if it cannot take it."""
        end = journal.file.end
        with self._progress:
            self._waiters += 1
            self._hurry.set()
            self.wake()
            try:
                done = self._progress.wait_for(lambda: journal.taken >= end or journal.failure, self._patience)
            finally:
                self._waiters -= 1
        if journal.failure is not None:
            raise journal.refusal()
        if not done:
            raise HistoryBusyError(str(journal.file.path), self._patience)

    def let_go(self, journal: FileJournal, *, complete: bool = False, why: str | None = None) -> None:
        """Take nothing more from ``journal``, whose file goes if the store has all of it. Never raises.

        ``why`` is what a run says that nobody waited for; see `RunJournal.abandon`.
        """
        with self._at_work:
            if journal in self._journals:
                self._journals.remove(journal)
        if complete:
            journal.file.discard()
        else:
            said = "Its process gave it up." if why is None else why
            interrupted = why is not None and journal.failure is None
            journal.file.give_up(said if journal.failure is None else journal.failure.message, interrupted=interrupted)
            journal.file.close()
        if journal.failure is None:
            journal.failure = HistoryError(f"The run {journal.file.run_id} is recorded no longer.")

    def close(self) -> None:
        """Move what there is, abandon all journals, and end the thread."""
        if self._thread is None or self._forked:
            return
        self._give_up_at = time.monotonic() + self._patience
        self._hurry.set()
        self._wake.set()
        self._thread.join(2 * self._patience)
        for job in self._jobs:
            job.refuse(HistoryError("The history was closed meanwhile."))
        for journal in list(self._journals):
            self.let_go(journal)

    # -- forks ---------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """See `Forkable`: between two transactions, a connection can be let go by a process that does not own it.

        Whoever waits for others that long has not begun a transaction.
        """
        self._resting = self._at_work.acquire(timeout=_LONGEST_REST)

    def after_fork(self, *, forked: bool) -> None:
        """See `Forkable`."""
        if self._resting:
            self._at_work.release()
        if forked:
            self._forked = True
            for journal in self._journals:
                journal.forked(_elsewhere())
            self._journals.clear()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._forked:
            raise _elsewhere()
        with self._at_work:
            if self._thread is None:
                watch_forks(self)
                self._thread = threading.Thread(target=self._work, name="headrace-history", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while self._give_up_at is None or (self._has_work() and time.monotonic() < self._give_up_at):
            self.idle = True
            if self._give_up_at is None and not self._has_work():
                self._wake.wait()
            self.idle = False
            self._wake.clear()
            if self._give_up_at is None and not self._waiters:
                self._hurry.wait(self._pause)
            self._hurry.clear()
            self._move()
            self._do_jobs()

    def _has_work(self) -> bool:
        return bool(self._jobs) or any(journal.taken < journal.file.end for journal in list(self._journals))

    def _do_jobs(self) -> None:
        for _ in range(len(self._jobs)):
            job = self._jobs.popleft()
            with self._at_work:
                done = job.run()
            if not done:
                self._jobs.append(job)

    def _move(self) -> None:
        """Move a piece of each journal to the store."""
        with self._at_work:
            began = time.monotonic()
            pieces = list(self._pieces())
            if not pieces or not self._written(pieces):
                return
            self._pause = min(_LONGEST_PAUSE, max(_PAUSE, _SHARE * (time.monotonic() - began)))
        with self._progress:
            self._progress.notify_all()

    def _pieces(self) -> Iterator[tuple[FileJournal, Batch]]:
        for journal in list(self._journals):
            if journal.taken >= journal.file.end:
                continue
            try:
                yield journal, next(batches(journal.file, journal.taken))
            except HistoryError as error:
                self._fail(journal, error)

    def _written(self, pieces: list[tuple[FileJournal, Batch]]) -> bool:
        """Write ``pieces`` in one transaction, and tell whether anybody who waits for that can be told."""
        try:
            self._take([batch for _, batch in pieces])
        except HistoryBusyError:
            return False
        except Exception as error:  # noqa: BLE001 - whoever writes to the journal next is told, in his own thread
            if len(pieces) == 1:
                self._fail(pieces[0][0], error)
                return True
            # What one run cannot write is not to hinder the others.
            written = [self._written([piece]) for piece in pieces]
            return any(written)
        for journal, batch in pieces:
            journal.taken = batch.end
        return True

    def _fail(self, journal: FileJournal, error: Exception) -> None:
        if not isinstance(error, HistoryError):
            cause, error = error, HistoryError(f"The history cannot be written: {describe(error)}.")
            error.__cause__ = cause
        journal.failure = error
        self._journals.remove(journal)


def batches(file: JournalFile, start: int) -> Iterator[Batch]:
    """Yield what a journal has from ``start`` on in pieces, up to the last entry that is there as a whole.

    Raises HistoryDamagedError in the place of what cannot be understood and is not just an entry that was cut short.
    """
    size = _PIECE
    while start < file.end:
        batch = fold(file.run_id, start, file.read(start, min(size, file.end - start)))
        whole = size >= file.end - start
        if batch.end > start:
            yield batch
            start, size = batch.end, _PIECE
        elif not whole:
            # An entry that is longer than a piece.
            size *= 8
        if whole and batch.damaged:
            raise HistoryDamagedError(
                f"The journal {file.path} is damaged at byte {batch.end} of {file.end}: "
                "what is there is nothing that headrace wrote.",
                hint="`headrace doctor --repair` takes what comes before it.",
            )
        if whole:
            return


def _elsewhere() -> HistoryError:
    return HistoryError(
        "This process was forked from the one that has the history open.",
        hint="Record in the process that began the run, or open a history of its own here.",
    )
