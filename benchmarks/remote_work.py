"""Work that leaves the process: headrace's executors beside pools and clients that make the same calls without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.bench import MICROSECONDS, Bench, Found, is_missing, per_task
from benchmarks.clusters import WORKERS
from benchmarks.contender import Contender, make_contender
from benchmarks.graphs import BURN_SECONDS
from benchmarks.measure import Measurement
from benchmarks.rows import TIMES, Cell, Quantity, Row, Target

PROCESSES: Final = (
    f"Executor processes, {WORKERS} workers: wall time per task; workers are started and stopped in each run"
)
BURNS: Final = f"Executor processes, {WORKERS} workers: tasks that compute for {BURN_SECONDS} s"
ARRAYS: Final = f"Executor processes, {WORKERS} workers: wall time per task; each takes and returns an array of 10 MB"
_CLUSTER: Final = "{}, {} workers that are there already: wall time per task"
_MEMORY: Final = "{}: memory of the process that drives the run, over the same idle"

_MANY: Final = 10_000
_LONG: Final = 1_000
_BURNS: Final = 16
_ARRAYS: Final = 100
_MEGABYTE: Final = 1_000_000
_YARDSTICKS: Final = ("loky", "pebble")


def measure_processes(bench: Bench) -> Iterator[Row]:
    """Measure no-op tasks, tasks that compute, and arrays that are passed on."""
    found = _side_by_side(bench, "processes", "independent", _MANY)
    yield _row(PROCESSES, "independent", _MANY, found, _fastest(found, _YARDSTICKS), 1.5)
    found = _side_by_side(bench, "processes", "arrays", _ARRAYS)
    yield _row(ARRAYS, "arrays", _ARRAYS, found, found.get("loky"), 1.5)
    yield _burns_row(_side_by_side(bench, "processes", "burns", _BURNS))


def measure_dask(bench: Bench) -> Iterator[Row]:
    """Measure what headrace adds to the calls of a bare Dask client, and what its process holds."""
    yield from _cluster_rows(bench, "dask", "Dask", "distributed")


def measure_ray(bench: Bench) -> Iterator[Row]:
    """Measure what headrace adds to the calls of bare Ray, and what its process holds."""
    yield from _cluster_rows(bench, "ray", "Ray", "ray")


def _cluster_rows(bench: Bench, field: str, title: str, yardstick: str) -> Iterator[Row]:
    for shape, size in (("independent", _MANY), ("map", _MANY), ("chain", _LONG)):
        found = _side_by_side(bench, field, shape, size)
        yield _row(_CLUSTER.format(title, WORKERS), shape, size, found, found.get(yardstick), 1.3)
    found = _side_by_side(bench, field, "arrays", _ARRAYS)
    yield Row(
        section=_MEMORY.format(title),
        workload="100 × 10 MB passed on",  # noqa: RUF001 - the sign is meant
        size=_ARRAYS,
        cells={name: each if isinstance(each, str) else _memory(each) for name, each in found.items()},
        target=Target(column="headrace", limit=50, unit="MB") if found["headrace"] != "missing" else None,
    )


def _side_by_side(bench: Bench, field: str, shape: str, size: int) -> dict[str, Found]:
    """Return what was measured, or why there is nothing: of headrace, and of each peer in the field."""
    ours = make_contender(f"headrace-{field}")
    peers = [peer for peer in bench.peers if peer.field == field]
    contenders: list[Contender] = [ours, *peers]
    there = [each for each in contenders if not is_missing(each)]
    found = bench.in_turns(there, shape, size)
    return {"headrace" if each is ours else each.name: found.get(each.name, "missing") for each in contenders}


def _fastest(found: Mapping[str, Found], names: Sequence[str]) -> Found | None:
    there = [found[name] for name in names if isinstance(found.get(name), Measurement)]
    return min(there, key=lambda each: each.total.wall if isinstance(each, Measurement) else 0.0, default=None)


def _row(section: str, shape: str, size: int, found: Mapping[str, Found], yardstick: Found | None, limit: float) -> Row:
    cells: dict[str, Cell] = {
        name: each if isinstance(each, str) else Quantity(value=per_task(each, each.total).wall, unit=MICROSECONDS)
        for name, each in found.items()
    }
    ours = found["headrace"]
    judged = isinstance(ours, Measurement) and isinstance(yardstick, Measurement)
    if isinstance(ours, Measurement) and isinstance(yardstick, Measurement):
        cells["ratio"] = Quantity(value=ours.total.wall / yardstick.total.wall, unit=TIMES)
    target = Target(column="ratio", limit=limit, unit=TIMES) if judged else None
    return Row(section=section, workload=shape, size=size, cells=cells, target=target)


def _burns_row(found: Mapping[str, Found]) -> Row:
    ideal = _BURNS * BURN_SECONDS / WORKERS
    cells: dict[str, Cell] = {"ideal": Quantity(value=ideal, unit="s")}
    for name, each in found.items():
        cells[name] = each if isinstance(each, str) else Quantity(value=ideal / each.total.wall, unit="of ideal")
    return Row(
        section=BURNS,
        workload="burns",
        size=_BURNS,
        cells=cells,
        target=Target(column="headrace", limit=0.9, unit="of ideal", at_least=True),
    )


def _memory(measurement: Measurement) -> Quantity:
    return Quantity(value=(measurement.peak_bytes - measurement.idle_bytes) / _MEGABYTE, unit="MB")
