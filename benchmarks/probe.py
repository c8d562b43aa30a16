"""Starts the processes that are measured."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Cost, Measurement, Request, from_json, least

_TIMEOUT_SECONDS = 180
_TABLE_CELL = 60


class ProbeError(Exception):
    """A process ended in an error or did not end in time; the message is its last line."""


class Probe:
    """Runs each measurement in a fresh interpreter, in an empty folder, so that nothing rubs off."""

    def graph(self, request: Request) -> Measurement:
        """Measure a graph; raise ProbeError."""
        with _empty_folder() as folder:
            output = _run(["-m", "benchmarks.measure", json.dumps(asdict(request))], folder)
        return from_json(output.splitlines()[-1])

    def output(self, arguments: Sequence[str]) -> str:
        """Return what a Python process prints; raise ProbeError."""
        with _empty_folder() as folder:
            return _run(arguments, folder)

    def processes(self, commands: Sequence[Sequence[str]], repeat: int) -> list[list[Cost]]:
        """Return, for each command line of Python, what each of ``repeat`` whole processes took; raise ProbeError.

        The commands take turns, so that a busy moment of the machine does not fall on one of them.
        """
        costs: list[list[Cost]] = [[] for _ in commands]
        with _empty_folder() as folder:
            for command in commands:
                # Writes the bytecode.
                _run(command, folder)
            for _ in range(repeat):
                for command, found in zip(commands, costs, strict=True):
                    found.append(_cost_of_process(command, folder))
        return costs


def best_and_median(costs: Sequence[Cost]) -> tuple[Cost, Cost]:
    """Return the least and the middle of CPU and wall time."""
    middle = len(costs) // 2
    cpu, wall = sorted(c.cpu for c in costs), sorted(c.wall for c in costs)
    return least(costs), Cost(cpu=cpu[middle], wall=wall[middle])


@contextmanager
def _empty_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a measured process."""
    root = str(Path(__file__).parents[1])
    paths = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    # An installed package has its bytecode; one in a checkout is compiled anew each time where this forbids writing it.
    return {name: value for name, value in inherited.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPATH": os.pathsep.join(paths)
    }


def _run(arguments: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment(os.environ),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProbeError(f"took more than {_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ProbeError(lines[-1][:_TABLE_CELL])
    return done.stdout


def _cost_of_process(arguments: Sequence[str], folder: Path) -> Cost:
    before = _cpu_of_ended_processes()
    started = time.perf_counter()
    _run(arguments, folder)
    wall = time.perf_counter() - started
    return Cost(cpu=_cpu_of_ended_processes() - before, wall=wall)


def _cpu_of_ended_processes() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
