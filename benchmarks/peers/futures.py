"""``concurrent.futures``: threads with a queue, and the ordering done by whoever submits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather

WORKERS = 8


class Futures(Contender):
    """Submits the tasks in an order in which they can run, each with the results it takes."""

    name = "futures"
    importing = "import concurrent.futures"
    largest = 100_000

    def build(self, graph: Graph) -> Graph:
        return graph

    def run(self, built: Graph) -> Sequence[Any]:
        with ThreadPoolExecutor(WORKERS) as pool:
            if built.children:
                items = pool.submit(built.items).result()
                return [pool.submit(gather, list(pool.map(built.advance, items))).result()]
            return _run(pool, built)

    def values(self, built: Graph, outcome: Sequence[Any]) -> Sequence[Any]:
        return outcome


def _run(pool: ThreadPoolExecutor, graph: Graph) -> list[Any]:
    futures: list[Future[Any]] = []
    for upstreams in graph.upstreams:
        function = graph.function(upstreams)
        arguments = [futures[i].result() for i in upstreams]
        futures.append(pool.submit(function, arguments) if function is gather else pool.submit(function, *arguments))
    return [futures[sink].result() for sink in graph.sinks]
