from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.planning import measure_planning, plan_with_headrace, random_upstreams, sort_by_hand
from benchmarks.probe import Probe
from benchmarks.rows import TIMES, Quantity


class LinearProbe(Probe):
    """Answers at once: headrace takes ten microseconds a task, the loop five."""

    def output(self, arguments: Sequence[str]) -> str:
        size = int(arguments[2])
        return "a warning\n" + json.dumps({"headrace": size * 1e-5, "by hand": size * 5e-6}) + "\n"


BENCH = Bench(sizes=[1_000], repeat=1, peers=[], probe=LinearProbe(), say=lambda text: None)


def test_planning_is_measured_in_two_sizes_and_by_how_they_compare() -> None:
    rows = [row for row in measure_planning(BENCH) if row.workload == "upstream tasks nearby"]
    assert [row.size for row in rows] == [10_000, 100_000, None]
    assert rows[-1].cells["headrace"] == Quantity(value=10.0, unit=TIMES)
    assert [row.met for row in rows] == [True, None, True]


def test_each_task_has_ten_upstream_tasks_among_those_before_it() -> None:
    upstreams = random_upstreams(200, among=50)
    assert all(len(set(found)) == 10 for found in upstreams[10:])
    assert all(i - 50 <= source < i for i, found in enumerate(upstreams) for source in found)


def test_headrace_and_the_loop_plan_the_same_graph() -> None:
    upstreams = random_upstreams(20, among=10)
    assert plan_with_headrace(upstreams) > 0
    assert sort_by_hand(upstreams) > 0
