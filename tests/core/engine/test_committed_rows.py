"""When ``flow.run()`` returns, all of the run is in the history: a process that is torn down then loses nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SCRIPT = """
    import os
    from headrace import Flow, task

    def number(x):
        return x

    def total(xs):
        return sum(xs)

    with Flow("counted") as flow:
        task(total)(task(number).map(list(range(500))))
    state = flow.run(record=True, executor=EXECUTOR)
    # Nothing that Python does at the end of a process is done.
    os._exit(0 if state.is_successful() else 1)
"""


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_every_row_is_there_after_a_process_was_torn_down(tmp_path: Path, executor: str) -> None:
    (tmp_path / "script.py").write_text(dedent(SCRIPT).replace("EXECUTOR", repr(executor)))
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=60)
    # Not through a store, which would take in what a journal has beyond that.
    with sqlite3.connect(tmp_path / ".headrace" / "history" / "runs.db") as connection:
        rows = connection.execute(
            "SELECT slug, count(*), sum(task_runs.finished), sum(data IS NOT NULL) FROM task_runs "
            "JOIN tasks USING (run, node) WHERE slug IN ('number-1', 'total-1') GROUP BY slug"
        ).fetchall()
        ended = connection.execute("SELECT state, ended IS NOT NULL FROM runs").fetchall()
    assert rows == [("number-1", 501, 501, 500), ("total-1", 1, 1, 1)]
    assert ended == [("Success", 1)]
