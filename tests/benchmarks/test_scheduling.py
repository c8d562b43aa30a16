from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from benchmarks.bench import Bench
from benchmarks.probe import Probe
from benchmarks.scheduling import measure_schedules, rates


class CannedProbe(Probe):
    def output(self, arguments: Sequence[str]) -> str:
        return json.dumps({"cron": 200_000.0, "rrule": 50_000.0})


def test_a_clock_must_yield_a_hundred_thousand_instants_a_second() -> None:
    bench = Bench(sizes=[1_000], repeat=1, peers=[], probe=CannedProbe(), say=lambda text: None)
    assert {row.workload: row.met for row in measure_schedules(bench)} == {"cron": True, "rrule": False}


def test_every_clock_is_measured() -> None:
    pytest.importorskip("cronsim")
    assert set(rates()) == {"interval", "cron", "cron, working hours", "dates", "rrule"}
    assert all(rate > 0 for rate in rates().values())
