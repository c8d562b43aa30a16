from __future__ import annotations

from collections.abc import Sequence

import pytest
from benchmarks.bench import Bench
from benchmarks.contender import Contender
from benchmarks.measure import Cost, Measurement, Request
from benchmarks.peers import PEERS
from benchmarks.probe import Probe, ProbeError
from benchmarks.rows import Cell, Quantity
from benchmarks.workloads import WORKLOADS


def number(cell: Cell) -> float:
    assert isinstance(cell, Quantity)
    return cell.value


BY_NAME = {workload.name: workload for workload in WORKLOADS}


class CannedProbe(Probe):
    """Answers at once: headrace takes 8 µs a task, the floor 2, and every peer 100; some fail."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing = failing
        self.requests: list[Request] = []

    def graph(self, request: Request) -> Measurement:
        self.requests.append(request)
        if request.contender in self.failing:
            raise ProbeError("out of luck")
        micros = {"headrace": 8, "headrace-threads": 30, "floor": 2}.get(request.contender, 100)
        cost = Cost(cpu=micros * request.size / 1e6, wall=2 * micros * request.size / 1e6)
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


def bench(probe: Probe, *, peers: Sequence[Contender] = (), sizes: Sequence[int] = (1_000, 10_000)) -> Bench:
    return Bench(sizes=sizes, repeat=1, peers=peers, probe=probe, say=lambda text: None)


def peer(name: str) -> Contender:
    return next(peer for peer in PEERS if peer.name == name)


class Absent(type(peer("futures"))):  # type: ignore[misc]
    name = "absent"
    distribution = "a-distribution-that-nobody-has"


class Small(type(peer("futures"))):  # type: ignore[misc]
    name = "small"
    largest = 200


def test_a_shape_is_compared_with_the_floor_in_every_size() -> None:
    rows = [row for row in BY_NAME["chain"].measure(bench(CannedProbe())) if "ratio" in row.cells]
    assert [row.size for row in rows] == [1_000, 10_000]
    assert [number(row.cells["ratio"]) for row in rows] == [pytest.approx(4), pytest.approx(4)]
    assert all(row.met for row in rows)


def test_a_shape_in_several_sizes_tells_how_its_cost_grows() -> None:
    row = list(BY_NAME["chain"].measure(bench(CannedProbe())))[-1]
    assert row.section.startswith("Growth")
    assert number(row.cells["headrace"]) == pytest.approx(0)


def test_a_shape_in_one_size_tells_nothing_about_growth() -> None:
    rows = BY_NAME["chain"].measure(bench(CannedProbe(), sizes=[1_000]))
    assert not [row for row in rows if row.section.startswith("Growth")]


def test_memory_is_told_apart_by_flow_and_run() -> None:
    row = next(row for row in BY_NAME["chain"].measure(bench(CannedProbe())) if row.section.startswith("Memory"))
    assert (number(row.cells["flow"]), number(row.cells["its run"]), number(row.cells["both"])) == (20, 30, 50)


def running_cells(probe: Probe, contender: Contender) -> list[object]:
    rows = BY_NAME["chain"].measure(bench(probe, peers=[contender]))
    return [row.cells[contender.name] for row in rows if "ratio" in row.cells]


def test_a_peer_that_is_not_installed_is_missing() -> None:
    assert running_cells(CannedProbe(), Absent()) == ["missing", "missing"]


def test_a_peer_that_fails_says_why() -> None:
    assert running_cells(CannedProbe(["futures"]), peer("futures")) == ["failed: out of luck"] * 2


def test_a_peer_gets_the_size_that_it_can_bear() -> None:
    probe = CannedProbe()
    first, second = running_cells(probe, Small())
    assert isinstance(first, Quantity)
    assert first.value == pytest.approx(100)
    assert first.note == "@200"
    assert second == "capped"
    assert [request.size for request in probe.requests if request.contender == "small"] == [200]


def test_the_wall_time_is_compared_where_other_processes_do_part_of_the_work() -> None:
    class Elsewhere(type(peer("futures"))):  # type: ignore[misc]
        name = "elsewhere"
        clock = "wall"

    rows = BY_NAME["chain"].measure(bench(CannedProbe(), peers=[Elsewhere()]))
    assert number(next(rows).cells["elsewhere (wall)"]) == pytest.approx(200)


@pytest.mark.parametrize("name", ["threads", "sleeps", "memory"])
def test_every_other_workload_has_targets(name: str) -> None:
    assert all(row.target is not None for row in BY_NAME[name].measure(bench(CannedProbe())))


def test_a_million_children_are_only_mapped_when_asked_for() -> None:
    probe = CannedProbe()
    list(BY_NAME["memory"].measure(bench(probe)))
    assert max(request.size for request in probe.requests) == 100_002
