"""Histories that are asked for something: ``python -m benchmarks.histories QUESTION`` prints a line of JSON.

The histories are made in the folder where it runs, which is empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_REPEAT: Final = 5
_TASKS: Final = 40

# Dies amid its children, unless it has done so before.
_FLOW: Final = """\
import os
import time
from pathlib import Path

from headrace import Flow, task

COUNT = {count}


@task
def work(number):
    if number == COUNT // 2:
        if not Path("died").exists():
            Path("died").touch()
            os._exit(9)
        Path("began").write_text(repr(time.time()))
    return number


with Flow("large") as flow:
    work.map(list(range(COUNT)))
"""

# Each process says how long it waited for the history, and which errors it met.
_WRITER: Final = """\
import json
import time

from headrace import Flow, task
from headrace.engine import recorded_runs

waits, errors = [], []


def timed(function):
    def call(*arguments, **options):
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            waits.append(time.perf_counter() - began)

    return call


@task
def work(number):
    return number


with Flow("shared") as flow:
    for number in range({tasks}):
        work(number)

recorded_runs.Recording.ended = timed(recorded_runs.Recording.ended)
for _ in range({runs}):
    state = flow.run(record=True)
    if not state.is_successful():
        errors.append(str(state))
print(json.dumps([waits, errors]))
"""


def commands(size: int, runs: int) -> dict[str, float]:
    """Return the seconds that commands take on ``runs`` runs of ``size`` mapped children each."""
    from headrace import Flow, task

    startup = _best(lambda: _headrace("runs"))
    with Flow("mapped") as flow:
        task(_nothing).map(list(range(size)))
    for _ in range(runs):
        flow.run(record=True)
    return {
        "startup": startup,
        "runs": _best(lambda: _headrace("runs")),
        "show": _best(lambda: _headrace("show")),
        "resume": _until_resumed(size),
    }


def _nothing(number: int) -> None: ...


def _headrace(*arguments: str, fails: bool = False) -> None:
    done = subprocess.run([sys.executable, "-m", "headrace", *arguments], capture_output=True, text=True, check=False)
    if (done.returncode != 0) != fails:
        raise RuntimeError(done.stderr)


def _best(call: Callable[[], object]) -> float:
    found = []
    for _ in range(_REPEAT):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)


def _until_resumed(size: int) -> float:
    """Return how long `headrace resume` takes until the first task runs, half of whose brothers have finished."""
    Path("large.py").write_text(_FLOW.format(count=size), encoding="utf-8")
    _headrace("run", "large.py", fails=True)
    began = time.time()
    _headrace("resume")
    return float(Path("began").read_text(encoding="utf-8")) - began


def shared(processes: int, runs: int) -> dict[str, float]:
    """Return how long runs in many processes waited until a history had all of them, in seconds."""
    Path("writer.py").write_text(_WRITER.format(runs=runs, tasks=_TASKS), encoding="utf-8")
    writers = [
        subprocess.Popen([sys.executable, "writer.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    waits: list[float] = []
    errors = 0
    for writer in writers:
        said, complaints = writer.communicate()
        if writer.returncode != 0:
            raise RuntimeError(complaints)
        found, failed = json.loads(said.splitlines()[-1])
        waits += found
        errors += len(failed) + complaints.count("not recorded")
    waits.sort()
    return {"median": waits[len(waits) // 2], "p99": waits[int(len(waits) * 0.99)], "errors": errors}


_QUESTIONS: Final[Mapping[str, Callable[..., Any]]] = {"commands": commands, "shared": shared}

if __name__ == "__main__":
    print("\n" + json.dumps(_QUESTIONS[sys.argv[1]](*map(int, sys.argv[2:]))))
