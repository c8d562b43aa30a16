"""Work that leaves the process: what executors with `Capability.REMOTE` use.

The shortest way sends each piece of work as a whole::

    future = pool.submit(remote.run, remote.pack(work))
    future.add_done_callback(lambda future: deliver(remote.outcome(work, future)))

An executor that sends many has more to gain from a `Courier`, which takes work apart into what all runs of a task have
in common, sent to each worker process once, and the call, and from a `Workshop` in the worker, which puts it together.
Either way task errors, log records and what cannot be pickled come back as an ordinary outcome.
"""

from __future__ import annotations

from headrace.remote.calls import outcome, pack, run, unpack
from headrace.remote.chains import AwaitedResult, results_of_chain
from headrace.remote.logs import Levels, RecordForwarder, replay
from headrace.remote.outcomes import PackedOutcome, pack_outcome, reader_of, unpack_outcome
from headrace.remote.parcels import Call, Courier, Part, Workshop

__all__ = [
    "AwaitedResult",
    "Call",
    "Courier",
    "Levels",
    "PackedOutcome",
    "Part",
    "RecordForwarder",
    "Workshop",
    "outcome",
    "pack",
    "pack_outcome",
    "reader_of",
    "replay",
    "results_of_chain",
    "run",
    "unpack",
    "unpack_outcome",
]
