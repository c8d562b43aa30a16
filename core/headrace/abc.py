"""The interfaces a plugin can implement; each docstring is the contract.

Interfaces are small. A component is given what it needs in ``start`` and registers its own clean-up on the
exit stack it gets there, so it has no ``close`` to forget.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from headrace.references import ResultReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import ExitStack

    from headrace.engine.worker import Outcome, Work
    from headrace.plugins import StateChange

__all__ = [
    "Capability",
    "Executor",
    "ExecutorContext",
    "Notifier",
    "ResultReference",
    "ResultStore",
    "SecretProvider",
    "Serializer",
]


class Capability(Enum):
    """What an executor can do beyond running work."""

    REMOTE = "remote"
    """Work runs in another process or machine, so it must be picklable."""
    HARD_TIMEOUT = "hard-timeout"
    """Work that is past its timeout is killed."""
    CANCEL = "cancel"
    """Work that has started can be stopped."""
    KEEPS_RESULTS = "keeps-results"
    """Results stay where they were made and travel between tasks as references: see `ResultReference`."""


def _no_depth(_slug: str) -> int:
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorContext:
    """What an executor is told about the run it serves.

    Attributes:
        flow_name: the name of the flow.
        flow_run_id: the id of the run.
        task_count: how many tasks the flow has; a mapped one counts once.
        plugins: the distributions beside headrace that the result stores and serializers in use come from, with their
            versions. They are needed wherever tasks run.
        depth_of: returns how many tasks lie before a task, given by its slug, on the longest way to it; for executors
            that order what waits, so that what was begun is brought to an end first.
    """

    flow_name: str
    flow_run_id: str
    task_count: int
    plugins: Mapping[str, str] = field(default_factory=dict)
    depth_of: Callable[[str], int] = _no_depth


class Executor(ABC):
    """Runs work.

    The driver calls ``start`` once and then ``submit`` from one thread, never with more than ``capacity`` pieces of
    work undelivered. For each submitted ``work`` the executor calls ``deliver`` exactly once, from any thread, with
    what ``work()`` returned. ``work()`` never raises an ``Exception``: a task's error is in the outcome. If the
    executor itself fails to run a piece of work (its process died), it delivers ``work.failed(error)``. To run work in
    another process, see `headrace.remote`.

    An executor may be started again after its exit stack was closed.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Return how many pieces of work it is useful to have submitted at once; asked again and again."""

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Acquire resources and register their release on ``stack``. Called in the driver's thread."""

    @abstractmethod
    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Arrange for ``deliver(work())`` to be called, now or later, here or elsewhere."""

    def withdraw(self) -> list[Work]:
        """Take back work that was submitted and has not begun, because the run is being cancelled.

        What is returned is not delivered.
        """
        return []

    def cancel(self, *, force: bool) -> None:
        """Stop the work that has begun, because the run is being cancelled; only for `Capability.CANCEL`.

        Work is asked to end, or killed if ``force`` says so, which is what happens to work that does not end in time.
        Either way an outcome is delivered for it: what it returned meanwhile, or a Cancelled one.
        """


class ResultStore(ABC):
    """Keeps bytes under locations: relative POSIX paths such as ``2026/11/total.pickle``.

    Every method may be called from any thread. Writes are atomic: a reader sees the old bytes or the new ones.
    A location that is absolute or climbs out with ``..`` raises `ResultLocationError`.
    """

    @abstractmethod
    def write(self, location: str, data: bytes) -> None:
        """Store ``data`` at ``location``, replacing what was there."""

    @abstractmethod
    def read(self, location: str) -> bytes:
        """Return the bytes at ``location``; raise `ResultNotFoundError` if there are none."""

    @abstractmethod
    def exists(self, location: str) -> bool:
        """Tell whether something is stored at ``location``."""

    @abstractmethod
    def delete(self, location: str) -> None:
        """Remove what is at ``location``; do nothing if there is nothing."""

    def locations(self, folder: str = "") -> Iterable[str]:
        """Return every location below ``folder``, in any order; nothing for a folder that is not there.

        A store that cannot list what it keeps leaves this out; it cannot hold the cache of a task that has a validator
        of its own, and ``headrace cache`` cannot look through it.
        """
        from headrace.exceptions import ResultError  # noqa: PLC0415 - only for stores that cannot

        raise ResultError(f"{type(self).__name__} cannot list what it keeps.", hint="Use a store that can: `file:`.")


class Serializer(ABC):
    """Turns values into bytes and back. Both methods may be called from any thread or process."""

    @abstractmethod
    def serialize(self, value: object) -> bytes:
        """Return ``value`` as bytes; raise ``TypeError`` or ``ValueError`` if it cannot be."""

    @abstractmethod
    def deserialize(self, data: bytes) -> object:
        """Return the value that ``data`` was made from."""


class SecretProvider(ABC):
    """Finds secrets by name, in the process where a task runs. May be used from any thread.

    A provider is made when a secret is asked for that nothing before it has, and asked once. It must not log a value,
    nor put one into an exception.
    """

    @abstractmethod
    def find(self, name: str) -> object:
        """Return the secret of that name, usually a text, or None if there is none.

        May raise to say that it cannot tell, which ends the search.
        """


class Notifier(ABC):
    """Tells somebody that a run changed state.

    ``notify`` is called on a thread of its own, never on the one that drives the run, with one change at a time and
    in order. An exception it raises is logged and counted; it never fails the run.
    """

    def wants(self, change: StateChange) -> bool:
        """Tell whether ``change`` is worth a message. By default: finished flow runs and failed task runs.

        Called on the driving thread for every change, so it must be quick.
        """
        return change.new.is_finished() if change.task_run is None else change.new.is_failed()

    def start(self, stack: ExitStack) -> None:
        """Acquire resources and register their release on ``stack``."""

    @abstractmethod
    def notify(self, change: StateChange) -> None:
        """Send the message. May block; may raise to say that it failed."""
