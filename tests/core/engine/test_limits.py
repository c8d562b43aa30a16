"""Task runs that wait for slots of limited tags, in whole runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from textwrap import dedent
from typing import Any, Self

import pytest

from headrace import Engine, Flow, context, resource_manager, signals, task
from headrace.engine.limits import Limits
from headrace.engine.scheduler import Scheduler
from headrace.engine.task_runs import TaskRun
from headrace.exceptions import HistoryError
from headrace.plugins import hookimpl
from headrace.states import Cancelled, Queued, State, Success, TimedOut
from headrace_plugins.sqlite.store import SQLiteRunStore
from headrace_plugins.threads import ThreadsExecutor


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteRunStore]:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        yield store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/runs.db"


class Gauge:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.total = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self.inside += 1
            self.total += 1
            self.most = max(self.most, self.inside)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


class Observer:
    """Keeps the states that task runs enter, by name."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}

    @hookimpl
    def headrace_task_state_changed(self, task_run: Any, new: State) -> None:
        self.states.setdefault(task_run.name, []).append(type(new).__name__)


def holders(store: SQLiteRunStore) -> int:
    return sum(len(limit.holders) for limit in store.limits())


def wait_until(true: Callable[[], object], seconds: float = 10) -> float:
    """Return how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.01)
    return time.monotonic() - began


class TestOneRun:
    def test_no_more_run_at_once_than_there_are_slots(self, store, url):
        gauge = Gauge()

        @task(tags=["api"])
        def call(x: int) -> int:
            with gauge:
                time.sleep(0.2)
            return x

        store.set_limit("api", 2)
        with Flow("calls") as flow:
            called = call.map(list(range(6)))
            call(13)
        state = flow.run(record=url, executor=ThreadsExecutor(6))
        assert state.is_successful()
        assert state.result[called].result == list(range(6))
        assert (gauge.most, gauge.total) == (2, 7)
        assert holders(store) == 0
        assert list(store.check()) == []

    def test_who_waits_is_queued(self, store, url):
        @task(tags=["api", "free"])
        def call() -> None:
            pass

        @task(tags=["free"])
        def other() -> None:
            pass

        store.set_limit("api", 1)
        with Flow("calls") as flow:
            call()
            other()
        observer = Observer()
        flow.run(record=url, executor="local", engine=Engine(plugins=[observer]))
        assert observer.states == {"call": ["Queued", "Running", "Success"], "other": ["Running", "Success"]}

    def test_a_limit_of_none_lets_nobody_begin_until_it_is_raised(self, store, url):
        @task(tags=["api"])
        def call() -> float:
            return time.monotonic()

        store.set_limit("api", 0)
        with Flow("calls") as flow:
            called = call()
        found: list[State] = []
        thread = threading.Thread(target=lambda: found.append(flow.run(record=url, executor="local")))
        thread.start()
        wait_until(lambda: any(run.counts.get("Queued") for run in store.runs()))
        time.sleep(0.5)
        (waiting,) = store.task_runs(store.run("latest").id)
        assert (waiting.state, waiting.message) == ("Queued", "Waits for a slot of api.")
        raised = time.monotonic()
        store.set_limit("api", 1)
        thread.join(10)
        assert found[0].result[called].result - raised < 1

    def test_a_limit_that_comes_later_holds_for_what_begins_later(self, store, url, tmp_path):
        @task(tags=["api"])
        def call() -> None:
            (tmp_path / "called").touch()

        @task
        def first() -> None:
            store.set_limit("api", 0)
            time.sleep(1)

        with Flow("calls") as flow:
            call(upstream_tasks=[first()])
        thread = threading.Thread(target=lambda: flow.run(record=url, executor=ThreadsExecutor(2)))
        thread.start()
        wait_until(lambda: any(run.counts.get("Queued") for run in store.runs()))
        assert not (tmp_path / "called").exists()
        store.set_limit("api", None)
        wait_until((tmp_path / "called").exists, 1)
        thread.join(10)

    def test_a_retry_gives_the_slot_back_while_it_waits(self, store, url):
        order: list[str] = []

        @task(tags=["api"], max_retries=1, retry_delay=0.5)
        def fails_once() -> None:
            order.append("fails")
            if order.count("fails") == 1:
                raise ValueError("no")

        @task(tags=["api"])
        def other() -> None:
            order.append("other")

        store.set_limit("api", 1)
        with Flow("calls") as flow:
            fails_once()
            other()
        assert flow.run(record=url, executor="local").is_successful()
        assert order == ["fails", "other", "fails"]

    def test_a_timeout_gives_the_slot_back(self, store, url):
        @task(tags=["api"], timeout=0.1)
        def hangs() -> None:
            time.sleep(30)

        @task(tags=["api"])
        def other() -> None:
            pass

        store.set_limit("api", 1)
        with Flow("calls") as flow:
            hung, called = hangs(), other()
        result = flow.run(record=url, executor="local").result
        assert [type(result[each]) for each in (hung, called)] == [TimedOut, Success]

    def test_who_needs_no_slot_goes_on_meanwhile(self, store, url, tmp_path):
        """Also where one thing runs at a time, and who cannot run holds no slot."""
        held: list[int] = []

        @task(tags=["api"])
        def call() -> None:
            (tmp_path / "called").touch()

        @task
        def free() -> None:
            store.set_limit("api", 1)
            time.sleep(1)
            held.append(holders(store))
            assert not (tmp_path / "called").exists()

        store.set_limit("api", 0)
        with Flow("calls") as flow:
            call()
            free()
        assert flow.run(record=url, executor="local").is_successful()
        assert held == [0]
        assert (tmp_path / "called").exists()

    def test_a_loop_takes_slots_again_for_each_iteration(self, store, url):
        @task(tags=["api"])
        def loops() -> int:
            count: int = context.get("task_loop_count", 1)
            if count < 3:
                raise signals.LOOP(result=count)
            return count

        store.set_limit("api", 1)
        with Flow("calls") as flow:
            last = loops()
        assert flow.run(record=url, executor="local").result[last].result == 3
        assert holders(store) == 0

    def test_coroutines_wait_too(self, store, url):
        gauge = Gauge()

        @task(tags=["api"])
        async def call(x: int) -> int:
            with gauge:
                await asyncio.sleep(0.2)
            return x

        store.set_limit("api", 2)
        with Flow("calls") as flow:
            call.map(list(range(6)))
        assert flow.run(record=url, executor="local").is_successful()
        assert (gauge.most, gauge.total) == (2, 6)

    def test_who_waits_is_cancelled_and_what_cleans_up_is_not_held_up(self, store, url):
        cleaned: list[str] = []

        class Door:
            def setup(self) -> str:
                return "room"

            def cleanup(self, room: str) -> None:
                cleaned.append(room)

        door_of: Any = resource_manager(Door, cleanup_task_kwargs={"tags": ["api"]})

        @task(tags=["api"])
        def call(door: object) -> None:
            pass

        @task
        def close() -> None:
            store.set_limit("api", 0)

        store.set_limit("api", 9)
        with Flow("calls") as flow, door_of() as door:
            called = call(door, upstream_tasks=[close(upstream_tasks=[door])])

        def cancel() -> None:
            wait_until(lambda: any(run.counts.get("Queued") for run in store.runs()))
            store.request_cancel(store.run("latest").id)

        thread = threading.Thread(target=cancel)
        thread.start()
        state = flow.run(record=url, executor=ThreadsExecutor(1))
        thread.join(10)
        assert (type(state), type(state.result[called]), cleaned) == (Cancelled, Cancelled, ["room"])
        assert holders(store) == 0

    def test_a_state_handler_may_end_who_waits(self, store, url):
        def impatient(_task: object, _old: State, new: State) -> State | None:
            return Success("not worth it") if isinstance(new, Queued) else None

        @task(tags=["api"], state_handlers=[impatient])
        def call() -> None:
            raise AssertionError

        store.set_limit("api", 0)
        with Flow("calls") as flow:
            called = call()
        assert flow.run(record=url, executor="local").result[called].message == "not worth it"

    def test_a_run_that_is_not_recorded_knows_no_limits(self, store):
        @task(tags=["api"])
        def call() -> str:
            return "ran"

        store.set_limit("api", 0)
        with Flow("calls") as flow:
            called = call()
        assert flow.run(record=False, executor="local").result[called].result == "ran"

    def test_a_run_of_which_nothing_is_limited_pays_nothing(self, store, url):
        seen: list[str] = []

        @task(tags=["free"])
        def call() -> None:
            seen.extend(thread.name for thread in threading.enumerate())

        store.set_limit("api", 1)
        with Flow("calls") as flow:
            call()
        flow.run(record=url, executor="local")
        assert "headrace-limits" not in seen

    def test_not_all_of_a_large_map_waits_at_once(self, store, url):
        @task(tags=["api"])
        def call(x: int) -> int:
            return x

        store.set_limit("api", 0)
        with Flow("calls") as flow:
            called = call.map(list(range(3000)))

        def open_up() -> None:
            wait_until(lambda: any(run.counts.get("Queued", 0) >= 1000 for run in store.runs()))
            time.sleep(0.3)
            queued.append(store.run("latest").counts["Queued"])
            store.set_limit("api", None)

        queued: list[int] = []
        thread = threading.Thread(target=open_up)
        thread.start()
        state = flow.run(record=url, executor="local", keep_results="all")
        thread.join(20)
        assert queued == [1000]
        assert state.result[called].result == list(range(3000))


class Journal:
    """Answers when it is told what."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[int] = SimpleQueue()
        self.answers: SimpleQueue[bool | Exception] = SimpleQueue()

    def take_slots(self, node: int, map_index: int, tags: object) -> bool:
        self.asked.put(node)
        answer = self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class TestLine:
    @pytest.fixture
    def journal(self) -> Journal:
        return Journal()

    @pytest.fixture
    def line(self, journal: Any) -> Iterator[tuple[Limits, list[TaskRun], Callable[[bool | Exception], list[TaskRun]]]]:
        """Yield limits with two runs in line, these, and a function that gives an answer and returns who may begin."""
        call = task(lambda: None, name="call", tags=["api"])
        with Flow("calls") as flow:
            call()
            call()
        inbox: SimpleQueue[None] = SimpleQueue()
        limits = Limits(flow.plan(), journal, inbox)
        limits.set({"api", "other"})
        runs = Scheduler(flow.plan()).runs
        for run in runs:
            limits.join(run)

        def answered(answer: bool | Exception) -> list[TaskRun]:
            journal.answers.put(answer)
            inbox.get(timeout=10)
            return list(limits.admitted())

        yield limits, runs, answered
        journal.answers.put(False)
        limits.close()

    def test_one_asks_at_a_time(self, line, journal):
        limits, runs, answered = line
        assert (limits.ask(), limits.ask(), limits.asking) == (True, False, 1)
        assert answered(True) == [runs[0]]
        assert (limits.ask(), limits.asking) == (True, 1)
        assert answered(True) == [runs[1]]
        assert (limits.waiting, limits.ask(), limits.asking) == (False, False, 0)
        assert [journal.asked.get(), journal.asked.get()] == [0, 1]

    def test_who_was_refused_asks_again_a_little_later(self, line):
        limits, _, answered = line
        limits.ask()
        assert answered(False) == []
        assert not limits.ask()
        pause = limits.patience()
        assert 0 < pause <= 0.2
        time.sleep(pause)
        assert limits.ask()

    def test_and_at_once_if_somebody_gave_up_a_slot_meanwhile(self, line):
        limits, runs, answered = line
        limits.ask()
        assert answered(True) == [runs[0]]
        limits.ask()
        limits.gave_up(runs[0])
        assert answered(False) == []
        assert limits.ask()

    def test_who_needs_no_slot_any_more_need_not_ask(self, line):
        limits, runs, answered = line
        limits.ask()
        limits.set({"other"})
        assert (list(limits.free), limits.waiting) == (runs, True)
        assert answered(True) == []

    def test_what_goes_wrong_is_raised_where_the_run_is_driven(self, line):
        limits, _, answered = line
        limits.ask()
        with pytest.raises(HistoryError, match="full"):
            answered(HistoryError("The disk is full."))

    def test_nobody_waits_after_a_withdrawal(self, line):
        limits, runs, answered = line
        limits.ask()
        assert limits.withdraw() == runs
        assert (limits.waiting, answered(True), limits.asking) == (False, [], 0)


