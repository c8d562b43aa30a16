from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.contender import Contender
from benchmarks.graphs import Graph
from benchmarks.measure import Cost, Measurement, Request, better, from_json, measure, run_rounds, to_json
from benchmarks.probe import Probe, ProbeError, best_and_median, environment

REQUEST = Request(contender="floor", shape="chain", size=10, repeat=2)


class Wrong(Contender):
    name = "wrong"

    def build(self, graph: Graph) -> Graph:
        return graph

    def run(self, built: Graph) -> None:
        return None

    def values(self, built: Graph, outcome: None) -> list[int]:
        return [-1]


def test_a_measurement_survives_json() -> None:
    measurement = measure(REQUEST)
    assert from_json(to_json(measurement)) == measurement


def test_a_measurement_says_of_how_many_runs_it_is_the_best() -> None:
    assert measure(REQUEST).runs == 2


def test_no_further_run_begins_after_the_time_is_up() -> None:
    assert measure(Request(contender="floor", shape="chain", size=10, repeat=50, seconds=0.0)).runs == 1


def test_a_small_graph_runs_more_often_than_asked_for() -> None:
    assert measure(Request(contender="floor", shape="chain", size=10, repeat=1, least_seconds=0.05)).runs > 1


def test_memory_never_shrinks_from_stage_to_stage() -> None:
    measurement = measure(REQUEST)
    assert 0 < measurement.idle_bytes <= measurement.built_bytes <= measurement.peak_bytes


def test_wrong_results_are_not_measured() -> None:
    with pytest.raises(ValueError, match="wrong ran chain of 10 tasks and the results are wrong"):
        run_rounds(Wrong(), Request(contender="wrong", shape="chain", size=10))


def cost(seconds: float) -> Cost:
    return Cost(cpu=seconds, wall=2 * seconds)


def test_the_better_of_two_measurements_has_the_least_of_each_cost_and_the_memory_of_the_first() -> None:
    first = Measurement(
        tasks=10,
        runs=1,
        build=cost(1),
        plan=cost(2),
        run=cost(3),
        total=cost(5),
        idle_bytes=1,
        built_bytes=2,
        peak_bytes=3,
    )
    second = Measurement(
        tasks=10,
        runs=2,
        build=cost(2),
        plan=cost(1),
        run=cost(3),
        total=cost(4),
        idle_bytes=4,
        built_bytes=5,
        peak_bytes=6,
    )
    assert better(first, second) == Measurement(
        tasks=10,
        runs=3,
        build=cost(1),
        plan=cost(1),
        run=cost(3),
        total=cost(4),
        idle_bytes=1,
        built_bytes=2,
        peak_bytes=3,
    )


def test_a_probe_measures_in_a_process_of_its_own() -> None:
    assert Probe().graph(REQUEST).tasks == 10


def test_a_process_that_fails_is_reported_by_its_last_line() -> None:
    with pytest.raises(ProbeError, match=r"^out of luck$"):
        Probe().output(["-c", "print('something'); raise SystemExit('trouble\\nout of luck')"])


def test_processes_take_turns_and_each_is_measured() -> None:
    costs = Probe().processes([["-c", "pass"], ["-c", "import json"]], repeat=2)
    assert [len(found) for found in costs] == [2, 2]
    assert all(found.cpu > 0 and found.wall > 0 for turns in costs for found in turns)


def test_the_best_and_the_median_are_taken_of_each_clock() -> None:
    assert best_and_median([cost(3), cost(1), cost(2)]) == (cost(1), cost(2))


def test_a_measured_process_may_write_bytecode() -> None:
    found = environment({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/somewhere"})
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["HOME"] == "/somewhere"


def test_a_measured_process_finds_the_benchmarks_and_what_was_on_the_path_before() -> None:
    paths = environment({"PYTHONPATH": "elsewhere"})["PYTHONPATH"].split(os.pathsep)
    assert paths == [str(Path(__file__).parents[2]), "elsewhere"]
