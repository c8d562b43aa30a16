"""What happens on a worker: work of one run is put together, run, and reported."""

from __future__ import annotations

import pickle
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from distributed import get_worker

from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, TransferError, describe
from headrace.remote import Call, PackedOutcome, Part, Workshop, pack_outcome
from headrace.remote.pickles import Pickler, load
from headrace.run_context import RunFrame, run_around
from headrace.states import Failed
from headrace_dask.environments import differences, environment
from headrace_dask.forwarding import Forwarding
from headrace_dask.journal import Journal
from headrace_dask.messages import OUTCOME, Manifest
from headrace_dask.outbox import Outbox
from headrace_dask.processes import this_process
from headrace_dask.shipping import element_of, supply, supplying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Worker

    from headrace.engine.worker import Work

__all__ = ["INLINE", "Found", "UnfitWorkerError", "ask_to_stop", "close_site", "run_call", "same", "stored", "take"]

INLINE: Final = 8_192
"""How many bytes a result may take, pickled, to travel with its outcome instead of staying on the cluster."""

_MOST_PARTS: Final = 500
_EXTENSION: Final = "headrace"
# What can be mapped over where it is: iterating over these gives what indexing does.
_INDEXED: Final = (list, tuple, range, str)
# What can always be sent from one worker to another.
_SOUND: Final = frozenset({bytes, bytearray, str})


class UnfitWorkerError(ExecutorError):
    """This worker cannot work for a run, because it is not like the process that drives it."""


class Found(NamedTuple):
    """What is known of a result without looking at it.

    ``data`` is its pickle, if it travels with the outcome; otherwise it stays on the cluster.
    """

    data: bytes | None
    size: int
    length: int | None


def run_call(
    ticket: int,
    part: tuple[str, bytes | int],
    call: bytes,
    needed: Sequence[Any],
    manifest: tuple[str, bytes | int],
    *,
    hurry: bool,
) -> Any:
    """Do one piece of work; what it returns stays on the cluster. This is the function that Dask runs.

    ``part`` is what the runs of a task have in common, or the place of that in ``needed``; ``manifest`` is a token and
    a pickled `Manifest`, or its place. Without ``hurry`` nobody waits for this piece of work alone.
    """
    worker = get_worker()
    with supplying(needed):
        token, data = manifest
        site = _sites(worker).get(token) or _open_site(worker, token, _bytes(data))
        return site.run(ticket, Part(part[0], _bytes(part[1])), call, hurry=hurry)


def _bytes(data: bytes | int) -> bytes:
    found: bytes = supply(data) if isinstance(data, int) else data
    return found


def _sites(worker: Worker) -> dict[str, Site]:
    """Return the runs that a worker works for; the worker is what such things hang on."""
    sites: dict[str, Site] = worker.extensions.setdefault(_EXTENSION, {})
    return sites


_opening: Final = Lock()


def _open_site(worker: Worker, token: str, data: bytes) -> Site:
    with _opening:
        sites = _sites(worker)
        if token not in sites:
            sites[token] = Site(worker, pickle.loads(data))
        return sites[token]


