"""Which task run the code that runs now belongs to, for whoever takes down what it says."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.run_context import RunFrame, current_frame, run_around

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from headrace.engine.worker import Work

__all__ = ["NOWHERE", "Place", "place_in", "place_of", "places", "speaking_of"]


class Place(NamedTuple):
    """A task run, by the id of its run, its slug, map index and attempt; the run itself if ``slug`` is None."""

    run_id: str
    slug: str | None = None
    map_index: int = -1
    attempt: int = 0


_speaking_of: ContextVar[tuple[Place, ...] | None] = ContextVar("headrace_speaking_of", default=None)
_UNKNOWN: Final = "?"
NOWHERE: Final = Place("")


def places() -> tuple[Place, ...]:
    """Return where this is: the task run, then the one around it if its run is inside of a task, and so on."""
    given = _speaking_of.get()
    return tuple(_places()) if given is None else given


def _places() -> Iterator[Place]:
    frame: Any = current_frame.get()
    work: Any = None
    while frame is not None:
        if isinstance(frame, RunFrame):
            run_id = str(frame.values.get("flow_run_id", _UNKNOWN))
            yield Place(run_id) if work is None else Place(run_id, work.slug, work.map_index, work.attempt)
            work = None
        elif work is None and hasattr(frame, "slug"):
            work = frame
        frame = frame.parent


def place_in(run_ids: Container[str]) -> Place | None:
    """Return the first of `places` that is in one of these runs; None if there is none, but others are.

    If this is nowhere at all, it is a place whose run id is empty.
    """
    given = _speaking_of.get()
    if given is not None:
        return next((place for place in given if place.run_id in run_ids), None if given else NOWHERE)
    # As `_places` does it, without making what nobody wants: every print comes here, several times.
    frame: Any = current_frame.get()
    work: Any = None
    found: Place | None = NOWHERE
    while frame is not None:
        if isinstance(frame, RunFrame):
            run_id = frame.values.get("flow_run_id", _UNKNOWN)
            if run_id in run_ids:
                return Place(run_id) if work is None else Place(run_id, work.slug, work.map_index, work.attempt)
            work = found = None
        elif work is None and hasattr(frame, "slug"):
            work = frame
        frame = frame.parent
    return found


def place_of(work: Work) -> Place | None:
    """Return where ``work`` is when it runs, or None for work of no run."""
    run = run_around(work.parent)
    if run is None:
        return None
    return Place(str(run.values.get("flow_run_id", _UNKNOWN)), work.slug, work.map_index, work.attempt)


@contextmanager
def speaking_of(*given: Place) -> Iterator[None]:
    """Let what is said inside the block count as said there."""
    token = _speaking_of.set(given)
    try:
        yield
    finally:
        _speaking_of.reset(token)
