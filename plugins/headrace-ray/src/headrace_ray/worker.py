"""What runs in the worker processes of Ray."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import time
from contextlib import nullcontext, suppress
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.exceptions import TransferError
from headrace.remote import Call, Levels, PackedOutcome, Part, Workshop, pack_outcome, results_of_chain
from headrace.remote.pickles import Pickler, load
from headrace.states import Cancelled, Success, TimedOut
from headrace_ray import environment
from headrace_ray.ledger import Ledger
from headrace_ray.parcels import Parcel, arrived_inline, arriving, pack, size_of, unpack
from headrace_ray.recorder import Recorder, wait_for_the_end
from headrace_ray.records import Said  # noqa: TC001 - a named tuple's

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace.engine.worker import Outcome, Work

__all__ = ["Answer", "Batch", "Head", "Reply", "cut", "end_processes", "joined", "read_back", "run"]

# A result whose pickle is not larger travels with the outcome.
MOST_INLINE: Final = 8192
# Seconds after which nothing more of a batch begins.
_MOMENT: Final = 0.05
_KEPT_RUNS: Final = 4
_KEPT_HEADS: Final = 64


class Head(NamedTuple):
    """What all calls of one task have in common.

    A part without ``data`` is among the parcels that come beside the call, the one of the run first. ``versions`` are
    those of the driver, and ``mailbox`` is the name of the actor that takes what cannot wait for the outcome.
    ``prints`` is whether the driver wants what the task prints.
    """

    run: Part
    task: Part
    levels: Levels
    versions: Mapping[str, str]
    mailbox: str
    timed: bool
    prints: bool = False


class Reply(NamedTuple):
    """What comes back: the outcome without its result, what was said, and the result or what there is to know of it.

    ``mailed`` says whether there were records that could not wait, and ``late`` whether the task was interrupted at its
    deadline. ``data`` is the pickle of a result, None for one that is an object of its own, or of which there is none.
    """

    outcome: PackedOutcome
    records: list[Said]
    mailed: bool = False
    late: bool = False
    has_result: bool = False
    data: bytes | None = None
    size: int = 0
    length: int | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether there is a result that is an object of its own."""
        return self.has_result and self.data is None


class Batch(NamedTuple):
    """Calls of one task that are sent together, or a single one.

    Each is a pickle and says which of the parcels beside the batch it needs, in the order of the positions in it. Those
    of a ``chain`` follow on each other: none begins unless the one before has succeeded.
    """

    name: bytes
    calls: list[tuple[bytes, tuple[int, ...]]]
    chain: bool = False


class Answer(NamedTuple):
    """What came of a batch: a pickled `Reply` for each call, None for one that was not run and is to be sent by itself.

    ``longest`` is how many seconds the longest of them took; ``chain_ended`` is whether a call was not run because the
    one before it in a chain has not succeeded.
    """

    replies: list[bytes | None]
    longest: float
    chain_ended: bool = False


def joined(head: Head) -> bytes:
    """Return the head of all calls of a task, to which each batch is appended: Ray takes its time for each argument."""
    data = pickle.dumps(head, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(4, "big") + data


def run(head_and_batch: bytes, *parcels: Parcel) -> tuple[bytes, Parcel | bytes]:
    """Do what is in a batch; return a pickled `Answer`, and the result of the last if it stays with Ray.

    Raises `ExecutorError` where versions differ, and `TransferError` for a single call that cannot be read here.
    """
    end = 4 + int.from_bytes(head_and_batch[:4], "big")
    head = _head(head_and_batch[4:end])
    beside = _provided(head, parcels)
    batch: Batch = pickle.loads(head_and_batch[end:])
    if len(batch.calls) > 1:
        answer, result = _run_many(head, batch, beside)
    else:
        began = time.perf_counter()
        reply, result, *_ = _done(head, _work(head, *batch.calls[0], beside))
        answer = Answer([reply], time.perf_counter() - began)
    return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL), result


def _work(head: Head, call: bytes, places: tuple[int, ...], beside: Sequence[Parcel]) -> Work:
    with arriving([beside[place] for place in places]) if places else nullcontext():
        fields = load(call, "What the task is called with")
    return _workshop(head.mailbox).work(head.run.id, head.task.id, Call(*fields))


class _Done(NamedTuple):
    """What came of a piece of work: the pickled reply, the result if it stays with Ray, and what follows from it.

    ``handed_on`` is the pickle of the result for a piece that follows on it in a chain, None if none may begin.
    """

    reply: bytes
    result: Parcel | bytes
    interrupted: bool
    handed_on: bytes | None


def _done(head: Head, work: Work) -> _Done:
    bench = _bench()
    with bench.recorder.recording(head, work) as recorder:
        outcome = work()
        kind = type(outcome.state)
        reply, result = _reply(work, outcome, bench.pickler)
        records, mailed = recorder.rest()
    if records or mailed:
        reply = reply._replace(records=records, mailed=mailed)
    if reply.late and head.timed:
        wait_for_the_end(head.mailbox, work.key, reply)
    handed_on = reply.data if kind is Success else None
    return _Done(pickle.dumps(reply, pickle.HIGHEST_PROTOCOL), result, issubclass(kind, Cancelled), handed_on)


