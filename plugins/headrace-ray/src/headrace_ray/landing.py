"""What came of the work that was with Ray, as outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.engine.worker import Outcome
from headrace.exceptions import TaskTimeoutError, describe
from headrace.remote import reader_of, unpack_outcome
from headrace.states import Cancelled, Failed, TimedOut
from headrace_ray import faults
from headrace_ray.records import hand_on
from headrace_ray.references import InlineReference, LostObjectError, RayReference, StoredReference

if TYPE_CHECKING:
    from headrace.abc import OutputTaker
    from headrace.engine.worker import Work
    from headrace.states import State
    from headrace_ray.dispatch import Store
    from headrace_ray.flights import Flight, Passenger
    from headrace_ray.worker import Reply

__all__ = ["landed", "mended", "stopped"]


def landed(
    passenger: Passenger,
    flight: Flight,
    answer: Reply | BaseException,
    store: Store,
    take_output: OutputTaker | None,
) -> Outcome:
    """Return the outcome of a piece of work of which Ray says ``answer``, and hand on what it said."""
    if flight.late and flight.reply is None:
        # Whatever it still returned: it was killed, or was about to be.
        return _timed_out(passenger.work, flight)
    if isinstance(answer, BaseException):
        return _failed(passenger, flight, answer)
    hand_on(answer.records, take_output)
    outcome = unpack_outcome(passenger.work, answer.outcome)
    state = outcome.state
    if answer.has_result:
        state.result = _reference(passenger.work, flight, answer, state, store)
    elif flight.cancelled and isinstance(state, Cancelled):
        # It was this process that interrupted the task, and no user at its keyboard.
        outcome.state = _stopped(state)
    return outcome


def stopped(passenger: Passenger) -> Outcome:
    """Return the outcome of a piece of work that was cancelled before it began."""
    return Outcome(passenger.work.key, _stopped())


def _reference(work: Work, flight: Flight, reply: Reply, state: State, store: Store) -> RayReference:
    if reply.data is not None:
        return InlineReference(work.name, reply.data, reply.length)
    return StoredReference(work.name, flight.result, reply.size, reply.length, store, reader_of(work, state))


def _failed(passenger: Passenger, flight: Flight, error: BaseException) -> Outcome:
    work = passenger.work
    own = faults.own_error(error)
    if own is not None:
        return Outcome(work.key, Failed(describe(own), own))
    if flight.cancelled or faults.is_cancellation(error):
        return Outcome(work.key, _stopped())
    lost = faults.lost_object(error)
    if lost is not None:
        names = [source.name for source in passenger.cargo.sources if source.hangs_on(lost)]
        gone = LostObjectError(names[0] if names else work.name, lost, type(faults.inner(error)).__name__)
        return Outcome(work.key, Failed(describe(gone), gone))
    return work.failed(faults.translated(error, work.name))


def _stopped(before: State | None = None) -> Cancelled:
    state = Cancelled("It was stopped, because the run was cancelled.")
    state.started = before.started if before is not None else None
    return state


def _timed_out(work: Work, flight: Flight) -> Outcome:
    error = TaskTimeoutError(
        f"Task {work.name!r} took longer than its timeout of {work.task.timeout:g} s and was killed."
    )
    state = TimedOut(describe(error), error)
    state.started = flight.started
    return Outcome(work.key, state)


def mended(flight: Flight, answer: object) -> bool:
    """If work that left alone lacked a result that is lost, have that made again; tell whether it may leave anew."""
    lost = faults.lost_object(answer) if isinstance(answer, BaseException) else None
    if lost is None or flight.cancelled or flight.departures > 2 * len(flight.sent) + 2:
        return False
    for source in flight.passengers[0].cargo.sources:
        if source.ref not in flight.sent:
            # Other work lacked it, too, and has had it made again.
            return True
        if source.hangs_on(lost):
            return source.replace(lost)
    return False
