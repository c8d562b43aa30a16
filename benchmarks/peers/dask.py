"""Dask delayed, on the schedulers that need no cluster."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather


class Dask(Contender):
    distribution = "dask"
    importing = "from dask import delayed"
    largest = 10_000

    def __init__(self, name: str, scheduler: str) -> None:
        self.name = name
        self._scheduler = scheduler

    def build(self, graph: Graph) -> list[Any]:
        delayed = import_module("dask").delayed

        made: list[Any] = []
        for upstreams in graph.upstreams:
            function = graph.function(upstreams)
            arguments = [made[i] for i in upstreams]
            call = delayed(function, pure=False)
            made.append(call(arguments) if function is gather else call(*arguments))
        return [made[sink] for sink in graph.sinks]

    def run(self, built: list[Any]) -> Sequence[Any]:
        results: Sequence[Any] = import_module("dask").compute(*built, scheduler=self._scheduler)
        return results

    def values(self, built: list[Any], outcome: Sequence[Any]) -> Sequence[Any]:
        return outcome
