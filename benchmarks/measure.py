"""One measurement, in a process of its own: ``python -m benchmarks.measure REQUEST`` prints a line of JSON.

Each process first runs a graph of ten tasks, so that imports and first-time costs are not counted here.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.contender import Contender, make_contender
from benchmarks.graphs import Graph, make_graph

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to measure: the best of ``repeat`` runs, of more if those take less than ``least_seconds``, and of fewer,
    but at least one, if they take more than ``seconds``.
    """

    contender: str
    shape: str
    size: int
    repeat: int = 3
    least_seconds: float = 0.0
    seconds: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Seconds of the process's CPU time, all threads together, and of wall time."""

    cpu: float
    wall: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The best of ``runs`` runs. ``total`` is planning and running. Memory is the peak of the process in bytes:
    before the first graph was built, with it, and after its run.
    """

    tasks: int
    runs: int
    build: Cost
    plan: Cost
    run: Cost
    total: Cost
    idle_bytes: int
    built_bytes: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    build: Cost
    plan: Cost
    run: Cost
    built_bytes: int
    peak_bytes: int


def measure(request: Request) -> Measurement:
    """Measure here and now; raise ValueError if the contender's results are wrong."""
    contender = make_contender(request.contender)
    try:
        return run_rounds(contender, request)
    finally:
        contender.close()


def run_rounds(contender: Contender, request: Request) -> Measurement:
    """Measure ``contender``, whatever the request calls it; raise ValueError for wrong results."""
    _round(contender, make_graph("chain", 10))
    graph = make_graph(request.shape, request.size)
    gc.collect()
    idle = peak_memory()
    started = time.monotonic()
    rounds = [_round(contender, graph)]
    while _wants_more(request, len(rounds), time.monotonic() - started):
        gc.collect()
        rounds.append(_round(contender, graph))
    return _best(len(graph), rounds, idle)


def _wants_more(request: Request, runs: int, elapsed: float) -> bool:
    return elapsed < request.seconds and (runs < request.repeat or elapsed < request.least_seconds)


def _round(contender: Contender, graph: Graph) -> Round:
    built, build = _timed(lambda: contender.build(graph))
    built_bytes = peak_memory()
    _, plan = _timed(lambda: contender.plan(built))
    outcome, run = _timed(lambda: contender.run(built))
    peak_bytes = peak_memory()
    if not graph.check(contender.values(built, outcome)):
        raise ValueError(f"{contender.name} ran {graph.name} of {len(graph)} tasks and the results are wrong.")
    return Round(build=build, plan=plan, run=run, built_bytes=built_bytes, peak_bytes=peak_bytes)


def _timed(call: Callable[[], T]) -> tuple[T, Cost]:
    cpu, wall = time.process_time(), time.perf_counter()
    value = call()
    return value, Cost(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall)


def _best(tasks: int, rounds: list[Round], idle: int) -> Measurement:
    return Measurement(
        tasks=tasks,
        runs=len(rounds),
        build=least(r.build for r in rounds),
        plan=least(r.plan for r in rounds),
        run=least(r.run for r in rounds),
        total=least(Cost(cpu=r.plan.cpu + r.run.cpu, wall=r.plan.wall + r.run.wall) for r in rounds),
        idle_bytes=idle,
        built_bytes=rounds[0].built_bytes,
        peak_bytes=rounds[0].peak_bytes,
    )


def better(first: Measurement, second: Measurement) -> Measurement:
    """Return the best of two measurements of the same thing; memory is that of the first."""
    return replace(
        first,
        runs=first.runs + second.runs,
        build=least([first.build, second.build]),
        plan=least([first.plan, second.plan]),
        run=least([first.run, second.run]),
        total=least([first.total, second.total]),
    )


def least(costs: Iterable[Cost]) -> Cost:
    """Return the least CPU time and the least wall time, which may be of different runs."""
    found = list(costs)
    return Cost(cpu=min(c.cpu for c in found), wall=min(c.wall for c in found))


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would do, but a process inherits it from the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def to_json(measurement: Measurement) -> str:
    return json.dumps(asdict(measurement))


def from_json(text: str) -> Measurement:
    """Return what `to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    for name in ("build", "plan", "run", "total"):
        fields[name] = Cost(**fields[name])
    return Measurement(**fields)


if __name__ == "__main__":
    # On a line of its own, after whatever a contender printed.
    print("\n" + to_json(measure(Request(**json.loads(sys.argv[1])))))
