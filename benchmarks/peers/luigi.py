"""Luigi with its local scheduler, one worker and targets in memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    graph: Graph
    root: Any
    results: dict[int, Any]


class Luigi(Contender):
    name = "luigi"
    distribution = "luigi"
    importing = "import luigi"
    largest = 1_000

    def build(self, graph: Graph) -> Built:
        results: dict[int, Any] = {}
        return Built(graph=graph, root=_root_task(graph, results), results=results)

    def run(self, built: Built) -> bool:
        luigi: Any = import_module("luigi")

        # Handlers of its own would write a line for each task.
        logging.disable(logging.CRITICAL)
        done: bool = luigi.build([built.root], local_scheduler=True, workers=1, no_lock=True, log_level="CRITICAL")
        return done

    def values(self, built: Built, outcome: bool) -> Sequence[Any]:
        return [built.results[sink] for sink in built.graph.sinks] if outcome else []


def _root_task(graph: Graph, results: dict[int, Any]) -> Any:
    """Return a task that requires the sinks of ``graph``; its classes are new, so that nothing counts as done."""
    luigi: Any = import_module("luigi")

    class Memory(luigi.Target):  # type: ignore[misc]
        def __init__(self, index: int) -> None:
            self.index = index

        def exists(self) -> bool:
            return self.index in results

    class Node(luigi.Task):  # type: ignore[misc]
        index = luigi.IntParameter()

        def requires(self) -> list[Any]:
            return [Node(index=i) for i in graph.upstreams[self.index]]

        def output(self) -> Memory:
            return Memory(self.index)

        def run(self) -> None:
            upstreams = graph.upstreams[self.index]
            function = graph.function(upstreams)
            arguments = [results[i] for i in upstreams]
            results[self.index] = function(arguments) if function is gather else function(*arguments)

    class Sinks(luigi.WrapperTask):  # type: ignore[misc]
        def requires(self) -> list[Any]:
            return [Node(index=i) for i in graph.sinks]

    return Sinks()
