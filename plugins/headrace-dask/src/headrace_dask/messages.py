"""What workers and the scheduler tell the process that drives a run, and what they are told.

Messages travel through Dask's topics, in lists, in the order in which each worker sends them. Each is a tuple that
begins with a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from headrace.remote import Levels, Part

__all__ = [
    "DROPPED",
    "ERRED",
    "GONE",
    "JOINED",
    "LOG",
    "LOST",
    "OUTCOME",
    "PRINT",
    "RESTARTED",
    "RUNS",
    "STUCK",
    "Manifest",
]

# From workers.
OUTCOME: Final = "outcome"
"""(a pickle of ticket, packed outcome, and what is known of the result: see `headrace_dask.site.Found`)"""
LOG: Final = "log"
"""(the fields of a record, pickled)"""
PRINT: Final = "print"
"""(a pickle of the task run, as `headrace.whereabouts.places` has it, and a line)"""

# From the scheduler.
JOINED: Final = "joined"
"""(address of a worker)"""
GONE: Final = "gone"
"""(address of a worker, tickets of the work it had, and what `headrace_dask.journal` says of it, or None)"""
ERRED: Final = "erred"
"""(ticket, address of the worker or None, the exception as text): the work could not be begun"""
LOST: Final = "lost"
"""(ticket or key of data): if this value was there, it is gone"""
DROPPED: Final = "dropped"
"""(tickets of work whose worker is gone, of which GONE is still to come): the scheduler has refused work just sent"""
STUCK: Final = "stuck"
"""(ticket): no worker can take this work"""
RUNS: Final = "runs"
"""(ticket): a worker can take it after all"""
RESTARTED: Final = "restarted"
"""(): somebody restarted the cluster, and everything on it is gone"""


class Manifest(NamedTuple):
    """What a worker needs to know of a run before it can work for it.

    Attributes:
        token: names this run on the cluster.
        topic: where to tell what happens.
        driver: the process that drives the run.
        environment: what has to be the same as there.
        levels: the levels of loggers there.
        run: the context of the run.
    """

    token: str
    topic: str
    driver: tuple[Any, ...]
    environment: dict[str, str | None]
    levels: Levels
    run: Part
