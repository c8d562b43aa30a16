"""Prefect 3: tasks called inside a flow, with the server it starts by itself and without log lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather, join

_SETTINGS = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


class Prefect(Contender):
    """Runs in this process and in that of the server, so wall time is what tells."""

    name = "prefect"
    distribution = "prefect"
    importing = "from prefect import flow, task"
    largest = 100
    clock = "wall"

    def build(self, graph: Graph) -> Callable[[], Sequence[Any]]:
        # It reads its settings from the environment when it is imported; a measurement's folder is a temporary one.
        os.environ.update(_SETTINGS, PREFECT_HOME=str(Path.cwd() / "prefect"))
        return _make_flow(graph)

    def run(self, built: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        return built()

    def values(self, built: Callable[[], Sequence[Any]], outcome: Sequence[Any]) -> Sequence[Any]:
        return outcome


def _make_flow(graph: Graph) -> Callable[[], Sequence[Any]]:
    prefect: Any = import_module("prefect")

    functions: tuple[Callable[..., Any], ...] = (graph.begin, graph.advance, join, gather)
    tasks = {function: prefect.task(function) for function in functions}

    def run_graph() -> list[Any]:
        made: list[Any] = []
        for upstreams in graph.upstreams:
            function = graph.function(upstreams)
            arguments = [made[i] for i in upstreams]
            made.append(tasks[function](arguments) if function is gather else tasks[function](*arguments))
        return [made[sink] for sink in graph.sinks]

    flow_of_graph: Callable[[], Sequence[Any]] = prefect.flow(run_graph, name=graph.name)
    return flow_of_graph
