"""``headrace export``: all that was recorded of a run, as lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

FLOW = """
    @task(max_retries=1, retry_delay=0)
    def half(x):
        context.logger.info("halving %s", x)
        if x == 3: raise ValueError("three is odd")
        return x / 2

    @task(cache_for=60)
    def letters(): return "x" * 50_000

    with Flow("halves") as flow:
        half.map([2, 3, 4])
        letters()
"""


@pytest.fixture(name="ran")
def _ran(cli):
    cli.here("run", cli.file(FLOW), "--run-name", "first", "--quiet", "--log-level", "INFO")
    return cli


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_everything_is_there_each_on_a_line_of_its_own(ran) -> None:
    done = ran.here("export", "first")
    found = lines(done.out)
    assert done.code == 0
    assert (found[0]["type"], found[0]["form"], found[0]["name"]) == ("run", 1, "first")
    counts = Counter(each["type"] for each in found)
    assert (counts["run"], counts["task"], counts["task_run"], counts["attempt"]) == (1, 3, 6, 1)
    assert counts["note"] == 1
    assert found[-1] == {"type": "end", "lines": {kind: count for kind, count in counts.items() if kind != "end"}}


def test_values_are_told_by_size_place_and_digest_and_are_not_there(ran) -> None:
    found = [each for each in lines(ran.here("export").out) if each["type"] == "task_run"]
    by_name = {(each["task"], each["map_index"]): each["value"] for each in found}
    small, large, error = by_name["half-1", 0], by_name["letters-1", None], by_name["half-1", 1]
    assert small["kept"] == "history"
    assert small["size"] > 0
    assert len(small["digest"]) == len(large["digest"]) == 64
    assert small["digest"] != by_name["half-1", 2]["digest"]
    assert (large["kept"], large["type"]) == ("store", "str")
    assert large["location"]
    assert (error["type"], error["is_exception"], error["kept"]) == ("ValueError", True, None)


def test_what_was_logged_is_there(ran) -> None:
    logs = [each for each in lines(ran.here("export").out) if each["type"] == "log"]
    said = [(each["map_index"], each["attempt"], each["level"]) for each in logs if each["text"] == "halving 3"]
    assert said == [(1, 1, 20), (1, 2, 20)]


def test_a_file_is_written_as_a_whole_or_not_at_all(ran) -> None:
    assert ran.here("export", "-o", "run.jsonl").code == 0
    assert (ran.folder / "run.jsonl").read_text() == ran.here("export").out
    before = sorted(path.name for path in ran.folder.iterdir())
    done = ran.here("export", "-o", "nowhere/run.jsonl")
    assert done.code == 2
    assert "nowhere/run.jsonl cannot be written: No such file or directory." in done.err
    assert sorted(path.name for path in ran.folder.iterdir()) == before


def test_whoever_has_read_enough_hears_no_complaint(ran) -> None:
    with ran.start("export") as process:
        assert process.stdout.readline().startswith('{"type":"run"')
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=20)
    assert err == ""


def test_many_children_take_little_memory(ran) -> None:
    """The rows are made by hand: a run of so many would take long."""
    text = """
import resource, sqlite3, sys
connection = sqlite3.connect(".headrace/history/runs.db")
names = [each[1] for each in connection.execute("PRAGMA table_info(task_runs)")]
row = dict(zip(names, connection.execute("SELECT * FROM task_runs WHERE map_index = 0").fetchone()))
insert = "INSERT INTO task_runs VALUES ({})".format(",".join("?" * len(names)))
connection.executemany(insert, (tuple({**row, "map_index": n}.values()) for n in range(10, 30_010)))
connection.commit()
connection.close()
from headrace.cli import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    main(["export", "-o", "run.jsonl"])
except SystemExit as ended:
    assert not ended.code
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ran.folder, env=ran.environment(), capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 25_000_000
    with (ran.folder / "run.jsonl").open() as file:
        assert sum(1 for _ in file) > 30_000


def test_a_file_needs_a_name(ran) -> None:
    done = ran.here("export", "-o", "")
    assert (done.code, done.err.splitlines()[0]) == (2, "Error: `-o` got no name of a file.")
