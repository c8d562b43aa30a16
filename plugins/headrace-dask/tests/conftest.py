"""Clusters for the tests: small, and in processes of their own, as clusters are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import psutil
import pytest
from distributed import Client

from headrace_dask import DaskExecutor

# Nobody's child, since there are tests that look at what processes this one has.
_CLUSTER = """
import json, os, sys

if os.fork():
    os._exit(0)
from distributed import LocalCluster

with LocalCluster(processes=True, dashboard_address=":0", **json.loads(sys.argv[1])) as cluster:
    print(cluster.scheduler_address, os.getpid(), flush=True)
    sys.stdin.read()
"""


class Cluster(NamedTuple):
    """A cluster in another process, which is the scheduler's."""

    address: str
    pid: int


@contextmanager
def _running_cluster(folder: Path, env: dict[str, str] | None = None, **options: Any) -> Iterator[Cluster]:
    command = [sys.executable, "-c", _CLUSTER, json.dumps({"n_workers": 2, "threads_per_worker": 1} | options)]
    # Dask closes for good what starts anew at a certain moment after it was lost; here workers are lost all the time.
    settings = os.environ | {"DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1 hour"} | (env or {})
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=settings
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address, pid = process.stdout.readline().split()
        try:
            yield Cluster(address, int(pid))
        finally:
            process.stdin.close()
            _wait_for_the_end(int(pid))


def _wait_for_the_end(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        # A test may have stopped it, or killed it.
        process.resume()
        deadline = time.monotonic() + 20
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two workers, each a process with one thread, that all tests share."""
    with _running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.address


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Return what makes a cluster that the test may break; takes the options of ``LocalCluster``, and ``env``."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(_running_cluster(tmp_path_factory.mktemp("own"), **options))


@pytest.fixture(autouse=True)
def _tests_are_pickled_by_value(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let workers run functions of test modules, which they cannot import."""
    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)


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
