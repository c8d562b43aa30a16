"""Headrace as users write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather, join
from headrace import Flow, Task, task

WORKERS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    flow: Flow
    sinks: Sequence[Task]


class Headrace(Contender):
    distribution = "headrace"

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, graph: Graph) -> Built:
        return _build_map(graph) if graph.children else _build(graph)

    def plan(self, built: Built) -> None:
        built.flow.plan()

    def run(self, built: Built) -> Any:
        if self.name != "headrace-threads":
            return built.flow.run(executor="local", record=self.name == "headrace-recorded")
        from headrace_plugins.threads import ThreadsExecutor

        return built.flow.run(executor=ThreadsExecutor(workers=WORKERS))

    def values(self, built: Built, outcome: Any) -> list[Any]:
        return [outcome.result[sink].result for sink in built.sinks]


def _build(graph: Graph) -> Built:
    begin_task, advance_task = task(graph.begin), task(graph.advance)
    join_task, gather_task = task(join), task(gather)
    tasks: list[Task] = []
    with Flow(graph.name) as flow:
        for upstreams in graph.upstreams:
            if not upstreams:
                tasks.append(begin_task())
            elif len(upstreams) == 1:
                tasks.append(advance_task(tasks[upstreams[0]]))
            elif len(upstreams) == 2:
                tasks.append(join_task(tasks[upstreams[0]], tasks[upstreams[1]]))
            else:
                tasks.append(gather_task([tasks[i] for i in upstreams]))
    return Built(flow=flow, sinks=[tasks[i] for i in graph.sinks])


def _build_map(graph: Graph) -> Built:
    items_task, advance_task, gather_task = task(graph.items), task(graph.advance), task(gather)
    with Flow(graph.name) as flow:
        total = gather_task(advance_task.map(items_task()))
    return Built(flow=flow, sinks=[total])
