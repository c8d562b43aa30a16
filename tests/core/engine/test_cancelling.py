"""Runs that are ended from outside: by `RunStore.request_cancel`, or by a timeout of the whole run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from headrace import Engine, Flow, config, context, resource_manager, signals, task
from headrace.abc import RunStore
from headrace.engine import driver
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError
from headrace.states import Cancelled, Failed, State, Success, TimedOut
from headrace.testing import VirtualClock
from headrace_plugins.processes.executor import ProcessesExecutor
from headrace_plugins.sqlite.store import SQLiteRunStore
from headrace_plugins.threads import ThreadsExecutor


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteRunStore]:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        yield store


class Canceller:
    """Asks for the end of the last run, or of the one called ``name``, when something has happened."""

    def __init__(self, store: RunStore, happened: Callable[[], bool], reason: str = "", name: str = "latest") -> None:
        self._store = store
        self._happened = happened
        self._reason = reason
        self._name = name
        self.asked = 0.0
        self._thread = threading.Thread(target=self._wait)

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while not self._happened() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.asked = time.monotonic()
        self._store.request_cancel(self._store.run(self._name).id, self._reason)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)


@task
def sleep(marker: Path, x: object = None) -> None:
    marker.touch()
    time.sleep(30)


@task
def ask(marker: Path) -> None:
    marker.touch()
    while not context.cancel_requested:
        time.sleep(0.01)


@task
def after(x: object = None) -> str:
    return "ran"


class Room:
    """What has happened."""

    def __init__(self) -> None:
        self.open = False
        self.cleaned = 0


def flow_with_room(marker: Path) -> tuple[Flow, Room, Any, Any]:
    """Return a flow that sleeps in a room, the room, and its two tasks."""
    room = Room()

    class Manager:
        def setup(self) -> str:
            room.open = True
            return "room"

        def cleanup(self, _: str) -> None:
            room.cleaned += 1

    door_of: Any = resource_manager(Manager)
    with Flow("slow") as flow, door_of() as door:
        slept = sleep(marker, door)
        late = after(slept)
    return flow, room, slept, late


def run(flow: Flow, store: RunStore | str | None, executor: Any = "local", **options: Any) -> State:
    with config.set_temporary_config({"engine.cancel_grace": 1.0}):
        return flow.run(record=store, executor=executor, **options)


EXECUTORS = pytest.mark.parametrize("executor", ["local", "threads", "processes"])


def made(executor: str) -> Any:
    return {"threads": ThreadsExecutor(2), "processes": ProcessesExecutor(2)}.get(executor, executor)


class TestRequest:
    def test_a_task_in_the_main_thread_is_stopped_and_the_run_returns(self, store, tmp_path):
        flow, room, slept, late = flow_with_room(tmp_path / "marker")
        with Canceller(store, (tmp_path / "marker").exists, "the disk is needed") as canceller:
            state = run(flow, store)
        assert time.monotonic() - canceller.asked < 2
        assert (type(state), state.message) == (Cancelled, "The run was cancelled on request: the disk is needed")
        assert [type(state.result[each]) for each in (slept, late)] == [Cancelled, Cancelled]
        assert (room.open, room.cleaned) == (True, 1)
        recorded = store.run("latest")
        assert (recorded.state, recorded.message) == ("Cancelled", state.message)

    @pytest.mark.parametrize("executor", ["threads", "processes"])
    def test_tasks_elsewhere_are_stopped_or_given_up(self, store, tmp_path, executor):
        with Flow("slow") as flow:
            slept = sleep(tmp_path / "marker")
            late = after(slept)
        with Canceller(store, (tmp_path / "marker").exists) as canceller:
            state = run(flow, store, made(executor))
        assert time.monotonic() - canceller.asked < 5
        assert (type(state), state.message) == (Cancelled, "The run was cancelled on request.")
        assert [type(state.result[each]) for each in (slept, late)] == [Cancelled, Cancelled]

    def test_a_run_has_not_ended_before_its_tasks(self, store, tmp_path):
        @task
        def long() -> None:
            (tmp_path / "marker").touch()
            time.sleep(1)

        with Flow("slow") as flow:
            ran = long()
        grace = config.set_temporary_config({"engine.cancel_grace": 10})
        with Canceller(store, (tmp_path / "marker").exists), grace:
            state = flow.run(record=store, executor=made("threads"))
        assert (type(state), type(state.result[ran])) == (Cancelled, Success)
        assert store.run("latest").ended >= state.timestamp >= state.result[ran].timestamp

    def test_it_is_noticed_within_half_a_second(self, store, tmp_path):
        noticed: list[float] = []

        @task
        def ask() -> None:
            (tmp_path / "marker").touch()
            while not context.cancel_requested:
                time.sleep(0.005)
            noticed.append(time.monotonic())

        with Flow("asks") as flow:
            ask()
        with Canceller(store, (tmp_path / "marker").exists) as canceller:
            assert run(flow, store, ThreadsExecutor(1)).is_cancelled()
        assert noticed[0] - canceller.asked < 0.5

    def test_a_run_that_waits_for_a_retry_ends(self, store):
        @task(max_retries=1, retry_delay=timedelta(hours=2))
        def fails() -> None:
            raise ValueError("no")

        with Flow("waits") as flow:
            last = fails()

        def waits() -> bool:
            return any(each.counts.get("Retrying") for each in store.runs())

        with Canceller(store, waits) as canceller:
            state = run(flow, store)
        assert time.monotonic() - canceller.asked < 1
        assert (type(state), type(state.result[last])) == (Cancelled, Cancelled)

    def test_a_run_that_asks_whether_to_go_on_ends(self, store, tmp_path):
        @task
        def pause() -> None:
            raise signals.PAUSE("approve")

        def answer(names: list[str]) -> list[str]:
            (tmp_path / "marker").touch()
            time.sleep(30)
            return names

        with Flow("asks") as flow:
            last = pause()
        with Canceller(store, (tmp_path / "marker").exists) as canceller:
            state = run(flow, store, on_pause=answer)
        assert time.monotonic() - canceller.asked < 1
        assert (type(state), type(state.result[last])) == (Cancelled, Cancelled)

    def test_the_run_is_known_to_be_ending(self, store, tmp_path):
        seen: list[str] = []

        @task
        def stubborn() -> None:
            (tmp_path / "marker").touch()
            while not context.cancel_requested:
                time.sleep(0.01)
            time.sleep(0.2)
            seen.append(store.run("latest").state)

        with Flow("stubborn") as flow:
            stubborn()
        with Canceller(store, (tmp_path / "marker").exists):
            run(flow, store, ThreadsExecutor(1))
        assert seen == ["Cancelling"]

    def test_a_run_inside_a_task_ends_with_the_one_around_it(self, store, tmp_path):
        url = f"sqlite:{tmp_path}/runs.db"
        with Flow("inner") as inner:
            sleep(tmp_path / "marker")

        @task
        def outer_task() -> str:
            inner.run(record=url, executor="local", run_name="inner run")
            return "went on"

        with Flow("outer") as outer:
            last = outer_task()

        with Canceller(store, (tmp_path / "marker").exists, name="outer run"):
            state = run(outer, url, run_name="outer run")
        assert (type(state), type(state.result[last])) == (Cancelled, Cancelled)
        assert [store.run(name).state for name in ("inner run", "outer run")] == ["Cancelled", "Cancelled"]

    @pytest.mark.parametrize(("executor", "stopped"), [("local", sleep), ("threads", ask)])
    def test_a_run_inside_a_task_can_be_ended_alone(self, store, tmp_path, executor, stopped):
        """In a thread, where nothing can stop it, the task has to ask."""
        url = f"sqlite:{tmp_path}/runs.db"
        with Flow("inner") as inner:
            stopped(tmp_path / "marker")

        @task
        def outer_task() -> str:
            return type(inner.run(record=url, executor="local", run_name="inner run")).__name__

        with Flow("outer") as outer:
            last = outer_task()
            late = after(last)
        with Canceller(store, (tmp_path / "marker").exists, name="inner run"):
            state = run(outer, url, made(executor), run_name="outer run")
        assert (type(state), state.result[last].result, state.result[late].result) == (Success, "Cancelled", "ran")
        assert [store.run(name).state for name in ("inner run", "outer run")] == ["Cancelled", "Success"]

    def test_the_next_run_is_not_concerned(self, store, tmp_path):
        flow, *_ = flow_with_room(tmp_path / "marker")
        with Canceller(store, (tmp_path / "marker").exists):
            run(flow, store)
        with Flow("next") as following:
            after()
        assert run(following, store).is_successful()

    def test_an_unlucky_moment_ends_it_too(self, store, tmp_path):
        """A request that comes while the executor is started."""

        class Slow(ThreadsExecutor):
            def start(self, *arguments: Any) -> None:
                (tmp_path / "marker").touch()
                time.sleep(5)

        with Flow("quick") as flow:
            last = after()
        with Canceller(store, (tmp_path / "marker").exists):
            state = run(flow, store, Slow(1))
        assert (type(state), type(state.result[last])) == (Cancelled, Cancelled)


class TestTimeout:
    @EXECUTORS
    def test_what_runs_is_ended_and_the_run_timed_out(self, tmp_path, executor, monkeypatch):
        monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
        with Flow("slow") as flow:
            slept = sleep(tmp_path / "marker")
            late = after(slept)
        began = time.monotonic()
        # A worker process takes a while to start.
        seconds = 3 if executor == "processes" else 0.3
        state = run(flow, None, made(executor), timeout=seconds)
        assert time.monotonic() - began < seconds + 4
        assert (type(state), state.message) == (TimedOut, f"The run took longer than its timeout of {seconds:g} s.")
        assert type(state.result[slept]) is Cancelled
        assert state.result[late].message == "The timeout of the run passed before this task began."

    def test_what_cleans_up_runs(self, tmp_path):
        flow, room, *_ = flow_with_room(tmp_path / "marker")
        flow.timeout = 0.3
        assert isinstance(flow.run(executor="local"), TimedOut)
        assert (room.open, room.cleaned) == (True, 1)

    def test_what_had_no_room_beside_coroutines_that_do_not_end_has_not_begun(self, monkeypatch):
        @task
        async def stay() -> None:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.1)

        with Flow("stubborn") as flow:
            tasks = [stay() for _ in range(3)]
        monkeypatch.setattr(driver, "MOST_ON_LOOP", 2)
        with config.set_temporary_config({"engine.cancel_grace": 0.1}):
            states = flow.run(timeout=0.2).result
        assert [states[each].message.split()[0] for each in tasks] == ["Was", "Was", "The"]

    def test_a_run_in_time_is_as_ever(self):
        with Flow("quick", timeout=timedelta(seconds=30)) as flow:
            after()
        assert flow.timeout == 30.0
        assert flow.run(executor="local").is_successful()

    def test_that_of_the_run_wins(self, tmp_path):
        flow, *_ = flow_with_room(tmp_path / "marker")
        flow.timeout = 100
        assert isinstance(flow.run(executor="local", timeout=timedelta(milliseconds=200)), TimedOut)

    def test_it_is_that_of_the_clock_in_use(self):
        @task(max_retries=1, retry_delay=timedelta(hours=2))
        def fails() -> None:
            raise ValueError("no")

        clock = VirtualClock()
        began = clock.now()
        with Flow("waits", timeout=timedelta(hours=1)) as flow:
            last = fails()
        state = flow.run(executor="local", engine=Engine(clock=clock))
        assert (type(state), type(state.result[last])) == (TimedOut, Cancelled)
        assert clock.now() - began == pytest.approx(3600)

    def test_a_run_inside_a_task_fails_its_task(self, tmp_path):
        with Flow("inner", timeout=0.2) as inner:
            sleep(tmp_path / "marker")
        with Flow("outer") as outer:
            last = inner.as_task()()
        state = outer.run(executor="local")
        assert (type(state), type(state.result[last])) == (Failed, Failed)
        assert "TimedOut" in state.result[last].message

    def test_it_is_recorded(self, store, tmp_path):
        flow, *_ = flow_with_room(tmp_path / "marker")
        state = run(flow, store, timeout=0.3)
        recorded = store.run("latest")
        assert (recorded.state, recorded.message) == ("TimedOut", state.message)

    @pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
    def test_one_that_cannot_be_is_refused(self, wrong):
        with pytest.raises(FlowDefinitionError, match="positive"):
            Flow("f", timeout=wrong)

    @pytest.mark.parametrize("wrong", ["5", True])
    def test_one_of_the_wrong_type_is_refused(self, wrong):
        with pytest.raises(DefinitionTypeError, match="timeout"):
            Flow("f", timeout=wrong)
        with Flow("g") as flow:
            after()
        with pytest.raises(DefinitionTypeError, match="timeout"):
            flow.run(timeout=wrong)
