"""What every executor has to do."""

from __future__ import annotations

import pytest

from headrace.testing.executors import ExecutorConformance
from headrace_dask import DaskExecutor


class TestOnACluster(ExecutorConformance):
    """On a cluster that is there already, and stays."""

    mapped_children = 2_000
    big_value_bytes = 100_000_000

    @pytest.fixture(autouse=True)
    def _own_cluster(self, address: str) -> None:
        self.address = address

    def make_executor(self) -> DaskExecutor:
        return DaskExecutor(address=self.address)
