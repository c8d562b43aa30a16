"""Stand-ins that the tests of the engine pass in: a clock, a store, an observer, executors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from headrace.abc import Capability, Executor, ExecutorContext, Notifier, ResultStore, Serializer
from headrace.clock import Clock
from headrace.engine.worker import NOT_BEGUN, Outcome, Work
from headrace.exceptions import ResultNotFoundError
from headrace.plugins import NotifierSpec, ResultStoreSpec, SerializerSpec, StateChange, hookimpl
from headrace.remote import AwaitedResult
from headrace.serializers import PickleSerializer
from headrace.states import Success

T = TypeVar("T")


class VirtualClock(Clock):
    """Time that passes only while the driver waits; refuses to stand still for ever."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.start = start
        self.time = start
        self._idle = 0

    @property
    def elapsed(self) -> float:
        return self.time - self.start

    def now(self) -> float:
        return self.time

    def wait(self, inbox: SimpleQueue[T], timeout: float | None) -> T | None:
        try:
            item = inbox.get_nowait()
        except Empty:
            assert timeout is not None, "the driver waits for what will never come"
            self.time += max(0.0, timeout)
            self._idle = 0 if timeout > 0 else self._idle + 1
            assert self._idle < 100, "the driver waits for nothing, again and again"
            return None
        return item


class FolderStore(ResultStore):
    """Keeps each location as a file under the folder that the URL ``folder:PATH`` names."""

    def __init__(self, url: str) -> None:
        self.folder = Path(url.partition(":")[2])

    def write(self, location: str, data: bytes) -> None:
        target = self.folder / location
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def read(self, location: str) -> bytes:
        if not self.exists(location):
            raise ResultNotFoundError(location)
        return (self.folder / location).read_bytes()

    def exists(self, location: str) -> bool:
        return (self.folder / location).exists()

    def delete(self, location: str) -> None:
        (self.folder / location).unlink(missing_ok=True)


class BrokenStore(FolderStore):
    """Can be neither written to nor read."""

    def write(self, location: str, data: bytes) -> None:
        raise OSError("disk full")


class FileNotifier(Notifier):
    """Appends what it is told to the file that the URL ``lines:PATH`` names."""

    def __init__(self, url: str) -> None:
        self.path = Path(url.partition(":")[2])

    def start(self, stack: ExitStack) -> None:
        self._append("start")
        stack.callback(self._append, "stop")

    def wants(self, change: StateChange) -> bool:
        return True

    def notify(self, change: StateChange) -> None:
        who = "flow" if change.task_run is None else change.task_run.name
        self._append(f"{who} {type(change.old).__name__}->{type(change.new).__name__}")

    def _append(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")


class FakePlugins:
    """Offers the stores, the serializer and the notifier of this module."""

    @hookimpl
    def headrace_result_stores(self) -> list[ResultStoreSpec]:
        return [
            ResultStoreSpec(name="folder", factory=f"{__name__}:FolderStore", summary="For tests."),
            ResultStoreSpec(name="broken", factory=f"{__name__}:BrokenStore", summary="For tests."),
        ]

    @hookimpl
    def headrace_serializers(self) -> list[SerializerSpec]:
        return [SerializerSpec(name="pickle", factory=f"{__name__}:Pickle", summary="For tests.")]

    @hookimpl
    def headrace_notifiers(self) -> list[NotifierSpec]:
        return [NotifierSpec(name="lines", factory=f"{__name__}:FileNotifier", summary="For tests.")]


class Pickle(PickleSerializer, Serializer):
    """The core's serializer, where the tests can name it."""


class Recorder:
    """An observer that takes down every change of state, as ``(name, old class, new class)``."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, str, str]] = []
        self.flows: list[tuple[str, str, str]] = []
        self.infos: list[Any] = []

    @hookimpl
    def headrace_task_state_changed(self, run: Any, task_run: Any, old: Any, new: Any) -> None:
        self.infos.append(task_run)
        self.tasks.append((task_run.name, type(old).__name__, type(new).__name__))

    @hookimpl
    def headrace_flow_state_changed(self, run: Any, old: Any, new: Any) -> None:
        self.flows.append((run.flow_name, type(old).__name__, type(new).__name__))

    def steps(self, name: str) -> list[tuple[str, str]]:
        """Return what happened to one task run."""
        return [(old, new) for task, old, new in self.tasks if task == name]


class CountingExecutor(Executor):
    """Runs work in place and remembers how it was used."""

    capacity = 1

    def __init__(self) -> None:
        self.contexts: list[ExecutorContext] = []
        self.submitted: list[str] = []
        self.stopped = 0

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        self.contexts.append(context)
        stack.callback(self._stop)

    def _stop(self) -> None:
        self.stopped += 1

    def submit(self, work: Work, deliver: Any) -> None:
        self.submitted.append(work.name)
        deliver(work())


class LosingExecutor(CountingExecutor):
    """Loses every piece of work with an error of its own."""

    def submit(self, work: Work, deliver: Any) -> None:
        deliver(work.failed(OSError("worker died")))


class ChainingExecutor(CountingExecutor):
    """Takes chains of up to ``length`` pieces, and does as many of each as ``done`` says.

    What is not begun is given back ``early``, before anything else is delivered, or in its turn. ``chains`` has what
    was handed over together.
    """

    capabilities = frozenset({Capability.CHAINS})
    capacity = 100

    def __init__(self, length: int = 100, *, done: Callable[[], int] = lambda: 100, early: bool = False) -> None:
        super().__init__()
        self.chains: list[list[str]] = []
        self._length = length
        self._done = done
        self._early = early

    def chain_length(self, work: Work, /) -> int:
        return self._length

    def submit_chain(self, chain: Sequence[Work], deliver: Callable[[Outcome], object], /) -> None:
        self.chains.append([work.slug for work in chain])
        outcomes = list(self._outcomes(chain))
        if self._early:
            outcomes.sort(key=lambda outcome: outcome.state is not NOT_BEGUN)
        for outcome in outcomes:
            deliver(outcome)

    def _outcomes(self, chain: Sequence[Work]) -> Iterator[Outcome]:
        results: dict[int, Any] = {}
        room = max(1, self._done())
        for work in chain:
            if len(results) == room:
                yield work.not_begun()
                continue
            work.arguments = {
                name: results[value.key] if isinstance(value, AwaitedResult) else value
                for name, value in work.arguments.items()
            }
            outcome = work()
            if type(outcome.state) is Success:
                results[work.key] = outcome.state.result
            else:
                room = len(results)
            yield outcome
