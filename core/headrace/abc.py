"""The interfaces a plugin can implement; each docstring is the contract.

Interfaces are small. A component is given what it needs in ``start`` and registers its own clean-up on the
exit stack it gets there, so it has no ``close`` to forget.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol

from headrace.references import ResultReference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path
    from typing import Self

    from headrace.engine.worker import Outcome, Work
    from headrace.history.records import (
        AttemptRecord,
        Finding,
        LimitRecord,
        LogQuery,
        LogRecord,
        NoteRecord,
        RunQuery,
        RunRecord,
        Tally,
        TaskRecord,
        TaskRunQuery,
        TaskRunRecord,
        ValueRecord,
    )
    from headrace.plugins import StateChange
    from headrace.whereabouts import Place

__all__ = [
    "Capability",
    "Executor",
    "ExecutorContext",
    "Notifier",
    "OutputTaker",
    "ResultReference",
    "ResultStore",
    "RunJournal",
    "RunStore",
    "SecretProvider",
    "Serializer",
]


class Capability(Enum):
    """What an executor can do beyond running work."""

    REMOTE = "remote"
    """Work runs in another process or machine, so it must be picklable."""
    HARD_TIMEOUT = "hard-timeout"
    """Work that is past its timeout is killed."""
    CANCEL = "cancel"
    """Work that has started can be stopped."""
    KEEPS_RESULTS = "keeps-results"
    """Results stay where they were made and travel between tasks as references: see `ResultReference`."""
    CHAINS = "chains"
    """Work that follows on other work can be handed over together with that: see `Executor.submit_chain`."""


def _no_depth(_slug: str) -> int:
    return 0


class OutputTaker(Protocol):
    """Takes what a task run wrote: the task run, ``"stdout"`` or ``"stderr"``, and a text, which need not be a line.

    ``at`` is when that was, in seconds since the epoch, for what comes late; by default just now.
    """

    def __call__(self, place: Place, stream: str, text: str, /, *, at: float | None = None) -> object: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorContext:
    """What an executor is told about the run it serves.

    Attributes:
        flow_name: the name of the flow.
        flow_run_id: the id of the run.
        task_count: how many tasks the flow has; a mapped one counts once.
        plugins: the distributions beside headrace that the result stores and serializers in use come from, with their
            versions. They are needed wherever tasks run.
        depth_of: returns how many tasks lie before a task, given by its slug, on the longest way to it; for executors
            that order what waits, so that what was begun is brought to an end first.
        take_output: called from any thread with what a task run wrote to a standard stream in another process, see
            `OutputTaker`. The executor shows it too. None if nobody wants it.
    """

    flow_name: str
    flow_run_id: str
    task_count: int
    plugins: Mapping[str, str] = field(default_factory=dict)
    depth_of: Callable[[str], int] = _no_depth
    take_output: OutputTaker | None = None


class Executor(ABC):
    """Runs work.

    The driver calls ``start`` once and then ``submit`` from one thread, never with more than ``capacity`` pieces of
    work undelivered. For each submitted ``work`` the executor calls ``deliver`` exactly once, from any thread, with
    what ``work()`` returned. ``work()`` never raises an ``Exception``: a task's error is in the outcome. If the
    executor itself fails to run a piece of work (its process died), it delivers ``work.failed(error)``. To run work in
    another process, see `headrace.remote`.

    An executor may be started again after its exit stack was closed. Where one object could be given to two runs at the
    same time, and can serve one, it refuses the second with an `ExecutorError`, as with `headrace.claims.Claim`.

    All of this is in `headrace.testing.ExecutorConformance`, as tests to inherit.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Return how many pieces of work it is useful to have submitted at once; asked again and again."""

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Acquire resources and register their release on ``stack``. Called in the driver's thread."""

    @abstractmethod
    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Arrange for ``deliver(work())`` to be called, now or later, here or elsewhere."""

    def chain_length(self, work: Work, /) -> int:
        """Return how many pieces of work `submit_chain` may be given at once, of which ``work`` is the first.

        Asked for `Capability.CHAINS` only, each time that nothing else could run. One means that the time it takes to
        hear of each outcome and to submit what follows does not matter, as for tasks that take long.
        """
        return 1

    def submit_chain(self, chain: Sequence[Work], deliver: Callable[[Outcome], object], /) -> None:
        """Like `submit`, for work of which each piece but the first is to begin when the one before it has succeeded.

        All are calls of one task: copies of it, each of which waits for nothing but the one before. Among the arguments
        `headrace.remote.AwaitedResult` stands for the result of an earlier piece. A piece that ends in any other way
        than in a Success, also one that is Skipped, is the last that begins.

        The executor need not do all of it. For what has not begun, and is not going to, it delivers
        ``work.not_begun()``, though never for the first; that is submitted again when it is its turn, with what it is
        then called with. The same goes for work whose end nobody can tell since the one before it was lost.
        """
        first, *others = chain
        self.submit(first, deliver)
        for work in others:
            deliver(work.not_begun())

    def withdraw(self) -> list[Work]:
        """Take back work that was submitted and has not begun, because the run is being cancelled.

        What is returned is not delivered.
        """
        return []

    def cancel(self, *, force: bool) -> None:
        """Stop the work that has begun, because the run is being cancelled; only for `Capability.CANCEL`.

        Work is asked to end, or killed if ``force`` says so, which is what happens to work that does not end in time.
        Either way an outcome is delivered for it: what it returned meanwhile, or a Cancelled one.
        """


class ResultStore(ABC):
    """Keeps bytes under locations: relative POSIX paths such as ``2026/11/total.pickle``.

    Every method may be called from any thread. Writes are atomic: a reader sees the old bytes or the new ones.
    A location that is absolute or climbs out with ``..`` raises `ResultLocationError`.
    """

    @abstractmethod
    def write(self, location: str, data: bytes) -> None:
        """Store ``data`` at ``location``, replacing what was there."""

    @abstractmethod
    def read(self, location: str) -> bytes:
        """Return the bytes at ``location``; raise `ResultNotFoundError` if there are none."""

    @abstractmethod
    def exists(self, location: str) -> bool:
        """Tell whether something is stored at ``location``."""

    @abstractmethod
    def delete(self, location: str) -> None:
        """Remove what is at ``location``; do nothing if there is nothing."""

    def locations(self, folder: str = "") -> Iterable[str]:
        """Return every location below ``folder``, in any order; nothing for a folder that is not there.

        A store that cannot list what it keeps leaves this out; it cannot hold the cache of a task that has a validator
        of its own, and ``headrace cache`` cannot look through it.
        """
        from headrace.exceptions import ResultError  # noqa: PLC0415 - only for stores that cannot

        raise ResultError(f"{type(self).__name__} cannot list what it keeps.", hint="Use a store that can: `file:`.")


class Serializer(ABC):
    """Turns values into bytes and back. Both methods may be called from any thread or process."""

    @abstractmethod
    def serialize(self, value: object) -> bytes:
        """Return ``value`` as bytes; raise ``TypeError`` or ``ValueError`` if it cannot be."""

    @abstractmethod
    def deserialize(self, data: bytes) -> object:
        """Return the value that ``data`` was made from."""


class SecretProvider(ABC):
    """Finds secrets by name, in the process where a task runs. May be used from any thread.

    A provider is made when a secret is asked for that nothing before it has, and asked once. It must not log a value,
    nor put one into an exception.
    """

    @abstractmethod
    def find(self, name: str) -> object:
        """Return the secret of that name, usually a text, or None if there is none.

        May raise to say that it cannot tell, which ends the search.
        """


class Notifier(ABC):
    """Tells somebody that a run changed state.

    ``notify`` is called on a thread of its own, never on the one that drives the run, with one change at a time and
    in order. An exception it raises is logged and counted; it never fails the run.
    """

    def wants(self, change: StateChange) -> bool:
        """Tell whether ``change`` is worth a message. By default: finished flow runs and failed task runs.

        Called on the driving thread for every change, so it must be quick.
        """
        return change.new.is_finished() if change.task_run is None else change.new.is_failed()

    def start(self, stack: ExitStack) -> None:
        """Acquire resources and register their release on ``stack``."""

    @abstractmethod
    def notify(self, change: StateChange) -> None:
        """Send the message. May block; may raise to say that it failed."""


class RunJournal(ABC):
    """Takes down what happens in one run.

    Every method but `logged`, `cancel_request`, `limited_tags`, `take_slots` and `abandon` is called by the thread that
    drives the run, several times for each task run, and should take microseconds. When a call has returned, what it
    said outlives the death of the process, at whatever moment and by whatever signal; within a moment, 20 milliseconds
    where the disk keeps up, readers see it and it outlives a power cut. `flush` and `ended` wait for that. What was
    said is found in the order in which it was said: after a power cut the last of it may be missing, and nothing is
    there without what came before.

    A task run that has finished stays as it is: what is said of it later is not taken. The same holds for the run.

    Every method may raise `HistoryError`, for instance because the disk is full. The run cannot be recorded any further
    then: stop it and call `abandon`; what was taken down until then is kept. In a process forked from the one that
    began the run, every method raises it.

    A task run is given by its node and its map index, `headrace.history.UNMAPPED` for one that is no mapped child;
    states, moments and values are as in `headrace.history.records`.
    """

    @abstractmethod
    def began(self, node: int, map_index: int, attempt: int, at: float, /) -> None:
        """Say that an attempt begins; before anything of it runs."""

    @abstractmethod
    def expanded(self, node: int, count: int, at: float, /) -> None:
        """Say how many children a mapped task has; before the first of them begins."""

    @abstractmethod
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
        """Say that a task run goes on later: Retrying, Paused, Scheduled, Queued, or Looped with what it came to.

        ``attempt`` is the one that comes next, and ``until`` the moment it waits for, if there is one. Pending is said
        of one that was to begin and has not.
        """

    @abstractmethod
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
        """Say how an attempt ended that another one follows; before `waiting` says so."""

    @abstractmethod
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
        """Say that a task run has finished, which is final, and what came of it.

        A value that is at a location is there for good before this is called.
        """

    @abstractmethod
    def taken_over(self, record: TaskRunRecord, /) -> None:
        """Say that a task run stays as an earlier run has finished it, which is known only now that the run goes on.

        ``record`` has the value, and the id of the run that did the work in ``taken_from``.
        """

    @abstractmethod
    def noted(self, node: int, map_index: int, kind: str, text: str, /) -> None:
        """Add a remark on a task run."""

    @abstractmethod
    def logged(self, node: int, map_index: int, attempt: int, at: float, level: int, logger: str, text: str, /) -> None:
        """Take down what a task run logged or printed; ``node`` is `headrace.history.NO_TASK` for the run itself.

        May be called from any thread, at any time until the run has ended. Of a long text the middle is left out.
        """

    @abstractmethod
    def bound_logs(self, per_task_run: int, per_run: int, /) -> None:
        """Say how many bytes of what is `logged` are kept of each task run, and of the run. Called first, if at all.

        Of a task run that logs more, the beginning is kept, and what it logged last: at least the last 64 kB, also when
        the process dies. Once all together is too much, that holds for the run as a whole. What is left out is said.
        """

    @abstractmethod
    def entered(self, state: str, message: str | None, at: float, /) -> None:
        """Say that the run itself is in a state that is not its last, such as Cancelling."""

    @abstractmethod
    def cancel_request(self) -> str | None:
        """Return why somebody wants the run to end, "" if he did not say, or None if nobody does.

        That is what `RunStore.request_cancel` was given, in whatever process. Called several times a second, in a
        thread of its own.
        """

    @abstractmethod
    def limited_tags(self) -> frozenset[str]:
        """Return the tags that have a limit, see `RunStore.set_limit`. Called several times a second, as above."""

    @abstractmethod
    def take_slots(self, node: int, map_index: int, tags: Collection[str], /) -> bool:
        """Take a slot of each of ``tags`` that has a limit for a task run that is to begin: all of them, or none.

        Tells whether the task run may begin. If it may not, it is now in line, and whoever came first for a slot that
        is free gets it: ask again, a few times a second. Slots and places in line of runs whose owners died are given
        up first. Called in threads of their own, while no other is called for the same task run; may wait for others.

        The slots, or the place in line, are given up in the transaction in which it is written that the task run has
        `finished` or is `waiting`, or that the run has ended, and never in another way. So say first that the task run
        is Queued; what was said of it before this was called gives up nothing.
        """

    @abstractmethod
    def flush(self) -> None:
        """Wait until all that was said can be read, and outlives a power cut."""

    @abstractmethod
    def ended(self, state: str, message: str | None, at: float, /) -> None:
        """Say in which state the run has ended, and give it out of our hands; the journal takes nothing after that.

        When this returns, all of the run can be read and outlives a power cut. A run that waits for people ends as
        Paused. If it raises, the run is owned no longer, and the store makes up for it when `RunStore.sweep` is called.
        """

    @abstractmethod
    def abandon(self, why: str | None = None, /) -> None:
        """Stop taking down a run that has not ended; do nothing if it has. Never raises. For any thread.

        The run counts as one whose owner died. With ``why`` it is one that its process was told not to wait for: it
        counts as Cancelled, with ``why`` as its message and ``interrupted`` as the cause. What ran counts as Crashed.
        """


class RunStore(ABC):
    """Keeps the history of runs, where other processes find it.

    The store is made from a URL without touching anything; the first call opens it. It is made where there is none yet
    by `begin` and `set_limit` only; to all other methods, a history that is not there is one without runs. Every method
    may be called from any thread, and at the same time by any number of processes, which wait for each other without
    failing.

    A run has at most one owner: the process that began it, as long as that lives and has not ended it. Whether an owner
    lives is a fact that the operating system or the database knows, not a matter of time.

    Methods that take the id of a run raise `RunNotFoundError` if there is none. Every method may raise `HistoryError`,
    whose message says where the history is, what was found, and what to do: it cannot be read or written, is damaged,
    or was written by a later version. A damaged history is never replaced by a new one.
    """

    @abstractmethod
    def begin(
        self,
        run: RunRecord,
        tasks: Sequence[TaskRecord],
        *,
        taken_over: Iterable[TaskRunRecord] = (),
        again: bool = False,
    ) -> RunJournal:
        """Record that a run begins, owned by this process; all of that or, if this raises, nothing.

        When this returns, other processes see the run, and it outlives a power cut. ``taken_over`` are what a resumed
        run has from ``run.resumed_from``, values included; ones that have not finished are left out. They keep their
        ``taken_from``, and those that have none get the id of that run.

        Raises `RunOwnedError` if the run to go on from lives, or if another has gone on from it already, unless
        ``again`` allows that; of several processes that try at once, one succeeds. An owner that died is no hindrance.
        """

    @abstractmethod
    def runs(self, query: RunQuery | None = None) -> Iterator[RunRecord]:
        """Yield the runs that ``query`` asks for, by default all but those inside of others; the last one first."""

    @abstractmethod
    def run(self, name: str) -> RunRecord:
        """Return the run of an id, or of the beginning of one that no other has, or of a name; or the ``latest``.

        Of several runs with one name it is the last one. Raises `RunNotFoundError`, which lists the nearest ones.
        """

    @abstractmethod
    def tasks(self, run_id: str) -> Sequence[TaskRecord]:
        """Return the tasks of a run in the order of its plan."""

    @abstractmethod
    def task_runs(self, run_id: str, query: TaskRunQuery | None = None) -> Iterator[TaskRunRecord]:
        """Yield the task runs that ``query`` asks for, by node and map index, without holding them in memory.

        A mapped task comes before its children. Task runs of which nothing was said yet are not there. Writers go on
        meanwhile: what they change may be seen or not.
        """

    @abstractmethod
    def task_run(self, run_id: str, node: int, map_index: int = -1) -> TaskRunRecord | None:
        """Return one task run with its value, or None if nothing was said of it."""

    @abstractmethod
    def attempts(self, run_id: str, node: int, map_index: int = -1) -> Sequence[AttemptRecord]:
        """Return the earlier attempts of a task run in order."""

    @abstractmethod
    def notes(self, run_id: str, node: int, map_index: int = -1) -> Sequence[NoteRecord]:
        """Return the remarks on a task run in order."""

    def tally(self, run_id: str) -> Sequence[Tally]:
        """Count the mapped children of a run by task and state, in this order. 100,000 take a fraction of a second."""
        from headrace.history import whole_runs  # noqa: PLC0415 - only for stores that have no faster way

        return whole_runs.tally(self, run_id)

    def slowest(self, run_id: str, node: int, limit: int) -> Sequence[TaskRunRecord]:
        """Return the children of a mapped task that have finished and whose last attempts took longest, in order."""
        from headrace.history import whole_runs  # noqa: PLC0415 - as above

        return whole_runs.slowest(self, run_id, node, limit)

    def attempts_of_run(self, run_id: str) -> Iterator[AttemptRecord]:
        """Yield the earlier attempts of all task runs, those of one in order, without holding them in memory."""
        from headrace.history import whole_runs  # noqa: PLC0415 - as above

        return whole_runs.attempts_of_run(self, run_id)

    def notes_of_run(self, run_id: str) -> Iterator[NoteRecord]:
        """Yield the remarks on all task runs, those on one in order, without holding them in memory."""
        from headrace.history import whole_runs  # noqa: PLC0415 - as above

        return whole_runs.notes_of_run(self, run_id)

    @abstractmethod
    def logs(self, run_id: str, query: LogQuery | None = None) -> Iterator[LogRecord]:
        """Yield what a run has logged, in the order in which it was said, without holding it in memory."""

    @abstractmethod
    def is_alive(self, run_id: str) -> bool | None:
        """Tell whether a run is owned by a process that lives; None if that cannot be told from here."""

    @abstractmethod
    def sweep(self, *, foreign: bool = False) -> Sequence[RunRecord]:
        """Record the end of runs whose owners died, and return those.

        What they had taken down is read in first. A run that had said how it ended ends so. Any other is recorded as
        Crashed, with the cause, and so are its task runs that were running; those that waited keep waiting. Without
        such runs this takes a millisecond or two, so that every command can begin with it.

        An owner on another machine may be alive for all that this one knows: its runs are left alone unless
        ``foreign`` says that it is not.
        """

    @abstractmethod
    def request_cancel(self, run_id: str, reason: str = "") -> None:
        """Ask the process that drives a run, wherever it is, to end the run in order. This does not wait for it.

        The process sees that through `RunJournal.cancel_request`, within half a second. Raises `RunEndedError` if the
        run has ended, or if its owner is dead.
        """

    @abstractmethod
    def limits(self) -> Sequence[LimitRecord]:
        """Return the limits that there are and who holds slots of them, by tag."""

    @abstractmethod
    def set_limit(self, tag: str, slots: int | None) -> None:
        """Let no more than ``slots`` task runs with a tag run at once, in all runs of this history together.

        With 0 none begins, and with None there is no limit. Runs that go on see that within a second. Who has a slot
        keeps it, also if there are more of them now than there may be.
        """

    @abstractmethod
    def delete(self, run_id: str) -> Sequence[str]:
        """Forget a run and all that was recorded of it, and return the locations that no other run refers to.

        Results there are for the caller to remove. Runs inside of it stay and lose their parent. Raises `RunOwnedError`
        if the run is alive.
        """

    @abstractmethod
    def size(self) -> int:
        """Return how many bytes the history takes on the disk, 0 if there is none."""

    @abstractmethod
    def compact(self) -> None:
        """Give the space of deleted runs back to the disk. May take long, and writers wait."""

    @abstractmethod
    def check(self) -> Sequence[Finding]:
        """Look through all of the history and return what is wrong with it; nothing is changed. May take long."""

    @abstractmethod
    def repair(self) -> Sequence[Finding]:
        """Put right what `check` finds repairable, and return what was done.

        What was there before is kept aside and named. Raises `HistoryError` if a run is alive.
        """

    def place(self, project: Path) -> str:
        """Return what no other history goes by, without a password.

        One that lies in the folder ``project`` goes by the same when that folder is moved.
        """
        del project
        return repr(self)

    def locations(self) -> Iterator[str]:
        """Yield the locations that any run refers to, each at least once."""
        from headrace.history.records import RunQuery  # noqa: PLC0415 - only for stores that have no faster way

        for run in self.runs(RunQuery(nested=True)):
            for records in (self.task_runs(run.id), self.attempts_of_run(run.id)):
                for record in records:
                    if record.value is not None and record.value.location is not None:
                        yield record.value.location

    def facts(self) -> Mapping[str, str]:
        """Return what somebody who looks for a fault wants to know: where the history is and how it is kept.

        No value holds a password.
        """
        return {}

    @abstractmethod
    def close(self) -> None:
        """Wait until what journals were told is in the store, and let go of it; do nothing the second time.

        Runs that have not ended are abandoned. The next call of another method opens the store again.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
