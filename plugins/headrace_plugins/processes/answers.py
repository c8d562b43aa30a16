"""What the driver makes of the messages of workers."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING

from headrace.engine.worker import Outcome
from headrace.exceptions import TransferError, describe
from headrace.masking import masker
from headrace.remote import PackedOutcome, replay, unpack_outcome
from headrace.states import Failed
from headrace_plugins.processes import streams

if TYPE_CHECKING:
    from headrace.engine.worker import Work
    from headrace_plugins.processes.channel import Message

__all__ = ["call_number", "learn_secrets", "outcome_of", "show_record", "show_text"]

# The heads are pickles of plain data, which workers that are ours have made.


def call_number(message: Message) -> int:
    """Return the number of the call that an answer is about."""
    return pickle.loads(message.head)[0]  # type: ignore[no-any-return]  # noqa: S301


def outcome_of(work: Work, message: Message) -> Outcome:
    """Return the outcome that a worker sent, or one that says why it could not be received."""
    _, key, error, formatted, location = pickle.loads(message.head)  # noqa: S301
    if message.error is None:
        packed = PackedOutcome(key, message.body, message.buffers, error, formatted, location)
        try:
            return unpack_outcome(work, packed)
        except BaseException as raised:  # noqa: BLE001 - a foreign __setstate__ that exits would end the pool's thread
            return work.failed(raised)
    lost = TransferError(f"What task {work.name!r} returned could not be received: {message.error}.")
    return Outcome(key, Failed(describe(lost), lost))


def show_record(message: Message) -> None:
    """Handle a log record as if it had been made here. What a handler raises is printed, as logging itself does."""
    if message.error is not None:  # there was no memory for it
        return
    try:
        replay(pickle.loads(message.body))  # noqa: S301
    except Exception:  # noqa: BLE001 - as said
        traceback.print_exc()


def learn_secrets(message: Message) -> None:
    """Mask what a worker has found, from now on."""
    if message.error is None:
        masker.add(pickle.loads(message.body))  # noqa: S301


def show_text(message: Message) -> None:
    """Write what was printed to the standard stream of the same name."""
    streams.write(*pickle.loads(message.head))  # noqa: S301