class Site:
    """The run as one worker sees it. Used by all of its threads."""

    def __init__(self, worker: Worker, manifest: Manifest) -> None:
        _check(worker, manifest)
        self._outbox = Outbox(worker, manifest.topic)
        self._workshop = Workshop()
        self._workshop.add(manifest.run)
        self._run_id = manifest.run.id
        self._parts: dict[str, None] = {}
        self._lock = Lock()
        self._pickler = Pickler()
        self._stopped_up_to = -1
        self._frames: set[RunFrame] = set()
        self._stack = ExitStack()
        self._journal = Journal.open(worker, manifest.token)
        self._stack.callback(self._journal.close)
        self._forwarding: Forwarding | None = None
        # A cluster of threads is in the process that drives the run: what happens there needs no sending.
        if manifest.driver != this_process():
            self._forwarding = self._stack.enter_context(Forwarding(manifest.levels, self._outbox.put))

    def run(self, ticket: int, part: Part, call: bytes, *, hurry: bool) -> Any:
        """Do one piece of work, tell what came of it, and return what is to stay on the cluster."""
        self._journal.begin(ticket)
        try:
            work = self._work(part, call)
        except TransferError as error:
            packed, found, value = self._report(None, Outcome(0, Failed(describe(error), error)))
        else:
            packed, found, value = self._report(work, self._outcome(ticket, work))
        message = pickle.dumps((ticket, packed, found))
        self._journal.end(ticket, message)
        self._outbox.put(OUTCOME, message, urgent=hurry)
        return value

    def _outcome(self, ticket: int, work: Work) -> Outcome:
        if ticket <= self._stopped_up_to:
            return work.cancelled()
        around = run_around(work.parent)
        assert around is not None
        self._frames.add(around)
        if self._forwarding is None:
            return work()
        with self._forwarding.of_a_task():
            return work()

    def _work(self, part: Part, call: bytes) -> Work:
        found = Call(*load(call, "What the task is called with"))
        with self._lock:
            if part.id not in self._parts:
                self._take_in(part)
            return self._workshop.work(self._run_id, part.id, found)

    def _take_in(self, part: Part) -> None:
        self._workshop.add(part)
        self._parts[part.id] = None
        # They come with each call, so no more need be kept than are likely to be used again.
        if len(self._parts) > _MOST_PARTS:
            oldest = next(iter(self._parts))
            del self._parts[oldest]
            self._workshop.discard(oldest)

    def _report(self, work: Work | None, outcome: Outcome) -> tuple[PackedOutcome, Found | None, Any]:
        """Return an outcome without its result, what to tell of the result, and what is to stay on the cluster."""
        value, found = None, None
        state = outcome.state
        if work is not None and state._successful and not isinstance(state._result, BaseException):
            value, state._result = state._result, None
            try:
                found = self._found(work.name, value)
            except TransferError as error:
                started = state.started
                outcome = Outcome(outcome.key, Failed(describe(error), error))
                outcome.state.started = started
        packed = pack_outcome(work, outcome, self._pickler)  # type: ignore[arg-type]
        stays = found is not None and found.data is None
        return packed, found, value if stays else None

    def _found(self, name: str, value: Any) -> Found:
        """Say what is known of a result; raise TransferError if no other process can have it."""
        size = _plain_size(value)
        if size is not None and size > INLINE:
            return Found(None, size, _length(value))
        buffers: list[Any] = []
        # Also where it stays: otherwise those that need it would fail, and not the task that made it.
        data = self._pickler.dump(value, f"What task {name!r} returned", buffers, {"result": value})
        if not buffers and len(data) <= INLINE:
            return Found(data, len(data), _length(value))
        return Found(None, len(data) + sum(buffer.raw().nbytes for buffer in buffers), _length(value))

    def stop_up_to(self, ticket: int) -> None:
        """Begin nothing of what was sent so far, and ask the tasks that run to stop."""
        self._stopped_up_to = ticket
        for frame in tuple(self._frames):
            frame.request_cancel()

    def close(self) -> None:
        """Leave nothing behind."""
        self._outbox.close()
        self._stack.close()


def _check(worker: Worker, manifest: Manifest) -> None:
    found = differences(manifest.environment, environment(manifest.environment))
    if found:
        raise UnfitWorkerError(f"Worker {worker.address} cannot work for this run: {'; '.join(found)}.")


def _length(value: Any) -> int | None:
    if type(value) in _INDEXED:
        return len(value)
    shape = getattr(value, "shape", None) if type(value).__module__ == "numpy" else None
    return shape[0] if isinstance(shape, tuple) and shape else None


def _plain_size(value: Any) -> int | None:
    """Return how many bytes are in what can certainly be sent anywhere, or None for anything else."""
    if type(value) in _SOUND:
        return len(value)
    if type(value).__module__ == "numpy" and isinstance(getattr(value, "nbytes", None), int):
        return None if value.dtype.hasobject else int(value.nbytes)
    return None


# -- called from elsewhere -------------------------------------------------------------------------------------------


def ask_to_stop(token: str, ticket: int, dask_worker: Worker) -> None:
    """Tell a worker that a run is being cancelled, of which work up to ``ticket`` was sent."""
    site = _sites(dask_worker).get(token)
    if site is not None:
        site.stop_up_to(ticket)


def close_site(token: str, dask_worker: Worker) -> None:
    """Let a worker forget a run."""
    site = _sites(dask_worker).pop(token, None)
    if site is not None:
        site.close()


def same(value: Any) -> Any:
    """Return ``value``: what was sent to the cluster."""
    return value


def take(value: Any, index: int) -> Any:
    """Return one element of a result."""
    return element_of(value, index)


def stored(data: bytes) -> Any:
    """Return a result that a store has; ``data`` is a pickle of what reads it."""
    return load(data, "What reads a result back")()