SCRIPT = """
import os, sys, time
from pathlib import Path
from headrace import Flow, task
from headrace_plugins.threads import ThreadsExecutor

url, log, name, count, seconds = sys.argv[1:]

def say(line):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line} {name} {time.monotonic()}\\n".encode())
    os.close(descriptor)

@task(tags=["api"], max_retries=0)
def call(x):
    say("in")
    time.sleep(float(seconds))
    say("out")

with Flow("calls") as flow:
    call.map(list(range(int(count))))

if __name__ == "__main__":
    print("begun", flush=True)
    flow.run(record=url, executor=ThreadsExecutor(4))
"""


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
class TestProcesses:
    @pytest.fixture
    def start(self, tmp_path: Path, url: str, store: object) -> Iterator[Callable[..., Any]]:
        script = tmp_path / "calls.py"
        script.write_text(dedent(SCRIPT))
        processes: list[Any] = []

        def started(name: str, count: int, seconds: float) -> Any:
            arguments = [sys.executable, str(script), url, str(tmp_path / "log"), name, str(count), str(seconds)]
            processes.append(subprocess.Popen(arguments, cwd=tmp_path))
            return processes[-1]

        yield started
        for process in processes:
            process.kill()
            process.wait()

    def lines(self, tmp_path: Path) -> list[list[str]]:
        log = tmp_path / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def test_all_runs_together_keep_to_the_limit_and_take_turns(self, store, start, tmp_path):
        store.set_limit("api", 0)
        processes = [start(name, 8, 0.1) for name in ("a", "b", "c")]
        wait_until(lambda: [run.counts.get("Queued") for run in store.runs()] == [8, 8, 8])
        # All of them are in line by then.
        time.sleep(0.5)
        store.set_limit("api", 2)
        assert [process.wait(30) for process in processes] == [0, 0, 0]
        inside = most = 0
        for what, *_ in self.lines(tmp_path):
            inside += 1 if what == "in" else -1
            most = max(most, inside)
        assert (inside, most, len(self.lines(tmp_path))) == (0, 2, 48)
        order = [name for what, name, _ in self.lines(tmp_path) if what == "in"]
        assert sum(name != following for name, following in pairwise(order)) >= 12, order
        assert holders(store) == 0

    def test_the_slot_of_a_process_that_was_killed_is_free_within_a_second(self, store, start, tmp_path):
        store.set_limit("api", 1)
        first = start("a", 1, 60)
        wait_until(lambda: self.lines(tmp_path))
        start("b", 1, 0)
        wait_until(lambda: sum(run.counts.get("Queued", 0) for run in store.runs()))
        time.sleep(0.3)
        assert len(self.lines(tmp_path)) == 1
        first.kill()
        assert wait_until(lambda: len(self.lines(tmp_path)) > 1) < 1
        wait_until(lambda: holders(store) == 0)
        assert [run.state for run in store.runs()] == ["Success", "Crashed"]
        assert list(store.check()) == []
