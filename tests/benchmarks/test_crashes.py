from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from benchmarks import crashes
from benchmarks.bench import Bench
from benchmarks.contender import make_contender
from benchmarks.crashes import HeadraceSubject, PoolSubject, Subject, look_at, measure_crashes
from benchmarks.peers.pools import ProcessPool, StandardPool
from benchmarks.probe import Probe

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc")


class CannedProbe(Probe):
    def output(self, arguments: Sequence[str]) -> str:
        good = arguments[-1].startswith("headrace")
        return "a line\n" + json.dumps({"lost": 0 if good else 19, "worked": 100 if good else 0, "left": 0}) + "\n"


def test_headrace_is_judged_and_the_pools_stand_beside_it() -> None:
    bench = Bench(sizes=[1_000], repeat=1, peers=[StandardPool()], probe=CannedProbe(), say=lambda text: None)
    found = list(measure_crashes(bench))
    assert [row.met for row in found] == [True, True, True]
    assert [list(row.cells) for row in found] == [["headrace", "process-pool"]] * 3


class Leaving(Subject):
    """A pool that leaves a process, and loses seven tasks."""

    def siblings(self, folder: str) -> int:
        return 12

    def crashes(self) -> int:
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        return 55


def test_what_a_pool_loses_and_leaves_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(crashes.MARK, str(os.getpid()))
    subject = Leaving()
    try:
        assert look_at(subject) == {"lost": 7, "worked": 55, "left": 1}
    finally:
        subject.process.kill()
        subject.process.wait()


def test_headrace_loses_nothing_and_goes_on(tmp_path) -> None:
    assert HeadraceSubject().siblings(str(tmp_path)) == 19


def test_a_pool_of_the_standard_library_loses_siblings(tmp_path) -> None:
    pool = make_contender("process-pool")
    assert isinstance(pool, ProcessPool)
    assert PoolSubject(pool).siblings(str(tmp_path)) < 19
