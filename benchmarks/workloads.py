"""The workloads: each a function that measures and yields rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.bench import MICROSECONDS, Bench, per_task
from benchmarks.crashes import measure_crashes
from benchmarks.graphs import NAP_SECONDS
from benchmarks.history import measure_history
from benchmarks.measure import Measurement
from benchmarks.planning import measure_planning
from benchmarks.processes import measure_hello, measure_import
from benchmarks.remote_work import measure_dask, measure_processes, measure_ray
from benchmarks.rows import TIMES, Quantity, Row, Target, growth_exponent
from benchmarks.scheduling import measure_schedules

RUNNING = "Running a flow: CPU time per task, planning included (columns planning and wall: of headrace)"
BUILDING = "Building a flow: CPU time per task call"
GROWTH = "Growth: fitted exponent of the time per task over the sizes (0 is flat, 1 is quadratic)"
MEMORY = "Memory: peak over the same process before it"
THREADS = "Executor threads, 8 workers: CPU time per task, planning included"

_WORKERS = 8
_SLEEPS = 200
_MEGABYTE = 1_000_000
_SMALLEST_JUDGED = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """``measure`` yields rows as it finds them; it raises ProbeError only if headrace itself fails."""

    name: str
    summary: str
    measure: Callable[[Bench], Iterator[Row]]


# -- shapes ----------------------------------------------------------------------------------------------------------


def measure_shape(shape: str, bench: Bench) -> Iterator[Row]:
    """Measure a graph of one shape in every size."""
    engines, floors = [], []
    for size in bench.sizes:
        engine, floor = bench.duel(shape, size)
        engines.append(engine)
        floors.append(floor)
        yield _running_row(bench, shape, size, engine, floor)
        if shape != "map":
            yield _building_row(shape, engine, size)
        yield _memory_row(shape, engine, floor, size)
    if len(bench.sizes) > 1:
        yield _growth_row(shape, engines, floors)


def _running_row(bench: Bench, shape: str, size: int, engine: Measurement, floor: Measurement) -> Row:
    cost, floor_cost = per_task(engine, engine.total), per_task(floor, floor.total)
    return Row(
        section=RUNNING,
        workload=shape,
        size=size,
        cells={
            "headrace": _time(cost.cpu),
            "planning": _time(per_task(engine, engine.plan).cpu),
            "wall": _time(cost.wall),
            "floor": _time(floor_cost.cpu),
            "ratio": Quantity(value=cost.cpu / floor_cost.cpu, unit=TIMES),
            **bench.peer_cells(shape, size),
        },
        # Below a thousand tasks, what a run costs as such is what shows.
        target=Target(column="ratio", limit=5, unit=TIMES, stretch=3) if size >= _SMALLEST_JUDGED else None,
    )


def _building_row(shape: str, engine: Measurement, size: int) -> Row:
    return Row(
        section=BUILDING,
        workload=shape,
        size=size,
        cells={"headrace": _time(per_task(engine, engine.build).cpu)},
        target=Target(column="headrace", limit=15, unit=MICROSECONDS),
    )


def _growth_row(shape: str, engines: list[Measurement], floors: list[Measurement]) -> Row:
    return Row(
        section=GROWTH,
        workload=shape,
        cells={"headrace": _growth(engines), "floor": _growth(floors)},
        target=Target(column="headrace", limit=0.1, unit=""),
    )


def _growth(measurements: list[Measurement]) -> Quantity:
    points = [(float(m.tasks), per_task(m, m.total).cpu) for m in measurements]
    return Quantity(value=growth_exponent(points), unit="")


def _memory_row(shape: str, engine: Measurement, floor: Measurement, size: int) -> Row:
    return Row(
        section=MEMORY,
        workload=shape,
        size=size,
        cells={
            "flow": _memory(engine.built_bytes - engine.idle_bytes),
            "its run": _memory(engine.peak_bytes - engine.built_bytes),
            "both": _memory(engine.peak_bytes - engine.idle_bytes),
            "floor": _memory(floor.peak_bytes - floor.idle_bytes),
        },
    )


def _time(value: float) -> Quantity:
    return Quantity(value=value, unit=MICROSECONDS)


def _memory(count: int) -> Quantity:
    return Quantity(value=count / _MEGABYTE, unit="MB")


# -- the rest --------------------------------------------------------------------------------------------------------


def measure_threads(bench: Bench) -> Iterator[Row]:
    """Measure what a task costs that crosses to a thread and back, and how well threads are used."""
    for shape in ("independent", "chain"):
        for size in bench.sizes:
            engine = bench.measure("headrace-threads", shape, size)
            cost = per_task(engine, engine.total)
            yield Row(
                section=THREADS,
                workload=shape,
                size=size,
                cells={
                    "headrace": _time(cost.cpu),
                    "wall": _time(cost.wall),
                    **bench.peer_cells(shape, size, ["futures"]),
                },
                target=Target(column="headrace", limit=60, unit=MICROSECONDS),
            )


def measure_sleeps(bench: Bench) -> Iterator[Row]:
    """Measure how close 200 sleeps on 8 threads come to the time they must take."""
    ideal = _SLEEPS * NAP_SECONDS / _WORKERS
    cells = {"ideal": Quantity(value=ideal, unit="s")}
    peers = [peer.name for peer in bench.peers if peer.name == "futures"]
    for title, contender in (("headrace", "headrace-threads"), *((peer, peer) for peer in peers)):
        wall = bench.measure(contender, "sleeps", _SLEEPS).total.wall
        cells |= {title: Quantity(value=ideal / wall, unit="of ideal")}
    yield Row(
        section="Executor threads, 8 workers: 200 sleeps of 50 ms",
        workload="sleeps",
        size=_SLEEPS,
        cells=cells,
        target=Target(column="headrace", limit=0.95, unit="of ideal", at_least=True),
    )


def measure_memory(bench: Bench) -> Iterator[Row]:
    """Measure what mapped children leave behind, and whether results are released after their last reader."""
    sizes = [(100_000, 150.0), *([(1_000_000, 1_200.0)] if bench.million else [])]
    measurements = [("mapped no-op children", "map", size, limit) for size, limit in sizes]
    for workload, shape, size, limit in (*measurements, ("chain passing 10 MB each", "payloads", 100, 60.0)):
        engine = bench.measure("headrace", shape, size + 2 if shape == "map" else size)
        yield Row(
            section=MEMORY,
            workload=workload,
            size=size,
            cells={"both": _memory(engine.peak_bytes - engine.idle_bytes)},
            target=Target(column="both", limit=limit, unit="MB"),
        )


_SHAPES: Final = {
    "independent": "tasks that wait for nothing",
    "chain": "each task takes the result of the one before",
    "fan-out-in": "one task, many that take its result, one that takes all of theirs",
    "map": "one task, one mapped over its result, one that takes the list",
    "layered": "layers of 100; each task takes two results of the layer before",
}

WORKLOADS: Final[tuple[Workload, ...]] = (
    Workload(name="import", summary="import headrace, over bare Python", measure=measure_import),
    Workload(name="hello", summary="hello world as a whole process", measure=measure_hello),
    *(Workload(name=name, summary=summary, measure=partial(measure_shape, name)) for name, summary in _SHAPES.items()),
    Workload(name="threads", summary="no-op tasks on the executor threads", measure=measure_threads),
    Workload(name="sleeps", summary="200 sleeps of 50 ms on 8 threads", measure=measure_sleeps),
    Workload(name="memory", summary="100,000 mapped children; a chain that passes 10 MB", measure=measure_memory),
    Workload(name="processes", summary="no-op tasks, arrays and computing on processes", measure=measure_processes),
    Workload(name="dask", summary="what headrace adds to a bare Dask client", measure=measure_dask),
    Workload(name="ray", summary="what headrace adds to bare Ray", measure=measure_ray),
    Workload(name="crashes", summary="what a process that dies takes with it", measure=measure_crashes),
    Workload(name="history", summary="recording, resuming, and commands on large histories", measure=measure_history),
    Workload(name="planning", summary="10,000 tasks with 100,000 edges, and ten times that", measure=measure_planning),
    Workload(name="schedules", summary="instants a second of each kind of clock", measure=measure_schedules),
)
