"""Processes that are killed, disks that are full, and many who write at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.testing.history._base import shown
from headrace_plugins.sqlite.store import SQLiteRunStore

# Says the id of each run it begins; then the number of each task run, once it was said to have finished.
COUNT = """
import os, sys
from headrace.testing.history._base import a_run, a_task
from headrace_plugins.sqlite.store import SQLiteRunStore
store = SQLiteRunStore("sqlite:" + sys.argv[1])
while True:
    run = a_run()
    journal = store.begin(run, [a_task()])
    os.write(1, f"run {run.id}\\n".encode())
    for number in range(int(sys.argv[2])):
        journal.began(0, number, 1, 10.0)
        journal.finished(0, number, 1, "Success", None, 10.0, 11.0)
        os.write(1, f"task {number}\\n".encode())
    journal.ended("Success", None, 12.0)
    os.write(1, b"end\\n")
"""

# Begins and ends runs, and says the slowest of its commits and whether anything was raised.
HAMMER = """
import json, sys, time
from headrace.testing.history._base import a_run, a_task, succeed
from headrace_plugins.sqlite.store import SQLiteRunStore
slowest, errors = [], []
with SQLiteRunStore("sqlite:" + sys.argv[1]) as store:
    for _ in range(int(sys.argv[2])):
        try:
            journal = store.begin(a_run(), [a_task()])
            for number in range(40):
                succeed(journal, map_index=number)
            began = time.monotonic()
            journal.ended("Success", None, 12.0)
            slowest.append(time.monotonic() - began)
        except Exception as error:
            errors.append(repr(error))
print(json.dumps({"commits": slowest, "errors": errors}))
"""

# A file may have no more than so many bytes, as on a disk that is full; then it may.
FULL = """
import resource, signal, sys
from headrace.exceptions import HistoryError
from headrace.testing.history._base import a_run, a_task, succeed
from headrace_plugins.sqlite.store import SQLiteRunStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SQLiteRunStore("sqlite:" + sys.argv[1])
run = a_run()
journal = store.begin(run, [a_task()])
print(run.id)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
number = 0
try:
    while number < 100_000:
        succeed(journal, map_index=number)
        number += 1
        if number % 100 == 0:
            journal.flush()
except HistoryError as error:
    print(number)
    print(error)
journal.abandon()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([(each.id, each.state) for each in store.sweep()] == [(run.id, "Crashed")])
"""


def process(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", range(12))
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, seed: int) -> None:
    randomness = random.Random(seed)
    path = tmp_path / "runs.db"
    said: list[str] = []
    for _ in range(2):
        with process(COUNT, path, randomness.choice([3, 50, 2000])) as child:
            assert child.stdout is not None
            said.append(child.stdout.readline())
            time.sleep(randomness.uniform(0, 0.15))
            child.kill()
            said += child.stdout.read().splitlines(keepends=True)
    store = SQLiteRunStore(f"sqlite:{path}")
    store.sweep()
    check(store, [line.split() for line in said if line.endswith("\n")])
    assert store.check() == []
    assert list((tmp_path / "runs.db.live").iterdir()) == []


def check(store: SQLiteRunStore, said: list[list[str]]) -> None:
    """Compare the history with what processes said when a call had returned."""
    run_id, finished, ended = "", -1, False
    expected: dict[str, tuple[int, bool]] = {}
    for word, *rest in said:
        if word == "run":
            run_id, finished, ended = rest[0], -1, False
        elif word == "task":
            finished = int(rest[0])
        else:
            ended = True
        expected[run_id] = finished, ended
    for run_id, (finished, ended) in expected.items():
        run = store.run(run_id)
        found = [index for _, index, state in shown(store, run_id) if state == "Success"]
        assert found[: finished + 1] == list(range(finished + 1))
        assert run.state in ({"Success"} if ended else {"Success", "Crashed"})
        assert run.ended is not None


def test_many_processes_write_to_one_file(tmp_path: Path) -> None:
    path, count = tmp_path / "runs.db", 6
    children = [process(HAMMER, path, count) for _ in range(6)]
    said = [json.loads(child.communicate(timeout=100)[0]) for child in children]
    assert [each["errors"] for each in said] == [[]] * 6
    store = SQLiteRunStore(f"sqlite:{path}")
    assert [run.counts for run in store.runs()] == [{"Success": 40}] * 6 * count
    assert store.check() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize("limit", [100_000, 150_000, 400_000])
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, limit: int) -> None:
    with process(FULL, tmp_path / "runs.db", limit) as child:
        output, _ = child.communicate(timeout=60)
    run_id, number, error, swept = output.splitlines()
    assert str(tmp_path / "runs.db") in error
    assert swept == "True"
    store = SQLiteRunStore(f"sqlite:{tmp_path}/runs.db")
    found = [index for _, index, state in shown(store, run_id) if state == "Success"]
    assert len(found) >= int(number)
    assert found == list(range(len(found)))
    assert store.check() == []
