"""The history: what recording costs, how soon a large run is resumed or shown, and many processes at one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.bench import MICROSECONDS, Bench, per_task
from benchmarks.measure import Measurement
from benchmarks.rows import TIMES, Quantity, Row, Target

RECORDING: Final = "Recording: CPU time per no-op task, all threads, with the history in one SQLite file"
GROWTH: Final = "Recording: CPU time per task at 100,000 tasks over that at 1,000"
MEMORY: Final = "Recording: memory a finished mapped child leaves"
LARGE: Final = "A large history: wall time of commands; best"
SHARED: Final = "One history, many processes at once, each 50 runs of 40 tasks: what a run waits for in the end"

_SMALL: Final = 1_000
_LARGE: Final = 100_000
_MILLION: Final = 1_000_000
_PROCESSES: Final = 8
_RUNS: Final = 50


def measure_history(bench: Bench) -> Iterator[Row]:
    """Measure recorded runs beside a hand-written loop that writes two rows a task, and commands on what they leave."""
    for shape in ("independent", "map"):
        yield from _recording_rows(bench, shape)
    yield from _command_rows(bench)
    yield _shared_row(bench)


def _recording_rows(bench: Bench, shape: str) -> Iterator[Row]:
    costs = {}
    for size in (_SMALL, _LARGE):
        ours = bench.measure("headrace-recorded", shape, size)
        floor = bench.measure("floor-recorded", shape, size)
        costs[size] = cost = per_task(ours, ours.total).cpu
        hand_written = per_task(floor, floor.total).cpu
        yield Row(
            section=RECORDING,
            workload=shape,
            size=size,
            cells={
                "headrace": Quantity(value=cost, unit=MICROSECONDS),
                "wall": Quantity(value=per_task(ours, ours.total).wall, unit=MICROSECONDS),
                "floor, two rows a task": Quantity(value=hand_written, unit=MICROSECONDS),
                "ratio": Quantity(value=cost / hand_written, unit=TIMES),
            },
            # Below that, what a run costs as such is what shows.
            target=Target(column="headrace", limit=30, unit=MICROSECONDS) if size == _LARGE else None,
        )
        if shape == "map" and size == _LARGE:
            yield _memory_row(ours)
    yield Row(
        section=GROWTH,
        workload=shape,
        cells={"headrace": Quantity(value=costs[_LARGE] / costs[_SMALL], unit=TIMES)},
        target=Target(column="headrace", limit=1.3, unit=TIMES),
    )


def _memory_row(ours: Measurement) -> Row:
    left = (ours.peak_bytes - ours.built_bytes) / ours.tasks
    return Row(
        section=MEMORY,
        workload="map",
        size=ours.tasks,
        cells={"headrace": Quantity(value=left, unit="bytes")},
        target=Target(column="headrace", limit=1_000, unit="bytes"),
    )


def _command_rows(bench: Bench) -> Iterator[Row]:
    bench.say(f"history of {_MILLION:,} task runs")
    found = _answers(bench, "commands", _LARGE, _MILLION // _LARGE)
    for workload, limit, unit in (("runs", 150, "ms"), ("show", 1_000, "ms"), ("resume", 2_000, "ms")):
        yield Row(
            section=LARGE,
            workload=_TITLES[workload],
            cells={
                "headrace": Quantity(value=found[workload] * 1e3, unit=unit),
                "over start-up": Quantity(value=(found[workload] - found["startup"]) * 1e3, unit=unit),
            },
            target=Target(column="headrace" if workload == "show" else "over start-up", limit=limit, unit=unit),
        )


_TITLES: Final = {
    "runs": "headrace runs, of 1,000,000 task runs",
    "show": "headrace show, a map over 100,000",
    "resume": "headrace resume, until the first of 100,000 tasks that remain begins",
}


def _shared_row(bench: Bench) -> Row:
    bench.say(f"{_PROCESSES} processes at one history")
    found = _answers(bench, "shared", _PROCESSES, _RUNS)
    return Row(
        section=SHARED,
        workload=f"{_PROCESSES} processes",
        size=_PROCESSES * _RUNS,
        cells={
            "99 of 100 within": Quantity(value=found["p99"] * 1e3, unit="ms"),
            "half within": Quantity(value=found["median"] * 1e3, unit="ms"),
            "errors": Quantity(value=found["errors"], unit="found"),
        },
        target=Target(column="99 of 100 within", limit=250, unit="ms"),
    )


def _answers(bench: Bench, question: str, *numbers: int) -> Mapping[str, float]:
    output = bench.probe.output(["-m", "benchmarks.histories", question, *map(str, numbers)])
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found
