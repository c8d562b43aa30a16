"""What a task run says, on its way from a worker to the driver: log records, and what it prints if anybody wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.remote import replay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.abc import OutputTaker
    from headrace.whereabouts import Place

__all__ = ["Printed", "Said", "hand_on"]


class Printed(NamedTuple):
    """A line that a task run printed, or a part of a long one, and when, in seconds since the epoch."""

    place: Place
    stream: str
    text: str
    at: float


Said = dict[str, Any] | Printed
"""A log record as `headrace.remote.RecordForwarder` sends it, or a line."""


def hand_on(said: Iterable[Said], take_output: OutputTaker | None) -> None:
    """Handle log records as if they had been made here, and let who wants them take the lines."""
    for each in said:
        if not isinstance(each, Printed):
            replay(each)
        elif take_output is not None:
            take_output(each.place, each.stream, each.text, at=each.at)
