"""Pools of processes, and whoever hands tasks to them in an order that works."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from benchmarks.clusters import WORKERS
from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather


class ProcessPool(Contender):
    """Starts a pool, submits each task when the results it takes are there, and stops the pool."""

    field = "processes"
    clock = "wall"
    largest = 100_000

    @abstractmethod
    def pool(self, workers: int) -> AbstractContextManager[Any]:
        """Return a new pool."""

    def submit(self, pool: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """Submit a call; return a future."""
        return pool.submit(function, *arguments)

    def build(self, graph: Graph) -> Graph:
        return graph

    def run(self, built: Graph) -> Sequence[Any]:
        with self.pool(WORKERS) as pool:
            return self._run(pool, built)

    def _run(self, pool: Any, graph: Graph) -> list[Any]:
        last_reader = {source: reader for reader, sources in enumerate(graph.upstreams) for source in sources}
        futures: list[Any] = []
        for index, upstreams in enumerate(graph.upstreams):
            function = graph.function(upstreams)
            arguments = [futures[i].result() for i in upstreams]
            for source in upstreams:
                if last_reader[source] == index:
                    futures[source] = None
            call = [arguments] if function is gather else arguments
            futures.append(self.submit(pool, function, *call))
            del arguments, call
        return [futures[sink].result() for sink in graph.sinks]

    def values(self, built: Graph, outcome: Sequence[Any]) -> Sequence[Any]:
        return outcome


class StandardPool(ProcessPool):
    name = "process-pool"
    importing = "from concurrent.futures import ProcessPoolExecutor"

    def pool(self, workers: int) -> AbstractContextManager[Any]:
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(workers)


class Loky(ProcessPool):
    name = "loky"
    distribution = "loky"
    importing = "import loky"

    def pool(self, workers: int) -> AbstractContextManager[Any]:
        pool: AbstractContextManager[Any] = import_module("loky").ProcessPoolExecutor(workers)
        return pool


class Pebble(ProcessPool):
    name = "pebble"
    distribution = "pebble"
    importing = "import pebble"

    def pool(self, workers: int) -> AbstractContextManager[Any]:
        pool: AbstractContextManager[Any] = import_module("pebble").ProcessPool(workers)
        return pool

    def submit(self, pool: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        return pool.schedule(function, args=arguments)
