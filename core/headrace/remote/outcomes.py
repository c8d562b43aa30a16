"""Outcomes for the journey back: whatever a task returned or raised, the driver gets an outcome it can read."""

from __future__ import annotations

import pickle
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from headrace.engine.worker import Outcome
from headrace.exceptions import RemoteError, TransferError, describe
from headrace.locations import Location, located, noted
from headrace.masking import mask, mask_error
from headrace.remote.errors import class_names, pack_error
from headrace.remote.pickles import Pickler, is_plain, load
from headrace.states import Failed, State, Success

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.engine.worker import Work

__all__ = ["PackedOutcome", "pack_outcome", "reader_of", "unpack_outcome"]


class PackedOutcome(NamedTuple):
    """An outcome as plain data.

    ``error`` is a pickled exception, and ``traceback`` how it would have been printed. ``location`` is whether the
    work's keeper has the result, rather than its memory, the text, and what the owner reads it by.
    """

    key: int
    data: bytes | memoryview
    buffers: list[Any]
    error: bytes | None = None
    traceback: str = ""
    location: tuple[Any, ...] | None = None


class RemoteTracebackError(Exception):
    """The cause of an exception that was raised in another process; its text is the traceback there."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def pack_outcome(work: Work, outcome: Outcome, pickler: Pickler, *, out_of_band: bool = False) -> PackedOutcome:
    """Return ``outcome`` as plain data, in the process that ran ``work``.

    What cannot be pickled becomes a failure that says so. Secrets that this process has resolved are masked in the
    texts of an exception. With ``out_of_band``, large buffers of the result are left in ``buffers``.
    """
    state = outcome.state
    if isinstance(state._result, BaseException):
        return _pack_error(outcome, state._result, pickler)
    if state.location is None and is_plain(state._result) and _is_simple(state):
        return PackedOutcome(outcome.key, pickle.dumps(_fields(state), pickle.HIGHEST_PROTOCOL), [])
    buffers: list[Any] = []
    location = state.location
    if isinstance(location, Location):
        state.location = None
    try:
        what = f"What task {work.name!r} returned"
        data = pickler.dump(_fields(state), what, buffers if out_of_band else None, {"result": state._result})
    except TransferError as error:
        return pack_outcome(work, Outcome(outcome.key, _failed(error, state)), pickler)
    if not isinstance(location, Location):
        return PackedOutcome(outcome.key, data, buffers)
    kept = location.owner is cast("object", work.keeper)
    return PackedOutcome(outcome.key, data, buffers, location=(kept, noted(*location.note), *location.arguments))


def _is_simple(state: State) -> bool:
    return state.__class__ is Success and state._context is None and not state.attempts


def _fields(state: State) -> object:
    """Return what `_state` makes the state of; most are plain successes, which need no class to be named."""
    if _is_simple(state):
        return state.message, state._result, state.started, state.timestamp, state.location
    return state


def _state(fields: Any) -> State:
    if isinstance(fields, State):
        return fields
    message, result, started, timestamp, location = fields
    state = Success(message, result)
    state.started, state.timestamp, state.location = started, timestamp, location
    return state


def _failed(error: BaseException, before: State) -> State:
    state = Failed(describe(error), error)
    state.started = before.started
    return state


def _pack_error(outcome: Outcome, error: BaseException, pickler: Pickler) -> PackedOutcome:
    state = outcome.state
    mask_error(error)
    text = mask(_formatted(error))
    state.result = None
    message, state.message = state.message, None
    fields = state, message and mask(message), mask(describe(error)), class_names(error)
    return PackedOutcome(outcome.key, pickler.dump(fields, "The state"), [], pack_error(error), text)


def _formatted(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only where something went wrong

    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return describe(error)


def unpack_outcome(work: Work, packed: PackedOutcome) -> Outcome:
    """Return the outcome that ``packed`` was made of, in the process that drives the run; never raises.

    An exception has the traceback of the other process as the text of its cause. What cannot be read here becomes a
    failure that says so.
    """
    try:
        state = _unpacked(work, packed)
    except TransferError as error:
        state = Failed(describe(error), error)
    return Outcome(packed.key, state)


def _unpacked(work: Work, packed: PackedOutcome) -> State:
    fields = load(packed.data, f"What task {work.name!r} returned", packed.buffers)
    if not packed.traceback:
        state = _state(fields)
        if packed.location is not None:
            kept, where, *arguments = packed.location
            # What reads it is here; only what to read has travelled.
            owner: Any = work.keeper if kept else getattr(work, "memory", None)
            state.location = located(str(where), owner, *arguments, kind=where.kind, digest=where.digest)
        return state
    state, state.message, *what = fields
    state.result = _error(packed, *what)
    return state  # type: ignore[no-any-return]


def _error(packed: PackedOutcome, described: str, names: tuple[str, ...]) -> BaseException:
    error: object = None
    if packed.error:
        with suppress(TransferError):
            error = load(packed.error, "The exception")
    if not isinstance(error, BaseException):
        text = f"{described} (an exception that cannot be sent between processes)"
        error = RemoteError(text, class_names=names)
    # A class may refuse to have its attributes set, as frozen dataclasses do.
    BaseException.__setattr__(error, "__cause__", RemoteTracebackError(packed.traceback))
    return error


def reader_of(work: Work, state: State) -> Callable[[], object] | None:
    """Return what reads the result of ``state`` from where the task or its run keeps results; None if neither does.

    An executor that keeps results falls back on it when it has lost one.
    """
    location = state.location
    if isinstance(location, Location):
        return location.load
    return None if location is None or work.keeper is None else partial(work.keeper.load, location)
