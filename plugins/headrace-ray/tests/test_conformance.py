"""What every executor has to do."""

from __future__ import annotations

from headrace.testing.executors import ExecutorConformance
from headrace_ray import RayExecutor


class TestRay(ExecutorConformance):
    big_value_bytes = 100_000_000

    def make_executor(self) -> RayExecutor:
        return RayExecutor()
