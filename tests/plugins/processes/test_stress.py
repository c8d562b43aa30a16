"""Random flows of quick, slow, crashing, late and talkative tasks; HEADRACE_STRESS_ROUNDS says how many."""

from __future__ import annotations

import collections
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from headrace import Flow, Task, context, task
from headrace.exceptions import TransferError, WorkerCrashedError
from headrace.states import Cancelled, Crashed, Failed, State, Success, TimedOut
from headrace.triggers import all_finished
from headrace_plugins.processes.executor import ProcessesExecutor


def sleep() -> None:
    time.sleep(0.02)


def log() -> None:
    for line in range(50):
        context.logger.info("line %d", line)


def log_long_lines() -> None:
    for _ in range(10):
        context.logger.info("x" * 50_000)


def print_lines() -> None:
    print("a line\n" * 100)


def leave_a_child() -> None:
    if os.fork() == 0:
        time.sleep(300)
        os._exit(0)


def leave() -> None:
    os._exit(3)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_once() -> None:
    if context["task_run_count"] == 1:
        os._exit(3)


def be_late() -> None:
    time.sleep(300)


def be_late_and_stubborn() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(300)


def be_late_and_talk() -> None:
    while True:
        context.logger.info("y" * 20_000)


def fail() -> None:
    raise ValueError("on purpose")


def return_a_lock() -> object:
    return threading.Lock()


# How often of a hundred times a task does something, and the state that it ends in.
FATES: dict[Callable[[], object], tuple[int, type[State]]] = {
    int: (50, Success),
    sleep: (10, Success),
    log: (6, Success),
    log_long_lines: (3, Success),
    print_lines: (4, Success),
    leave_a_child: (2, Success),
    leave: (4, Crashed),
    kill: (3, Crashed),
    os.abort: (1, Crashed),
    crash_once: (3, Success),
    be_late: (3, TimedOut),
    be_late_and_stubborn: (2, TimedOut),
    be_late_and_talk: (2, TimedOut),
    fail: (4, Failed),
    return_a_lock: (3, Failed),
}
LATE = {be_late, be_late_and_stubborn, be_late_and_talk}


def act(fate: Callable[[], object], number: int, journal: str) -> object:
    with Path(journal).open("a") as file:
        file.write(f"{number}\n")
    return fate() or number


def grow(array: numpy.ndarray) -> numpy.ndarray:
    array += 1
    return array


def options_of(fate: Callable[[], object]) -> dict[str, object]:
    if fate in LATE:
        return {"timeout": 0.2}
    return {"max_retries": 1, "retry_delay": 0, "retry_on": WorkerCrashedError} if fate is crash_once else {}


class Round:
    """A flow and an executor made by chance, and what has to come of them."""

    def __init__(self, seed: int, journal: Path) -> None:
        self.chance = random.Random(seed)
        self.journal = journal
        journal.touch()
        names, weights = list(FATES), [weight for weight, _ in FATES.values()]
        self.fates = self.chance.choices(names, weights, k=self.chance.choice([5, 20, 80]))
        self.is_cancelled = self.chance.random() < 0.2
        self.found: dict[Task, State] = {}

    def run(self) -> None:
        with Flow("stress", terminal_state_handler=lambda _flow, _state, states: self.found.update(states)) as flow:
            tasks = [self.task(number, fate) for number, fate in enumerate(self.fates)]
            for number, each in enumerate(tasks):
                for before in self.chance.sample(tasks[:number], min(number, self.chance.choice([0, 0, 0, 1, 3]))):
                    flow.add_edge(before, each)
            arrays = task(grow)(task(grow)(numpy.zeros(20_000)))
            children = task(lambda number: number, name="child").map(list(range(self.chance.choice([1, 50, 300]))))
            if self.is_cancelled:
                task(self.interrupt, name="interrupt")(self.chance.random() * 0.3)
            flow.set_reference_tasks([*tasks, arrays, children])
        executor = self.executor()
        try:
            flow.run(executor=executor, keep_results="all")
        except KeyboardInterrupt:
            assert self.is_cancelled
        self.check(tasks)
        if not self.is_cancelled:
            assert self.found[arrays].result.sum() == 40_000
            assert self.found[children].result == list(range(len(self.found[children].result)))

    def task(self, number: int, fate: Callable[[], object]) -> Task:
        needs = {"gpu": self.chance.choice([0.5, 1])} if self.chance.random() < 0.1 else None
        made = task(act, name=fate.__name__, trigger=all_finished, resources=needs, **options_of(fate))
        return made(fate, number, str(self.journal))

    @staticmethod
    def interrupt(seconds: float) -> None:
        time.sleep(seconds)
        raise KeyboardInterrupt

    def executor(self) -> ProcessesExecutor:
        return ProcessesExecutor(
            workers=self.chance.choice([1, 2, 3]),
            max_tasks_per_worker=self.chance.choice([None, None, None, 1, 5]),
            kill_grace=0.1,
            resources={"gpu": 1},
        )

    def check(self, tasks: list[Task]) -> None:
        begun = collections.Counter(map(int, self.journal.read_text().split()))
        for number, fate in enumerate(self.fates):
            state, expected = self.found[tasks[number]], FATES[fate][1]
            what = f"task {number}, {fate.__name__}: {state!r} {state._result!r}"
            if self.is_cancelled and isinstance(state, Cancelled):
                continue
            assert type(state) is expected, what
            assert begun[number] == (2 if fate is crash_once else 1), what
            assert not isinstance(state, Success) or state.result == number, what
            assert fate is not return_a_lock or isinstance(state.result, TransferError), what
        assert max(begun.values(), default=0) <= 2


def leftovers() -> tuple[int, int, list[str]]:
    gc.collect()
    children = [word for each in Path("/proc/self/task").iterdir() for word in (each / "children").read_text().split()]
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir()), children


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("seed", range(int(os.environ.get("HEADRACE_STRESS_ROUNDS", "4"))))
def test_whatever_happens_every_task_ends_as_it_should_and_nothing_is_left(tmp_path, seed, caplog, capfd):
    caplog.set_level(logging.CRITICAL, "headrace.stress")
    before = leftovers()
    Round(seed, tmp_path / "journal").run()
    threads, files, children = leftovers()
    # A thread of an earlier test may have ended meanwhile.
    assert threads <= before[0]
    assert (files, children) == before[1:]
