"""Headrace on the executors that leave the process."""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.clusters import WORKERS, dask_client, ray_runtime
from benchmarks.contender import Field
from benchmarks.engine import Built, Headrace
from headrace.abc import Executor


class OnProcesses(Headrace):
    """Starts and stops the workers in each run, as its peers do."""

    field: ClassVar[Field] = "processes"
    clock = "wall"

    def run(self, built: Built) -> Any:
        return built.flow.run(executor=self.executor(), keep_results="none")

    def executor(self) -> Executor:
        from headrace_plugins.processes.executor import ProcessesExecutor

        return ProcessesExecutor(workers=WORKERS)


class OnCluster(OnProcesses):
    """Runs on a cluster that is there already, as its peer does."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._stack = ExitStack()
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        if self._executor is None:
            self._executor = self.connected(self._stack)
        return self._executor

    def connected(self, stack: ExitStack) -> Executor:
        """Start the cluster and return an executor that uses it."""
        raise NotImplementedError

    def close(self) -> None:
        self._stack.close()


class OnDask(OnCluster):
    distribution = "headrace-dask"
    field = "dask"

    def connected(self, stack: ExitStack) -> Executor:
        client = stack.enter_context(dask_client())
        executor: Executor = import_module("headrace_dask").DaskExecutor(client=client)
        return executor


class OnRay(OnCluster):
    distribution = "headrace-ray"
    field = "ray"

    def connected(self, stack: ExitStack) -> Executor:
        stack.enter_context(ray_runtime())
        executor: Executor = import_module("headrace_ray").RayExecutor()
        return executor


def make_headrace(name: str) -> Headrace:
    """Return headrace on the executor that the name ends in."""
    return {"headrace-processes": OnProcesses, "headrace-dask": OnDask, "headrace-ray": OnRay}[name](name)
