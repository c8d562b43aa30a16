"""What the tests of executors share: runs that cannot hang, and a desk that hands work to an executor directly."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import wraps
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar

import pytest

from headrace import Flow, task
from headrace.abc import Capability, Executor, ExecutorContext
from headrace.engine.runs import new_run_id
from headrace.engine.worker import Outcome, Work
from headrace.remote import AwaitedResult
from headrace.run_context import RunFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["Desk", "ExecutorTests", "bounded", "text_of", "within"]

P = ParamSpec("P")
T = TypeVar("T")
_Tests = TypeVar("_Tests", bound="ExecutorTests")

# How long to look for what must not come.
_QUIET: Final = 0.3


class ExecutorTests(ABC):
    """What the author of an executor says about it; the settings of `headrace.testing.executors`."""

    seconds: ClassVar[float] = 60.0
    kill_seconds: ClassVar[float] = 15.0
    mapped_children: ClassVar[int] = 10_000
    big_value_bytes: ClassVar[int] = 200_000_000
    crashes_alone: ClassVar[bool] = True

    @abstractmethod
    def make_executor(self) -> Executor:
        """Return a new executor, not started."""

    def run(self, flow: Flow, *, executor: Executor | None = None, **options: Any) -> State:
        """Return the final state of ``flow``; fail the test if that takes too long."""
        chosen = self.make_executor() if executor is None else executor
        options.setdefault("keep_results", "all")
        return within(self.seconds, lambda: flow.run(executor=chosen, **options))

    def state_of(self, function: Callable[..., Any], *args: Any, **task_args: Any) -> State:
        """Run a flow of one task, which calls ``function``, and return the state that the task ends in."""
        with Flow("one task") as flow:
            only = task(function, **{"name": function.__name__, **task_args})(*args)
        found: State = self.run(flow).result[only]
        return found

    def states_of(self, *functions: Callable[..., Any], **task_args: Any) -> list[State]:
        """Run a flow with a task for each function, and return the states that they end in."""
        with Flow("many tasks") as flow:
            tasks = [task(function, **{"name": function.__name__, **task_args})() for function in functions]
        states = self.run(flow).result
        return [states[each] for each in tasks]

    @contextmanager
    def desk(self, executor: Executor | None = None) -> Iterator[Desk]:
        """Start an executor, by default a new one, and yield what hands work to it; stop it in the end."""
        with ExitStack() as stack:
            yield Desk(self.make_executor() if executor is None else executor, stack, self.seconds)

    # -- which tests apply ---------------------------------------------------------------------------------------

    def can(self, capability: Capability) -> bool:
        """Tell whether the executor declares ``capability``."""
        return capability in self.make_executor().capabilities

    def needs(self, capability: Capability) -> None:
        """Skip the test for an executor that does not declare ``capability``."""
        if not self.can(capability):
            pytest.skip(f"this executor does not declare {capability.name}")

    def needs_not(self, capability: Capability) -> None:
        """Skip the test for an executor that declares ``capability``."""
        if self.can(capability):
            pytest.skip(f"this executor declares {capability.name}")


class Desk:
    """Hands pieces of work to a started executor, as the driver would, and gathers what it delivers."""

    def __init__(self, executor: Executor, stack: ExitStack, seconds: float) -> None:
        self.executor = executor
        self.delivered: list[Outcome] = []
        self._inbox: SimpleQueue[Outcome] = SimpleQueue()
        self._seconds = seconds
        self._submitted = 0
        self._tasks: dict[Callable[..., Any], Task] = {}
        run_id = new_run_id()
        names = {"flow_name": "desk", "flow_run_id": run_id, "flow_run_name": "desk", "parameters": {}}
        self._frame = RunFrame(names, None, time.time())
        executor.start(ExecutorContext(flow_name="desk", flow_run_id=run_id, task_count=1), stack)

    @property
    def undelivered(self) -> int:
        """How many pieces of work are with the executor."""
        return self._submitted - len(self.delivered)

    def submit(self, function: Callable[..., Any], **arguments: Any) -> int:
        """Hand over one call of ``function`` and return its key."""
        work = self._counted(task(function, name=function.__name__), arguments)
        self.executor.submit(work, self._inbox.put)
        return work.key

    def submit_chain(self, function: Callable[..., Any], length: int, value: object) -> list[int]:
        """Hand over so many calls of ``function`` that follow on each other, and return their keys.

        The first is called with ``value``, and each of the others with what the one before it returns.
        """
        chain = [self._counted(self._copy_of(function), {"value": value})]
        while len(chain) < length:
            chain.append(self._counted(self._copy_of(function), {"value": AwaitedResult(chain[-1].key)}))
        self.executor.submit_chain(chain, self._inbox.put)
        return [work.key for work in chain]

    def chain_length(self, function: Callable[..., Any], value: object) -> int:
        """Return how long a chain may be that begins with a call of ``function``."""
        return self.executor.chain_length(self._work(self._copy_of(function), {"value": value}))

    def _copy_of(self, function: Callable[..., Any]) -> Task:
        if function not in self._tasks:
            self._tasks[function] = task(function, name=function.__name__)
        return copy(self._tasks[function])

    def _counted(self, made: Task, arguments: dict[str, Any]) -> Work:
        work = self._work(made, arguments)
        self._submitted += 1
        return work

    def _work(self, made: Task, arguments: dict[str, Any]) -> Work:
        key = self._submitted
        return Work(key, made, f"{made.name}-{key}", arguments, -1, 1, None, False, self._frame, None)

    def collect(self, count: int) -> list[Outcome]:
        """Return the next ``count`` outcomes; fail the test if they do not come in time."""
        found: list[Outcome] = []
        deadline = time.monotonic() + self._seconds
        while len(found) < count:
            try:
                found.append(self._inbox.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                pytest.fail(f"{len(found)} of {count} outcomes were delivered within {self._seconds:g} s")
        self.delivered += found
        return found

    def surplus(self) -> list[Outcome]:
        """Return what is delivered although nothing is expected any more."""
        time.sleep(_QUIET)
        found = []
        while not self._inbox.empty():
            found.append(self._inbox.get())
        return found


def bounded(test: Callable[Concatenate[_Tests, P], None]) -> Callable[Concatenate[_Tests, P], None]:
    """Let a test that uses a desk fail instead of hanging."""

    @wraps(test)
    def wrapped(self: _Tests, /, *args: P.args, **kwargs: P.kwargs) -> None:
        # What waits inside has the same patience, and more to say when it loses it.
        within(self.seconds + 10, lambda: test(self, *args, **kwargs))

    return wrapped


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises; fail the test if it takes longer than ``seconds``."""
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)

    # Settings that a test has changed hold for what it calls.
    inherited = contextvars.copy_context()
    thread = threading.Thread(target=inherited.run, args=(target,), name="headrace-conformance", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        where = "".join(traceback.format_stack(sys._current_frames()[thread.ident or 0]))  # noqa: SLF001 - documented
        pytest.fail(f"It has not ended within {seconds:g} s. It waits here:\n{where}", pytrace=False)
    for error in errors:
        raise error
    return results[0]


def text_of(error: BaseException) -> str:
    """Return what Python would print for an exception, with its causes."""
    return "".join(traceback.format_exception(error))
