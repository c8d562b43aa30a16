"""The whole journey in three functions, for executors that send each piece of work by itself."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.engine.worker import Outcome
from headrace.exceptions import HeadraceError, TransferError, WorkerCrashedError, describe
from headrace.remote.logs import Levels, RecordForwarder, replay
from headrace.remote.outcomes import PackedOutcome, pack_outcome, unpack_outcome
from headrace.remote.parcels import Call, Courier, Part, Workshop
from headrace.remote.pickles import Pickler, load
from headrace.states import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import BrokenExecutor, Future

    from headrace.engine.worker import Work

__all__ = ["outcome", "pack", "run", "unpack"]


class _Parcel(NamedTuple):
    run: Part
    task: Part
    call: bytes
    levels: Levels


class _Reply(NamedTuple):
    outcome: PackedOutcome
    records: list[dict[str, Any]]


def pack(work: Work) -> bytes:
    """Return ``work`` as bytes for `run` in another process; raise `TransferError` naming what cannot be pickled."""
    courier = Courier()
    run, task = courier.parts(work)
    return Pickler().dump(_Parcel(run, task, courier.dump(work), Levels.current()), "The work")


def run(data: bytes) -> bytes:
    """Run what `pack` made, in this process, and return bytes for `unpack`; raise `TransferError` for what is no work.

    What is logged meanwhile travels with the outcome.
    """
    parcel: _Parcel = load(data, "What was sent to the worker")
    workshop, pickler = Workshop(), Pickler()
    workshop.add(parcel.run)
    workshop.add(parcel.task)
    call = Call(*load(parcel.call, "What the task is called with"))
    work = workshop.work(parcel.run.id, parcel.task.id, call)
    with _recording(parcel.levels) as records:
        packed = pack_outcome(work, work(), pickler)
    return pickler.dump(_Reply(packed, records), "The outcome")


@contextmanager
def _recording(levels: Levels) -> Iterator[list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    forwarder = RecordForwarder(records.append)
    logging.root.addHandler(forwarder)
    levels.apply()
    try:
        yield records
    finally:
        logging.root.removeHandler(forwarder)


def unpack(work: Work, data: bytes) -> Outcome:
    """Return the outcome that `run` sent back, and handle the log records that came with it."""
    try:
        reply: _Reply = load(data, "The outcome")
    except TransferError as error:
        return Outcome(work.key, Failed(describe(error), error))
    for fields in reply.records:
        replay(fields)
    return unpack_outcome(work, reply.outcome)


def outcome(work: Work, future: Future[bytes]) -> Outcome:
    """Return the outcome of a future that calls `run`, whatever became of it: for ``Future.add_done_callback``."""
    if future.cancelled():
        return work.cancelled()
    error = future.exception()
    if error is None:
        return unpack(work, future.result())
    from concurrent.futures import BrokenExecutor  # noqa: PLC0415 - only where something went wrong

    if isinstance(error, BrokenExecutor):
        return work.failed(_crashed(work, error))
    # What headrace itself says about the task is its failure; anything else befell the executor.
    return Outcome(work.key, Failed(describe(error), error)) if isinstance(error, HeadraceError) else work.failed(error)


def _crashed(work: Work, error: BrokenExecutor) -> WorkerCrashedError:
    crashed = WorkerCrashedError(f"A process of the pool that had task {work.name!r} died: {error}")
    crashed.__cause__ = error
    return crashed
