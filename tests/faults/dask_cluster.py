"""A Dask scheduler and workers in processes of their own, to be killed, stopped, or not what they should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults.sidelog import wait_until

_PATIENCE = 30.0


class Cluster:
    """A scheduler, and whatever workers are added to it; all are killed on exit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers = 0
        self.scheduler = self._run("scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"])
        if not wait_until(self._file.exists, _PATIENCE):
            raise TimeoutError("The scheduler has not started.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def address(self) -> str:
        """Return where the scheduler listens."""
        return str(json.loads(self._file.read_text(encoding="utf-8"))["address"])

    def add_workers(self, count: int, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start workers of one thread each, and return once they have come to the scheduler."""
        local = ["--nworkers", str(count), "--nthreads", "1", "--no-dashboard", "--local-directory", str(self._folder)]
        self._run("worker", [*local, *options], environment)
        self._workers += count
        with import_module("distributed").Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(self._workers, timeout=_PATIENCE)

    def _run(
        self, what: str, options: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--scheduler-file", str(self._file), *options]
        self._processes.append(subprocess.Popen(command, env=environment, cwd=self._folder, start_new_session=True))
        return self._processes[-1]


def make_executor(cluster: Cluster, **options: Any) -> Any:
    """Return headrace's executor for a cluster that is there already."""
    return import_module("headrace_dask").DaskExecutor(address=cluster.address, **options)
