from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.bench import Bench
from benchmarks.histories import commands, shared
from benchmarks.history import measure_history
from benchmarks.measure import Cost, Measurement, Request
from benchmarks.probe import Probe


class CannedProbe(Probe):
    """Answers at once: recording takes 20 µs a task, a loop 5; and commands the times that are given."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = {
            "startup": 0.1,
            "runs": 0.2,
            "show": 0.5,
            "resume": 1.0,
            "median": 0.01,
            "p99": 0.1,
            "errors": 0,
        }
        self.seconds |= seconds

    def graph(self, request: Request) -> Measurement:
        micros = 20 if request.contender.startswith("headrace") else 5
        cost = Cost(cpu=micros * request.size / 1e6, wall=micros * request.size / 1e6)
        return Measurement(
            tasks=request.size,
            runs=1,
            build=cost,
            plan=cost,
            run=cost,
            total=cost,
            idle_bytes=0,
            built_bytes=0,
            peak_bytes=300 * request.size,
        )

    def output(self, arguments: Sequence[str]) -> str:
        return json.dumps(self.seconds)


def bench(probe: Probe) -> Bench:
    return Bench(sizes=[1_000], repeat=1, peers=[], probe=probe, say=lambda text: None)


def test_every_row_with_a_target_says_whether_it_is_met() -> None:
    assert {row.met for row in measure_history(bench(CannedProbe()))} == {True, None}


@pytest.mark.parametrize(("what", "seconds"), [("runs", 0.3), ("show", 1.1), ("resume", 2.2), ("p99", 0.3)])
def test_a_slow_answer_misses_its_target(what: str, seconds: float) -> None:
    rows = measure_history(bench(CannedProbe(**{what: seconds})))
    assert [row.met for row in rows].count(False) == 1


def test_commands_are_timed_on_runs_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = commands(20, 2)
    assert set(found) == {"startup", "runs", "show", "resume"}
    assert all(seconds > 0 for seconds in found.values())


def test_several_processes_say_how_long_they_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = shared(2, 3)
    assert 0 < found["median"] <= found["p99"]
    assert found["errors"] == 0
