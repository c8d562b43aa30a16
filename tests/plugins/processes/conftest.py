"""What the tests of the executor ``processes`` share: flows in a line, and workers that the tests play themselves."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, task
from headrace.engine.worker import Outcome, Work
from headrace.remote import Part
from headrace.states import State
from headrace_plugins.processes.channel import Channel, Message, NonBlockingChannel
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.executor import ProcessesExecutor
from headrace_plugins.processes.jobs import Job, WorkerHandle
from headrace_plugins.processes.protocol import END, End, Kind, Page, receive_record, send_record

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def _modules_without_a_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pickle by value what tests define: pytest imports them by a name that workers cannot import."""
    modules = [request.module, sys.modules[__name__]]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


# -- flows ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def states_of() -> Callable[..., list[State]]:
    """Return a function that runs a flow with a task for each function, and returns their states."""

    def run(*functions: Callable[..., Any], executor: Any = None, **options: Any) -> list[State]:
        with Flow("functions") as flow:
            tasks = [task(function, **{"name": function.__name__, **options})() for function in functions]
        states = flow.run(executor=executor or ProcessesExecutor(workers=2, kill_grace=0.3)).result
        return [states[each] for each in tasks]

    return run


@pytest.fixture
def is_gone() -> Callable[..., bool]:
    """Return a function that tells whether a process ends within so many seconds."""

    def wait(pid: int, seconds: float = 5.0) -> bool:
        deadline = time.monotonic() + seconds
        while is_running(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    return wait


def is_running(pid: int) -> bool:
    try:
        if Path("/proc").is_dir():
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@pytest.fixture
def pid_in() -> Callable[..., int]:
    """Return a function that waits until somebody has written a process number to a file, and returns it."""

    def read(path: Path, seconds: float = 20.0) -> int:
        deadline = time.monotonic() + seconds
        while not (path.exists() and path.read_text().endswith("\n")):
            assert time.monotonic() < deadline, f"nobody has written to {path}"
            time.sleep(0.01)
        return int(path.read_text())

    return read


# -- jobs and workers ----------------------------------------------------------------------------------------------


@pytest.fixture
def new_job() -> Callable[..., Job]:
    """Return a function that makes jobs; what is delivered for them goes to the list ``outcomes``."""

    def make(
        key: int = 0,
        outcomes: list[Outcome] | None = None,
        *,
        needs: dict[str, float] | None = None,
        task_id: str = "task",
        timeout: float | None = None,
        data: bytes = b"",
        buffers: list[Any] | None = None,
    ) -> Job:
        made = task(lambda: None, name="job", timeout=timeout)
        work = Work(key, made, "job-1", {}, -1, 1, None, False, None, None)
        deliver = ([] if outcomes is None else outcomes).append
        parts = Part("run", b"the run"), Part(task_id, b"the task")
        return Job(work=work, needs=needs or {}, deliver=deliver, parts=parts, data=data, buffers=buffers or [])

    return make


@pytest.fixture
def channels() -> Iterator[tuple[NonBlockingChannel, Channel]]:
    """Return the ends that the driver and a worker have."""
    ours, theirs = socket.socketpair()
    driver, worker = NonBlockingChannel(ours), Channel(theirs)
    yield driver, worker
    driver.close()
    worker.close()


class PlayedWorker:
    """The other end of a `WorkerHandle`."""

    def __init__(self, connection: socket.socket, page: int) -> None:
        self.channel = Channel(socket.socket(fileno=os.dup(connection.fileno())))
        self.page = Page(os.dup(page))
        self.messages: list[Message] = []

    def call(self) -> tuple[int, int]:
        """Wait for a call, and return its number and the key of its job."""
        while True:
            while (message := self.channel.take()) is not None:
                self.messages.append(message)
                if message.kind == Kind.CALL:
                    number, key, *_ = pickle.loads(message.head)
                    return number, key
            if not self.channel.read():
                raise EOFError

    def answer(self, number: int, key: int, result: Any = None, *, took: float = 0.0) -> None:
        """Say that a call has succeeded."""
        now = time.time()
        body = pickle.dumps(("Done.", result, now - took, now, None))
        self.channel.send(Kind.OUTCOME, pickle.dumps((number, key, None, "", None)), body)

    def close(self) -> None:
        self.channel.close()
        self.page.close()


class PlayedSupervisor:
    """Has the interface of `link.Supervisor`, and makes no processes."""

    ending = "it was played by a test"

    def __init__(self, on_start: Callable[[PlayedWorker, int], object] | None = None) -> None:
        self.control, self._ours = socket.socketpair()
        self.workers: dict[int, PlayedWorker] = {}
        self.signals: list[tuple[int, int]] = []
        self.kills: list[int] = []
        self.on_start = on_start
        self.refuses: OSError | None = None

    def start(self, worker: int, connection: socket.socket, page: int) -> None:
        if self.refuses is not None:
            raise self.refuses
        if self._ours.fileno() < 0:
            raise BrokenPipeError
        self.workers[worker] = PlayedWorker(connection, page)
        if self.on_start is not None:
            self.on_start(self.workers[worker], worker)

    def signal(self, worker: int, number: int) -> None:
        self.signals.append((worker, number))

    def kill(self, worker: int) -> None:
        self.kills.append(worker)
        self.end(worker, signal.SIGKILL)

    def end(self, worker: int, status: int, peak: int = 0) -> None:
        """Let a worker be gone."""
        if worker in self.workers:
            self.workers.pop(worker).close()
            send_record(self._ours, END, End(worker, status, peak, 0))

    def die(self) -> None:
        """Let it be gone itself, and its workers with it."""
        while self.workers:
            self.workers.popitem()[1].close()
        self._ours.close()

    def receive(self) -> End | None:
        found = receive_record(self.control, END)
        return None if found is None else End(*found[0])

    def close(self) -> None:
        self.control.close()
        self.die()


@pytest.fixture
def supervisor() -> Iterator[PlayedSupervisor]:
    """Return a supervisor that makes no processes: the test plays them."""
    played = PlayedSupervisor()
    yield played
    played.close()


@pytest.fixture
def handle(supervisor: Any) -> Iterator[WorkerHandle]:
    """Return a worker as the pool sees it, the first one of the supervisor."""
    made = WorkerHandle(1, supervisor, nameless_file)
    yield made
    made.close()
