"""What the tests of histories share: stores, runs to begin, and processes to kill."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest

from headrace.engine.runs import new_run_id
from headrace.history import UNMAPPED, RunRecord, TaskRecord, TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.abc import RunJournal, RunStore
    from headrace.history import TaskRunRecord

__all__ = ["Child", "RunStoreTests", "a_run", "a_task", "succeed"]


class RunStoreTests(ABC):
    """What the author of a history says about it; the settings of `headrace.testing.history`."""

    store_class: ClassVar[type[RunStore]]
    seconds: ClassVar[float] = 30.0
    task_count: ClassVar[int] = 20_000

    @abstractmethod
    def url(self, place: Path) -> str:
        """Return the URL of the history that belongs to the folder ``place``."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Return the folder whose history a test uses."""
        return tmp_path

    @pytest.fixture
    def store(self, place: Path) -> Iterator[RunStore]:
        """Return the store of a test, closed afterwards."""
        with self.open(place) as store:
            yield store

    @pytest.fixture
    def other(self, place: Path) -> Iterator[RunStore]:
        """Return another object for the same history."""
        with self.open(place) as store:
            yield store

    def open(self, place: Path) -> RunStore:
        """Return a new store for the history of ``place``."""
        make: Any = self.store_class
        store: RunStore = make(self.url(place))
        return store

    def child(self, place: Path, action: str, **options: object) -> Child:
        """Start a process that uses the history of ``place``; see `headrace.testing.history._child`."""
        return Child(self.store_class, self.url(place), action, options, self.seconds)

    def dead_run(self, place: Path, **options: object) -> str:
        """Return the id of a run whose process was killed while its second task was running."""
        with self.child(place, "run", **options) as child:
            run_id = child.line()
            child.line()
            child.kill()
        return run_id


class Child:
    """A process that says one line after the other, and can be killed."""

    def __init__(
        self, store: type[RunStore], url: str, action: str, options: dict[str, object], seconds: float
    ) -> None:
        where = {"module": store.__module__, "file": inspect.getfile(store), "name": store.__qualname__}
        request = {**where, "url": url, "path": sys.path, **options}
        code = "import json, sys; r = json.loads(sys.argv[2]); sys.path[:] = r.pop('path');"
        code += "from headrace.testing.history._child import main; main(sys.argv[1], **r)"
        self._seconds = seconds
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-P", "-c", code, action, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def line(self) -> str:
        """Return the next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process said nothing more, and ended with {self.process.poll()}"
        return line.strip()

    def go_on(self) -> None:
        """Let it go on from where it waits."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill it as a power switch would, and wait until it is gone."""
        self.process.kill()
        self.process.wait(self._seconds)

    def wait(self) -> int:
        """Wait until it ends by itself, and return its exit code."""
        return self.process.wait(self._seconds)


def a_run(**fields: Any) -> RunRecord:
    """Return a run to begin."""
    known = {"id": new_run_id(), "name": "night", "flow_name": "etl", "created": time.time()}
    return RunRecord(**{**known, **fields})


def a_task(node: int = 0, **fields: Any) -> TaskRecord:
    """Return a task of a run."""
    return TaskRecord(**{"node": node, "slug": f"task-{node}", "name": "task", **fields})


def succeed(journal: RunJournal, node: int = 0, map_index: int = UNMAPPED, **fields: Any) -> None:
    """Say that a task run began and succeeded."""
    journal.began(node, map_index, 1, 10.0)
    journal.finished(node, map_index, 1, "Success", None, 10.0, 11.0, fields.get("value"), fields.get("details"))


def shown(store: RunStore, run_id: str, **query: Any) -> list[tuple[int, int, str]]:
    """Return node, map index and state of the task runs of a run."""
    return [(run.node, run.map_index, run.state) for run in store.task_runs(run_id, TaskRunQuery(**query))]


def only(store: RunStore, run_id: str, node: int = 0, map_index: int = UNMAPPED) -> TaskRunRecord:
    """Return a task run that is there."""
    found = store.task_run(run_id, node, map_index)
    assert found is not None
    return found