def _run_many(head: Head, batch: Batch, beside: Sequence[Parcel]) -> tuple[Answer, Parcel | bytes]:
    replies: list[bytes | None] = [None] * len(batch.calls)
    longest = 0.0
    chain_ended = False
    result: Parcel | bytes = b""
    # Who cancels the run interrupts this, too; and what cannot be noted must not begin.
    with suppress(KeyboardInterrupt, OSError):
        ledger = _bench().ledger
        ledger.open(batch.name)
        for done, seconds in _one_by_one(head, batch, beside, ledger, replies):
            result = done.result
            longest = max(longest, seconds)
            chain_ended = batch.chain and done.handed_on is None and not result
        ledger.write()
    return Answer(replies, longest, chain_ended), result


def _one_by_one(
    head: Head, batch: Batch, beside: Sequence[Parcel], ledger: Ledger, replies: list[bytes | None]
) -> Iterator[tuple[_Done, float]]:
    """Run one call after the other and put its reply into ``replies``; yield what came of it, and the seconds it took.

    That goes on for a moment, and as long as each leaves nothing but a small result. What has not begun by then is left
    for other workers, and so is what was taken away meanwhile. A chain ends where the next call has nothing to follow
    on.
    """
    began = before = time.perf_counter()
    handed_on: dict[int, bytes] = {}
    for place, (call, places) in enumerate(batch.calls):
        if not ledger.begin(place):
            return
        try:
            with results_of_chain(lambda key: arrived_inline(handed_on[key])) if batch.chain else nullcontext():
                work = _work(head, call, places, beside)
        except TransferError:
            # It says so when it is sent by itself.
            ledger.end(place, b"")
            if batch.chain:
                return
            continue
        done = _done(head, work)
        # At once: what has ended when the run is cancelled has ended.
        replies[place] = done.reply
        ledger.end(place, done.reply)
        now = time.perf_counter()
        yield done, now - before
        before = now
        if done.result or done.interrupted or now - began > _MOMENT or (batch.chain and done.handed_on is None):
            return
        handed_on[work.key] = done.handed_on or b""


@lru_cache(maxsize=_KEPT_HEADS)
def _head(data: bytes) -> Head:
    head: Head = pickle.loads(data)
    return head


class _Bench:
    """What one worker process keeps between calls."""

    def __init__(self) -> None:
        self.pickler = Pickler()
        self.recorder = Recorder()

    @cached_property
    def ledger(self) -> Ledger:
        """Where to note what has become of a batch; raise OSError if no file can be made."""
        ledger = Ledger()
        atexit.register(ledger.close)
        return ledger


@lru_cache(maxsize=1)
def _bench() -> _Bench:
    return _Bench()


@lru_cache(maxsize=_KEPT_RUNS)
def _workshop(_mailbox: str) -> Workshop:
    """Return the workshop of one run. The mailbox's name tells runs apart: ids are each run's own."""
    return Workshop()


def _provided(head: Head, parcels: tuple[Parcel, ...]) -> tuple[Parcel, ...]:
    """Take in what all calls of the task have in common, if it is new here, and return the parcels of the calls."""
    workshop = _workshop(head.mailbox)
    if head.task.id not in workshop:
        _provide(workshop, head, parcels)
    return parcels[(not head.run.data) + (not head.task.data) :]


def _provide(workshop: Workshop, head: Head, parcels: tuple[Parcel, ...]) -> None:
    beside = iter(parcels)
    for part in (head.run, head.task):
        data = part.data or next(beside)[0]
        if part is head.run and part.id not in workshop:
            _check_versions(head.versions)
        workshop.add(Part(part.id, data))


def _check_versions(versions: Mapping[str, str]) -> None:
    found = environment.differences(versions, environment.probe()(versions))
    if found:
        import platform

        raise environment.mismatch(found, f"node {platform.node()}")


def _reply(work: Work, outcome: Outcome, pickler: Pickler) -> tuple[Reply, Parcel | bytes]:
    state = outcome.state
    if not state.is_successful():
        return Reply(pack_outcome(work, outcome, pickler), [], late=isinstance(state, TimedOut)), b""
    value = state.result
    try:
        parcel = pack(pickler, value, f"What task {work.name!r} returned", {"result": value})
    except TransferError:
        # Says the same, as the failure that it is.
        return Reply(pack_outcome(work, outcome, pickler), []), b""
    state.result = None
    packed = pack_outcome(work, outcome, pickler)
    size = size_of(parcel)
    length = len(value) if type(value) in (list, tuple) else None
    if size <= MOST_INLINE:
        return Reply(packed, [], has_result=True, data=bytes(parcel[0]), size=size, length=length), b""
    return Reply(packed, [], has_result=True, size=size, length=length), parcel


def cut(parcel: Parcel, per_piece: int) -> tuple[Parcel, ...] | Parcel:
    """Return a list in pieces; a single piece, as Ray wants it, by itself."""
    values: Any = unpack(parcel, "A list that is mapped over")
    pickler = Pickler()
    what = "A piece of a list that is mapped over"
    starts = range(0, len(values), per_piece)
    pieces = tuple(pack(pickler, values[start : start + per_piece], what) for start in starts)
    return pieces[0] if len(pieces) == 1 else pieces


def end_processes(mark: str) -> None:
    """Kill the workers on this node that run a task whose Ray name holds ``mark``, which is what their titles show."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=False)  # noqa: S607
    for line in listed.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if command.startswith("ray::") and mark in command:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)


def read_back(reload: bytes, name: str) -> Parcel:
    """Return the result of the task called ``name`` once more, as the result store has it."""
    call: Callable[[], object] = load(reload, "What reads a result back")
    return pack(_bench().pickler, call(), f"What task {name!r} returned")
