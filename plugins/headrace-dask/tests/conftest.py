"""Clusters for the tests: small, and in processes of their own, as clusters are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from distributed import Client

from headrace_dask import DaskExecutor

_CLUSTER = """
import json, sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(processes=True, dashboard_address=None, **json.loads(sys.argv[1])) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextmanager
def running_cluster(options: str, folder: object) -> Iterator[str]:
    """Run a cluster in another process and yield the address of its scheduler."""
    command = [sys.executable, "-c", _CLUSTER, options]
    # Spawned workers import the main module again, so it has to be a file or a command, not standard input.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=str(folder)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(30)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two workers, each a process with one thread, that all tests share."""
    with running_cluster('{"n_workers": 2, "threads_per_worker": 1}', tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of the test's own."""
    with Client(address, set_as_default=False) as made:
        made.wait_for_workers(2, timeout=30)
        yield made


@pytest.fixture
def executor(address: str) -> Callable[..., DaskExecutor]:
    """Return what makes executors on the cluster."""
    return lambda **options: DaskExecutor(address=address, **options)
