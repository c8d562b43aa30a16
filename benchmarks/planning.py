"""Planning: how long `Flow.validate` and `Flow.plan` take, and how that grows, beside a sort written by hand.

``python -m benchmarks.planning TASKS AMONG`` measures one graph and prints a line of JSON.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.rows import TIMES, Quantity, Row, Target

PLANNING: Final = "Planning: CPU time of Flow.validate() and Flow.plan(), ten edges a task"

_TASKS: Final = 10_000
_EDGES_EACH: Final = 10
_TIMES_LARGER: Final = 10
_ROUNDS: Final = 3
_LEAST_SECONDS: Final = 1.0
_NEARBY: Final = 100


def measure_planning(bench: Bench) -> Iterator[Row]:
    """Measure 10,000 tasks with 100,000 edges, then ten times as many.

    Edges come from the hundred tasks before, as in most flows, or from anywhere before: then what grows is mostly the
    time that memory takes, for a loop written by hand too.
    """
    sizes = (_TASKS, _TIMES_LARGER * _TASKS)
    growth = Target(column="headrace", limit=12, unit=TIMES)
    yield from _rows(bench, "upstream tasks nearby", [(size, _NEARBY) for size in sizes], growth)
    yield from _rows(bench, "upstream tasks anywhere", [(size, size) for size in sizes], None)


def _rows(bench: Bench, workload: str, graphs: Sequence[tuple[int, int]], growth: Target | None) -> Iterator[Row]:
    small, large = found = [_seconds(bench, size, among) for size, among in graphs]
    for (size, _), seconds in zip(graphs, found, strict=True):
        yield Row(
            section=PLANNING,
            workload=workload,
            size=size,
            cells={name: Quantity(value=value, unit="s") for name, value in seconds.items()},
            target=Target(column="headrace", limit=1, unit="s") if size == _TASKS else None,
        )
    yield Row(
        section=f"{PLANNING}: {_TIMES_LARGER} times the size over once",
        workload=workload,
        cells={name: Quantity(value=large[name] / small[name], unit=TIMES) for name in small},
        target=growth,
    )


def _seconds(bench: Bench, size: int, among: int) -> dict[str, float]:
    bench.say(f"planning {size:,} tasks")
    output = bench.probe.output(["-m", "benchmarks.planning", str(size), str(among)])
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


# -- in a process of its own -----------------------------------------------------------------------------------------


def random_upstreams(size: int, among: int, seed: int = 1) -> list[list[int]]:
    """Return, for each of ``size`` tasks, ten different ones among the ``among`` before it; fewer for the first ten."""
    draw = random.Random(seed)
    return [draw.sample(range(max(0, i - among), i), min(i, _EDGES_EACH)) for i in range(size)]


def plan_with_headrace(upstreams: list[list[int]]) -> float:
    """Return the least CPU time, in seconds, that it takes to validate and plan the flow."""
    from headrace import Flow, task
    from headrace.engine.plan import make_plan

    @task
    def nothing() -> None: ...

    with Flow("ten edges a task") as flow:
        tasks = [nothing() for _ in upstreams]
    for downstream, sources in zip(tasks, upstreams, strict=True):
        for source in sources:
            flow.add_edge(tasks[source], downstream)

    def validate_and_plan() -> None:
        flow.validate()
        # What `Flow.plan` does, which keeps the plan until the flow changes.
        make_plan(flow)

    return _best(validate_and_plan)


class Edge:
    __slots__ = ("source", "target")

    def __init__(self, source: object, target: object) -> None:
        self.source = source
        self.target = target


def sort_by_hand(upstreams: list[list[int]]) -> float:
    """Return the least CPU time, in seconds, that a loop takes to order objects joined by edges, and to number them."""
    nodes = [object() for _ in upstreams]
    edges = {
        node: [Edge(nodes[source], node) for source in sources] for node, sources in zip(nodes, upstreams, strict=True)
    }

    def sort() -> list[list[int]]:
        waiting = {node: len(into) for node, into in edges.items()}
        downstream: dict[object, list[object]] = {node: [] for node in edges}
        for into in edges.values():
            for edge in into:
                downstream[edge.source].append(edge.target)
        ready = deque(node for node, count in waiting.items() if not count)
        position: dict[object, int] = {}
        while ready:
            node = ready.popleft()
            position[node] = len(position)
            for other in downstream[node]:
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        return [[position[edge.source] for edge in edges[node]] for node in position]

    return _best(sort)


def _best(call: Callable[[], object]) -> float:
    """Return the least CPU time of a few calls, and of more if they are quick: a busy moment counts for more there."""
    found: list[float] = []
    started = time.monotonic()
    while len(found) < _ROUNDS or time.monotonic() < started + _LEAST_SECONDS:
        gc.collect()
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


if __name__ == "__main__":
    graph = random_upstreams(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({"headrace": plan_with_headrace(graph), "by hand": sort_by_hand(graph)}))
