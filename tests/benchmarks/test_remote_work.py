from __future__ import annotations

from collections.abc import Sequence

import pytest
from benchmarks.bench import Bench
from benchmarks.contender import Contender
from benchmarks.measure import Cost, Measurement, Request
from benchmarks.peers.pools import Loky, Pebble, StandardPool
from benchmarks.probe import Probe, ProbeError
from benchmarks.remote_work import ARRAYS, BURNS, PROCESSES, measure_dask, measure_processes
from benchmarks.rows import Quantity, Row

MICROS = {"headrace-processes": 80, "loky": 100, "pebble": 40, "process-pool": 120}


class CannedProbe(Probe):
    """Answers at once, with what a task of each contender takes."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing = failing

    def graph(self, request: Request) -> Measurement:
        if request.contender in self.failing:
            raise ProbeError("out of luck")
        seconds = 0.105 if request.shape == "burns" else MICROS[request.contender] / 1e6
        cost = Cost(cpu=seconds * request.size, wall=seconds * request.size)
        return Measurement(
            tasks=request.size,
            runs=1,
            build=cost,
            plan=cost,
            run=cost,
            total=cost,
            idle_bytes=10_000_000,
            built_bytes=30_000_000,
            peak_bytes=60_000_000,
        )


class InstalledLoky(Loky):
    distribution = "headrace"


class InstalledPebble(Pebble):
    distribution = "headrace"


class AbsentLoky(Loky):
    distribution = "a-distribution-that-nobody-has"


def rows(*peers: Contender, failing: Sequence[str] = ()) -> dict[str, Row]:
    bench = Bench(sizes=[1_000], repeat=1, peers=peers, probe=CannedProbe(failing), say=lambda text: None)
    return {row.section: row for row in measure_processes(bench)}


def test_no_op_tasks_are_judged_by_the_faster_of_loky_and_pebble_and_arrays_by_loky() -> None:
    found = rows(InstalledLoky(), InstalledPebble(), StandardPool())
    ratios = [found[section].cells["ratio"] for section in (PROCESSES, ARRAYS)]
    assert [ratio.value for ratio in ratios if isinstance(ratio, Quantity)] == [pytest.approx(2), pytest.approx(0.8)]
    assert [found[section].met for section in (PROCESSES, ARRAYS, BURNS)] == [False, True, True]


def test_what_is_not_installed_is_missing_and_nothing_is_judged_by_it() -> None:
    row = rows(AbsentLoky())[ARRAYS]
    assert (row.cells["loky"], row.met) == ("missing", None)


def test_a_pool_that_fails_says_why() -> None:
    row = rows(InstalledLoky(), failing=["loky"])[ARRAYS]
    assert (row.cells["loky"], row.met) == ("failed: out of luck", None)


def test_headrace_must_not_fail() -> None:
    with pytest.raises(ProbeError):
        rows(InstalledLoky(), failing=["headrace-processes"])


def test_where_the_plugin_is_not_installed_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.executors import OnDask

    monkeypatch.setattr(OnDask, "distribution", "a-distribution-that-nobody-has")
    bench = Bench(sizes=[1_000], repeat=1, peers=[], probe=CannedProbe(), say=lambda text: None)
    found = list(measure_dask(bench))
    assert [row.cells["headrace"] for row in found] == ["missing"] * 4
    assert [row.met for row in found] == [None] * 4
