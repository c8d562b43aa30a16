"""Work that may not have to be done: its result is looked for first, and kept afterwards.

Like the rest of what travels to an executor, this module knows neither plugins nor the driver.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from headrace.engine.worker import Outcome, Work, state_of
from headrace.envelope import digest_of
from headrace.exceptions import ResultError
from headrace.locations import located
from headrace.run_context import current_frame
from headrace.serializers import deserialized, serialized
from headrace.states import Cached, State
from headrace.templates import location_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.abc import ResultStore, Serializer

__all__ = ["LONGEST_PAUSE", "SHORTEST_PAUSE", "Memory", "Recollection", "RememberingWork", "TargetMemory", "kept"]

# Between two looks at what somebody else is computing, in seconds.
SHORTEST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 0.2


class Recollection(ABC):
    """One look for the result of one piece of work; ``found`` is the state it ends in without running."""

    __slots__ = ("found",)
    found: State | None

    @abstractmethod
    def settle(self) -> bool:
        """Look; return False if somebody else is computing the result just now, to be asked again."""

    @abstractmethod
    def keep(self, state: State) -> State:
        """Keep the result of a successful ``state``; return the state to end in."""

    def close(self) -> None:
        """Let others compute."""


class Memory(ABC):
    """Where the results of one task are looked for. Used from any thread."""

    @abstractmethod
    def recall(self, work: Work) -> Recollection:
        """Return a look for the result of ``work``, which is the innermost layer of the context."""


class RememberingWork(Work):
    """Work whose result is looked for in a memory before the task runs; whoever waits for another's result polls."""

    __slots__ = ("memory",)

    def __init__(self, work: Work, memory: Memory) -> None:
        for name in Work.__slots__:
            setattr(self, name, getattr(work, name))
        self.memory = memory

    def __call__(self) -> Outcome:
        token = current_frame.set(self)
        try:
            state = self._state()
        except BaseException as error:  # noqa: BLE001 - the worker boundary: what goes wrong here fails the task
            state = state_of(error)
        finally:
            current_frame.reset(token)
        return Outcome(self.key, state)

    def _state(self) -> State:
        recollection = self.memory.recall(self)
        try:
            pause = SHORTEST_PAUSE
            while not recollection.settle():
                if self.is_cancelled():
                    return self.cancelled().state
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            return recollection.found or kept(recollection, super().__call__().state)
        finally:
            recollection.close()

    def is_cancelled(self) -> bool:
        """Tell whether the run was asked to stop."""
        return self.parent is not None and self.parent.lookup("cancel_requested") is True


def kept(recollection: Recollection, state: State) -> State:
    """Keep the result of ``state`` if it is worth keeping; failing to keep it fails the task."""
    if not state._successful or state._skipped or (state._context and "final" in state._context):
        return state
    try:
        after = recollection.keep(state)
    except Exception as error:  # noqa: BLE001 - a store and a serializer are plugins, and so is a location a function
        after = state_of(error)
    after.started = state.started
    return after


class TargetMemory(Memory):
    """The target of a task: what is there already is the result.

    A target is a file of the user's: it holds exactly what the serializer made, and may come from elsewhere.
    With ``looks`` False it is only written.
    """

    def __init__(
        self,
        what: str,
        template: str | Callable[..., str],
        store: ResultStore,
        serializer: Serializer,
        *,
        looks: bool = True,
    ) -> None:
        self.what = what
        self.template = template
        self.store = store
        self.serializer = serializer
        self.looks = looks

    def recall(self, work: Work) -> Recollection:
        """Work out the location; raise ResultLocationError if it cannot be."""
        return _TargetRecollection(self, work, location_from(self.what, self.template, work.all_arguments()))

    def reload(self, location: str, digest: bytes | None = None) -> object:
        """Return the value at ``location``; with a digest, raise ResultError if it is no longer what was written."""
        data = self.store.read(location) if digest is None else self._exactly(location, digest)
        return self.value_of(data, location)

    def value_of(self, data: bytes, location: str) -> object:
        """Return the value that the bytes at ``location`` are."""
        return deserialized(self.serializer, data, f"{self.what} {location!r}")

    load_exactly = reload

    def verify(self, location: str, digest: bytes) -> None:
        """Raise ResultError if what is at ``location`` has another digest."""
        self._exactly(location, digest)

    def _exactly(self, location: str, digest: bytes) -> bytes:
        data = self.store.read(location)
        if digest_of(data) != digest:
            raise ResultError(
                f"{self.what} {location!r} is not what it was: its digest is another one.", hint="Run the task again."
            )
        return data


class _TargetRecollection(Recollection):
    __slots__ = ("_location", "_memory", "_work")

    def __init__(self, memory: TargetMemory, work: Work, location: str) -> None:
        self._memory = memory
        self._work = work
        self._location = location
        self.found = None

    def settle(self) -> bool:
        memory, location = self._memory, self._location
        if memory.looks and memory.store.exists(location):
            data = memory.store.read(location)
            state = Cached(f"Found its target {location!r}.", memory.value_of(data, location))
            state.location = located(location, memory, location, kind="target", digest=digest_of(data))
            self.found = state
        return True

    def keep(self, state: State) -> State:
        memory, location = self._memory, self._location
        if self._work.task.checkpoint is False:
            return state
        data = serialized(memory.serializer, state.result, f"The result of task {self._work.name!r}")
        memory.store.write(location, data)
        digest = digest_of(data)
        state.location = located(location, memory, location, digest, kind="target", digest=digest)
        return state
