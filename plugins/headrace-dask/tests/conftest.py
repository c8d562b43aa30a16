"""One small cluster for all tests that do not break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from distributed import Client, LocalCluster

from headrace_dask import DaskExecutor


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process with one thread."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A client of the test's own."""
    with Client(cluster.scheduler_address, set_as_default=False) as made:
        yield made


@pytest.fixture
def make_executor(cluster: LocalCluster) -> Callable[..., DaskExecutor]:
    """Return what makes executors on the cluster."""
    return lambda **options: DaskExecutor(address=cluster.scheduler_address, **options)
