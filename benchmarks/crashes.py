"""Crashes: what a process that dies takes with it, on headrace and on pools of processes.

``python -m benchmarks.crashes CONTENDER`` looks at one and prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import Bench, is_missing
from benchmarks.contender import Contender, make_contender
from benchmarks.peers.pools import ProcessPool
from benchmarks.probe import ProbeError
from benchmarks.rows import Cell, Quantity, Row, Target

SECTION: Final = "Crashes: {}"
_QUESTIONS: Final = {
    "lost": (
        "siblings lost when one of 20 running tasks exits",
        "tasks",
        Target(column="headrace", limit=0, unit="tasks"),
    ),
    "worked": (
        "tasks that ran after each of 100 crashes",
        "tasks",
        Target(column="headrace", limit=100, unit="tasks", at_least=True),
    ),
    "left": ("processes left in the end", "found", Target(column="headrace", limit=0, unit="found")),
}
_SIBLINGS: Final = 19
_CRASHES: Final = 100
_PATIENCE: Final = 20.0
MARK: Final = "HEADRACE_BENCHMARK"


def measure_crashes(bench: Bench) -> Iterator[Row]:
    """Ask three questions of headrace and of each pool."""
    peers = [peer for peer in bench.peers if peer.field == "processes"]
    found = {each.name: _answers(bench, each) for each in [make_contender("headrace-processes"), *peers]}
    found = {"headrace": found.pop("headrace-processes"), **found}
    for name, (title, unit, target) in _QUESTIONS.items():
        cells: dict[str, Cell] = {
            who: answers if isinstance(answers, str) else Quantity(value=answers[name], unit=unit)
            for who, answers in found.items()
        }
        yield Row(section=SECTION.format(title), workload="crashes", cells=cells, target=target)


def _answers(bench: Bench, contender: Contender) -> Mapping[str, int] | str:
    if is_missing(contender):
        return "missing"
    bench.say(f"crashes: {contender.name}")
    try:
        output = bench.probe.output(["-m", "benchmarks.crashes", contender.name])
    except ProbeError as error:
        if contender.name.startswith("headrace"):
            raise
        return f"failed: {error}"
    answers: dict[str, int] = json.loads(output.splitlines()[-1])
    return answers


# -- in a process of its own -----------------------------------------------------------------------------------------


def die() -> None:
    os._exit(1)


def answer() -> int:
    return 1


def die_among_others(folder: str) -> None:
    """Die when all siblings run."""
    _wait(lambda: sum(1 for _ in Path(folder).iterdir()) == _SIBLINGS)
    Path(folder, "dying").touch()
    die()


def outlive(folder: str, number: int) -> int:
    """Run until the sibling has died, and a while longer."""
    Path(folder, str(number)).touch()
    _wait(Path(folder, "dying").exists)
    time.sleep(0.5)
    return 1


def _wait(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.01)


class Subject(ABC):
    @abstractmethod
    def siblings(self, folder: str) -> int:
        """Return how many of the tasks beside one that dies have a result."""

    @abstractmethod
    def crashes(self) -> int:
        """Let a hundred tasks die, one after the other; return after how many of them another task had a result."""


class HeadraceSubject(Subject):
    def siblings(self, folder: str) -> int:
        from headrace import Flow, task
        from headrace_plugins.processes.executor import ProcessesExecutor

        with Flow("siblings") as flow:
            task(die_among_others)(folder)
            others = [task(outlive)(folder, number) for number in range(_SIBLINGS)]
        states = flow.run(executor=ProcessesExecutor(workers=_SIBLINGS + 1)).result
        return sum(states[each].is_successful() for each in others)

    def crashes(self) -> int:
        from headrace import Flow, task
        from headrace.triggers import always_run
        from headrace_plugins.processes.executor import ProcessesExecutor

        follow_ups: list[Any] = []
        with Flow("crashes") as flow:
            for _ in range(_CRASHES):
                crashed = task(die)(upstream_tasks=follow_ups[-1:])
                follow_ups.append(task(answer, trigger=always_run)(upstream_tasks=[crashed]))
        states = flow.run(executor=ProcessesExecutor(workers=2)).result
        return sum(states[each].is_successful() for each in follow_ups)


class PoolSubject(Subject):
    def __init__(self, maker: ProcessPool) -> None:
        self._maker = maker

    def siblings(self, folder: str) -> int:
        maker = self._maker
        with maker.pool(_SIBLINGS + 1) as pool:
            maker.submit(pool, die_among_others, folder)
            others = [maker.submit(pool, outlive, folder, number) for number in range(_SIBLINGS)]
            return sum(map(_has_result, others))

    def crashes(self) -> int:
        maker = self._maker
        count = 0
        with maker.pool(2) as pool:
            for _ in range(_CRASHES):
                try:
                    _has_result(maker.submit(pool, die))
                    count += _has_result(maker.submit(pool, answer))
                except Exception:  # noqa: BLE001 - each pool has errors of its own for having broken
                    break
        return count


def _has_result(future: Any) -> bool:
    try:
        future.result(timeout=_PATIENCE)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def look_at(subject: Subject) -> dict[str, int]:
    """Return what became of one pool."""
    before = _processes()
    with tempfile.TemporaryDirectory() as folder:
        lost = _SIBLINGS - subject.siblings(folder)
    worked = subject.crashes()
    time.sleep(1)
    return {"lost": lost, "worked": worked, "left": len(_processes() - before)}


def _processes() -> set[int]:
    """Return the processes that this one has started and that run, whoever their parent is."""
    found = set()
    mark = f"{MARK}={os.getpid()}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name before may hold blanks and brackets.
            status = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            marked = mark in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marked and status not in "ZX":
            found.add(int(folder.name))
    return found


def main(arguments: Sequence[str]) -> None:
    contender = make_contender(arguments[0])
    # Inherited by all that is started from here on.
    os.environ[MARK] = str(os.getpid())
    print(
        "\n" + json.dumps(look_at(PoolSubject(contender) if isinstance(contender, ProcessPool) else HeadraceSubject()))
    )


if __name__ == "__main__":
    main(sys.argv[1:])
