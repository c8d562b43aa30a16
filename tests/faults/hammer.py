"""``python -m tests.faults.hammer URL RUNS TASKS``: records runs as fast as can be, and says how long commits took.

It prints, as JSON, the ids of runs that were acknowledged, seconds for each commit, and errors.
"""

from __future__ import annotations

import json
import sys
import time

from headrace.testing.history._base import a_run, a_task, succeed
from headrace_plugins.sqlite.store import SQLiteRunStore


def main(url: str, runs: str, tasks: str) -> None:
    commits: list[float] = []
    errors: list[str] = []
    ended: list[str] = []
    with SQLiteRunStore(url) as store:
        for _ in range(int(runs)):
            run = a_run()
            try:
                journal = store.begin(run, [a_task()])
                for number in range(int(tasks)):
                    succeed(journal, map_index=number)
                began = time.monotonic()
                journal.ended("Success", None, 12.0)
                commits.append(time.monotonic() - began)
                ended.append(run.id)
            except Exception as error:
                errors.append(repr(error))
    print(json.dumps({"commits": commits, "errors": errors, "runs": ended}))


if __name__ == "__main__":
    main(*sys.argv[1:])
