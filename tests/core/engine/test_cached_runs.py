"""Runs of flows with cached tasks."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace import Engine, Flow, Parameter, Task, config, context, signals, task, testing, unmapped
from headrace.caching import (
    all_inputs,
    all_parameters,
    duration_only,
    never_use,
    partial_inputs_only,
    partial_parameters_only,
)
from headrace.caching._entries import Entry
from headrace.exceptions import HistoryError, ResultError, UnhashableArgumentError
from headrace.hashing import digest_arguments
from headrace.history.sealing import Sealer
from headrace.states import Cached, State, Success
from headrace.testing import VirtualClock


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Planted:
    """What leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


class Calls:
    """A task that remembers what it was called with."""

    def __init__(self, **options: Any) -> None:
        self.seen: list[Any] = []
        self.task = task(self.call, name=options.pop("name", "double"), cache_key="calls", **options)

    def call(self, x: Any = None) -> Any:
        self.seen.append(x)
        return [x, x]


def entries(project: Path) -> list[Path]:
    return sorted(project.rglob("*.entry"))


class TestHits:
    def run(self, calls: Calls, x: Any = 1, **options: Any) -> State:
        with Flow("f") as flow:
            result = calls.task(x)
        state: State = flow.run(**options).result[result]
        return state

    def test_the_second_run_does_not_call_the_task(self):
        calls = Calls(cache_for=60)
        first, second = self.run(calls), self.run(calls)
        assert (type(first), type(second), calls.seen) == (Success, Cached, [1])
        assert second.result == first.result == [1, 1]

    def test_a_hit_says_where_it_was_found_and_what_was_compared(self):
        calls = Calls(cache_for=60)
        self.run(calls)
        state: Any = self.run(calls)
        assert "calls/" in state.message
        assert "all_inputs" in state.message
        assert state.hashed_inputs == digest_arguments({"x": 1})
        assert state.cached_result_expiration.timestamp() == pytest.approx(time.time() + 60, abs=5)
        assert state.started is None

    def test_other_inputs_are_computed(self):
        calls = Calls(cache_for=60)
        assert [self.run(calls, x).result for x in (1, 2, 1, {"a": [1]}, {"a": [1]})][-1] == [{"a": [1]}] * 2
        assert calls.seen == [1, 2, {"a": [1]}]

    def test_none_is_cached_too(self):
        seen: list[int] = []
        nothing = task(lambda: seen.append(1), name="nothing", cache_for=60)
        for _ in range(2):
            with Flow("f") as flow:
                nothing()
            flow.run()
        assert seen == [1]

    def test_failures_and_skips_are_not_cached(self):
        from headrace import signals

        seen: list[int] = []

        @task(cache_for=60)
        def fails(how: str) -> None:
            seen.append(1)
            raise ValueError if how == "fail" else signals.SKIP

        for how in ("fail", "fail", "skip", "skip"):
            with Flow("f") as flow:
                fails(how)
            flow.run()
        assert len(seen) == 4

    def test_what_endrun_ends_is_not_cached(self, project):
        def run() -> None:
            raise signals.ENDRUN(Success(result=5))

        with Flow("f") as flow:
            result = task(run, cache_for=60)()
        assert [type(flow.run().result[result]) for _ in range(2)] == [Success, Success]
        assert entries(project) == []

    def test_a_retry_that_succeeds_is_cached(self):
        seen: list[int] = []

        @task(cache_for=60, max_retries=1, retry_delay=0)
        def shaky() -> int:
            seen.append(1)
            if len(seen) == 1:
                raise ValueError
            return 5

        for _ in range(2):
            with Flow("f") as flow:
                result = shaky()
            assert flow.run().result[result].result == 5
        assert len(seen) == 2

    def test_changed_code_is_computed_again(self):
        def make(version: int) -> Task:
            names: dict[str, Any] = {}
            source = Path(f"v{version}.py")
            source.write_text(f"def compute():\n    return {version}\n")
            exec(compile(source.read_text(), str(source.resolve()), "exec"), names)
            return task(names["compute"], cache_for=60)

        found = []
        for version in (1, 2, 2):
            with Flow("f") as flow:
                result = make(version)()
            found.append(flow.run().result[result])
        assert [(type(state), state.result) for state in found] == [(Success, 1), (Success, 2), (Cached, 2)]

    def test_two_tasks_with_one_name_do_not_share_results(self):
        with Flow("f") as flow:
            one = task(lambda: 1, name="same", cache_for=60)()
            two = task(lambda: 2, name="same", cache_for=60)()
        state = flow.run()
        assert (state.result[one].result, state.result[two].result) == (1, 2)

    def test_tasks_with_one_cache_key_share_results(self):
        with Flow("f") as flow:
            one = task(lambda: 1, name="one", cache_for=60, cache_key="k")()
            two = task(lambda: 2, name="two", cache_for=60, cache_key="k")(upstream_tasks=[one])
        state = flow.run()
        assert (state.result[one].result, state.result[two].result) == (1, 1)

    def test_coroutines_are_cached(self):
        seen: list[int] = []

        @task(cache_for=60)
        async def fetch(x: int) -> int:
            seen.append(x)
            return x

        for _ in range(2):
            with Flow("f") as flow:
                results = [fetch(i) for i in (1, 2)]
            state = flow.run()
        assert [type(state.result[r]) for r in results] == [Cached, Cached]
        assert sorted(seen) == [1, 2]

    def test_a_released_hit_is_read_back(self):
        calls = Calls(cache_for=60)
        for _ in range(2):
            with Flow("f") as flow:
                result = calls.task("a")
                task(lambda x: None, name="reader")(result)
            state = flow.run(keep_results="none")
            assert state.result[result].result == ["a", "a"]

    def test_what_a_test_returns_instead_is_not_cached(self, project):
        calls = Calls(cache_for=60)
        with Flow("f") as flow:
            result = calls.task(1)
        assert testing.run(flow, overrides={result: "fake"}).result(result) == "fake"
        assert entries(project) == []

    def test_never_use_leaves_nothing_behind(self, project):
        calls = Calls(cache_for=60, cache_validator=never_use)
        self.run(calls)
        self.run(calls)
        assert (calls.seen, list(project.iterdir())) == ([1, 1], [])


class TestMappedChildren:
    @pytest.mark.parametrize("validator", [None, duration_only, all_parameters])
    def test_each_child_has_an_entry_of_its_own(self, project, validator):
        calls = Calls(cache_for=60, cache_validator=validator)
        for _ in range(2):
            with Flow("f") as flow:
                results = calls.task.map([1, 2, 3])
            state = flow.run().result[results]
        assert (state.result, calls.seen) == ([[1, 1], [2, 2], [3, 3]], [1, 2, 3])
        assert len(entries(project)) == 3
        assert all(child.is_cached() for child in state.map_states)

    def test_only_what_is_new_is_computed(self):
        calls = Calls(cache_for=60)
        for numbers in ([1, 2], [0, 1, 2]):
            with Flow("f") as flow:
                results = calls.task.map(numbers)
            state = flow.run()
        assert (state.result[results].result, calls.seen) == ([[0, 0], [1, 1], [2, 2]], [1, 2, 0])

    def test_an_unmapped_argument_counts_as_well(self):
        seen: list[tuple[int, str]] = []

        @task(cache_for=60)
        def add(x: int, y: str) -> None:
            seen.append((x, y))

        for y in "aab":
            with Flow("f") as flow:
                add.map([1, 2], unmapped(y))
            flow.run()
        assert seen == [(1, "a"), (2, "a"), (1, "b"), (2, "b")]


class TestValidators:
    def runs(self, calls: Calls, *given: tuple[Any, Any]) -> list[Any]:
        for x, p in given:
            with Flow("f") as flow:
                flow.add_task(Parameter("p"))
                calls.task(x)
            flow.run(p=p)
        return calls.seen

    def test_duration_only(self):
        assert self.runs(Calls(cache_for=60, cache_validator=duration_only), (1, 1), (2, 2)) == [1]

    def test_all_parameters(self):
        calls = Calls(cache_for=60, cache_validator=all_parameters)
        assert self.runs(calls, (1, "a"), (2, "a"), (3, "b"), (4, "a")) == [1, 3]

    def test_partial_parameters(self):
        calls = Calls(cache_for=60, cache_validator=partial_parameters_only(validate_on=["p"]))
        assert self.runs(calls, (1, "a"), (2, "a"), (3, "b")) == [1, 3]

    def test_partial_inputs_only_hash_what_they_name(self):
        seen: list[Any] = []

        @task(cache_for=60, cache_validator=partial_inputs_only(validate_on=["day"]))
        def load(day: str, lock: Any) -> None:
            seen.append(day)

        for day in ("mon", "mon", "tue"):
            with Flow("f") as flow:
                load(day, threading.Lock())
            assert flow.run().is_successful()
        assert seen == ["mon", "tue"]

    def test_a_function_is_asked_about_each_candidate_the_newest_first(self):
        asked: list[tuple[Any, Any, Any]] = []

        def even(state: Any, inputs: Any, parameters: Any) -> bool:
            asked.append((state.result, inputs, parameters))
            return bool(state.result[0] % 2 == 0)

        calls = Calls(cache_for=60, cache_validator=even)
        assert self.runs(calls, (2, "a"), (1, "b"), (3, "c")) == [2]
        assert asked[-1] == ([2, 2], {"x": 3}, {"p": "c"})

    def test_a_function_sees_what_the_state_was_computed_from(self):
        states: list[Any] = []

        def look(state: Any, inputs: Any, parameters: Any) -> bool:
            states.append(state)
            return False

        self.runs(Calls(cache_for=60, cache_validator=look), (1, "a"), (2, "b"))
        assert states[0].cached_parameters == {"p": "a"}
        assert states[0].hashed_inputs == digest_arguments({"x": 1})

    def test_a_function_that_raises_fails_the_task(self):
        def broken(state: Any, inputs: Any, parameters: Any) -> bool:
            raise ZeroDivisionError

        calls = Calls(cache_for=60, cache_validator=broken)
        self.runs(calls, (1, "a"))
        with Flow("f") as flow:
            result = calls.task(2)
        assert isinstance(flow.run().result[result].result, ZeroDivisionError)

    def test_an_argument_that_cannot_be_hashed_fails_the_task_and_is_named(self):
        calls = Calls(cache_for=60)
        with Flow("f") as flow:
            result = calls.task(threading.Lock())
        state = flow.run().result[result]
        assert isinstance(state.result, UnhashableArgumentError)
        assert "'x'" in state.message
        assert calls.seen == []


class TestExpiry:
    def test_the_clock_of_the_engine_decides(self):
        clock, calls = VirtualClock(), Calls(cache_for=60)
        with Flow("f") as flow:
            calls.task(1)
        for seconds in (0, 59, 2, 1):
            clock.advance(seconds)
            flow.run(engine=Engine(clock=clock))
        assert calls.seen == [1, 1]

    def test_a_candidate_that_has_expired_is_not_offered(self):
        clock, calls = VirtualClock(), Calls(cache_for=60, cache_validator=lambda state, inputs, parameters: True)
        with Flow("f") as flow:
            calls.task(1)
        for seconds in (0, 59, 2):
            clock.advance(seconds)
            flow.run(engine=Engine(clock=clock))
        assert calls.seen == [1, 1]

    def test_longer_than_the_calendar_means_for_ever(self):
        calls = Calls(cache_for=10**12)
        with Flow("f") as flow:
            result = calls.task(1)
        flow.run()
        state: Any = flow.run().result[result]
        assert (state.cached_result_expiration, calls.seen) == (None, [1])


class TestBroughtStates:
    def run(self, state: State, x: Any = 1, **options: Any) -> list[Any]:
        calls = Calls(**{"cache_for": 60, **options})
        with Flow("f") as flow:
            result = calls.task(x)
        self.final = flow.run(task_states={result: state}).result[result]
        return calls.seen

    def test_one_that_is_valid_is_used(self):
        state = Cached(result="brought", hashed_inputs=digest_arguments({"x": 1}))
        assert self.run(state) == []
        assert self.final is state

    def test_one_that_is_not_valid_is_not(self):
        assert self.run(Cached(result="brought", hashed_inputs=digest_arguments({"x": 2}))) == [1]

    def test_without_cache_for_it_is_kept_as_it_is(self):
        assert self.run(Cached(result="brought"), cache_for=None) == []


class TestTrouble:
    def cached_flow(self, calls: Calls) -> tuple[Flow, Task]:
        with Flow("f") as flow:
            result = calls.task("some text")
        return flow, result

    @pytest.mark.parametrize("position", [3, 30, 100, -1])
    def test_a_damaged_entry_is_computed_again_with_a_warning(self, project, caplog, position):
        calls = Calls(cache_for=60)
        flow, result = self.cached_flow(calls)
        flow.run()
        path = entries(project)[0]
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)
        assert type(flow.run().result[result]) is Success
        assert type(flow.run().result[result]) is Cached
        assert len(calls.seen) == 2
        assert "damaged" in caplog.text

    def test_a_value_whose_class_is_gone_is_computed_again(self, caplog):
        import types

        module = types.ModuleType("module_of_a_test")
        exec("class Value: pass", module.__dict__)
        sys.modules[module.__name__] = module
        seen: list[int] = []

        def make_value() -> Any:
            seen.append(1)
            return module.Value()

        make = task(make_value, cache_for=60, cache_key="k")
        with Flow("f") as flow:
            make()
        flow.run()
        del sys.modules[module.__name__]
        del module.Value
        module.Value = dict  # type: ignore[attr-defined]
        assert flow.run().is_successful()
        assert len(seen) == 2
        assert "cannot be read" in caplog.text

    def test_an_entry_of_another_project_is_computed_again_with_one_warning(self, project, caplog, monkeypatch):
        calls = Calls(cache_for=60)
        with Flow("f") as flow:
            result = calls.task.map([1, 2, 3])
        flow.run()
        (project / ".headrace" / "history" / "key").unlink()
        assert [type(state) for state in flow.run().result[result].map_states] == [Success] * 3
        assert [type(state) for state in flow.run().result[result].map_states] == [Cached] * 3
        warnings = [record.getMessage() for record in caplog.records if "no help" in record.message]
        assert len(warnings) == 1
        assert str(project / ".headrace" / "cache" / "calls") in warnings[0]
        assert "HEADRACE_KEY" in warnings[0]

    @pytest.mark.parametrize("validator", [all_inputs, lambda state, inputs, parameters: bool(parameters)])
    def test_a_pickle_that_was_planted_is_never_loaded(self, project, caplog, validator):
        calls = Calls(cache_for=60, cache_validator=validator)
        with Flow("f") as flow:
            result = calls.task(Parameter("x"))
        flow.run(x=1)
        (path,) = entries(project)
        planted = pickle.dumps(Planted(project / "loaded"))
        pickle.loads(planted)
        (project / "loaded").unlink()
        entry = Entry.peek(path.read_bytes(), f"{path.parent.name}/{path.name}")
        planted_entry = replace(entry, data=planted, cached_parameters=planted, size=len(planted))
        for sealer in None, Sealer(b"o" * 32):
            path.write_bytes(planted_entry.encode(sealer))
            assert type(flow.run(x=1).result[result]) is Success
            assert not (project / "loaded").exists()
        assert caplog.text.count("was not written by this project") == 2

    @pytest.mark.parametrize("name", ["processes", "threads"])
    def test_workers_have_the_key(self, project, monkeypatch, name):
        with Flow("f") as flow:
            result = task(os.path.basename, name="base", cache_for=60)("a/b")
        monkeypatch.setenv("HEADRACE_HOME", str(project / "home"))
        assert [type(flow.run(executor=name).result[result]) for _ in range(2)] == [Success, Cached]
        monkeypatch.chdir("/")
        assert type(flow.run(executor=name).result[result]) is Cached

    def test_a_key_that_cannot_be_made_fails_the_task_before_it_runs(self, project, monkeypatch):
        (project / "file").touch()
        monkeypatch.setenv("HEADRACE_HOME", str(project / "file"))
        calls = Calls(cache_for=60)
        flow, result = self.cached_flow(calls)
        with config.set_temporary_config({"cache.url": f"file:{project}/elsewhere"}):
            state = flow.run().result[result]
        assert isinstance(state.result, HistoryError)
        assert calls.seen == []

    def test_a_result_that_cannot_be_stored_fails_the_task(self, project):
        with Flow("f") as flow:
            result = make_lock()
        state = flow.run().result[result]
        assert isinstance(state.result, TypeError)
        assert [path for path in (project / ".headrace" / "cache").rglob("*") if path.is_file()] == []

    def test_a_cache_that_cannot_be_written_fails_the_task_before_it_runs(self, project):
        (project / ".headrace").write_text("a file in the way")
        calls = Calls(cache_for=60)
        flow, result = self.cached_flow(calls)
        state = flow.run().result[result]
        assert isinstance(state.result, ResultError)
        assert ".headrace" in state.message
        assert calls.seen == []

    def test_a_full_disk_fails_the_task_names_the_path_and_leaves_nothing(self, small_disk, monkeypatch):
        monkeypatch.chdir(small_disk)
        with Flow("f") as flow:
            result = task(lambda: os.urandom(3_000_000), name="large", cache_for=60)()
        state = flow.run().result[result]
        assert isinstance(state.result, ResultError)
        assert str(small_disk) in state.message
        assert [path for path in (small_disk / ".headrace" / "cache").rglob("*") if path.is_file()] == []


@task(cache_for=60)
def make_lock() -> Any:
    return threading.Lock()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with ExitStack() as stack:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("only root can mount a small disk")
        stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
        yield folder


class TestOnce:
    def test_threads_compute_a_key_once(self):
        seen: list[int] = []

        @task(cache_for=60)
        def slow() -> int:
            seen.append(1)
            time.sleep(0.1)
            return 5

        with Flow("f") as flow:
            results = [slow() for _ in range(8)]
        state = flow.run(executor="threads")
        assert [state.result[r].result for r in results] == [5] * 8
        assert len(seen) == 1

    def test_coroutines_compute_a_key_once(self):
        import asyncio

        seen: list[int] = []

        @task(cache_for=60)
        async def slow() -> int:
            seen.append(1)
            await asyncio.sleep(0.1)
            return 5

        with Flow("f") as flow:
            results = [slow() for _ in range(50)]
        state = flow.run()
        assert [state.result[r].result for r in results] == [5] * 50
        assert len(seen) == 1

    def test_whoever_waits_computes_if_the_other_fails(self):
        seen: list[int] = []

        @task(cache_for=60)
        def shaky() -> int:
            seen.append(1)
            time.sleep(0.05)
            if len(seen) == 1:
                raise ValueError
            return 5

        with Flow("f") as flow:
            results = [shaky() for _ in range(4)]
        state = flow.run(executor="threads")
        assert sorted(state.result[r].is_successful() for r in results) == [False, True, True, True]
        assert len(seen) == 2

    def test_processes_compute_a_key_once(self, project):
        source = project / "flow.py"
        source.write_text(
            "import os, time\n"
            "from headrace import Flow, task\n"
            "@task(cache_for=60)\n"
            "def slow(x):\n"
            "    log = os.open('log', os.O_APPEND | os.O_CREAT | os.O_WRONLY)\n"
            "    os.write(log, b'%d\\n' % x)\n"
            "    time.sleep(0.3)\n"
            "    return x * 2\n"
            "with Flow('f') as flow:\n"
            "    results = slow.map([1, 2])\n"
            "assert flow.run().result[results].result == [2, 4]\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        running = [subprocess.Popen([sys.executable, str(source)], env=environment) for _ in range(3)]
        assert [process.wait(30) for process in running] == [0, 0, 0]
        assert sorted((project / "log").read_text().split()) == ["1", "2"]
        assert list((project / ".headrace" / "cache" / ".locks").iterdir()) == []

    def test_a_process_that_was_killed_leaves_no_lock(self, project):
        source = project / "flow.py"
        source.write_text(
            "import os, time\n"
            "from headrace import Flow, task\n"
            "@task(cache_for=60, cache_key='k')\n"
            "def slow():\n"
            "    open('began', 'w').close()\n"
            "    time.sleep(60)\n"
            "with Flow('f') as flow:\n"
            "    slow()\n"
            "flow.run()\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with subprocess.Popen([sys.executable, str(source)], env=environment) as process:
            while not (project / "began").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
        with Flow("f") as flow:
            result = task(lambda: 5, name="slow", cache_for=60, cache_key="k")()
        assert flow.run().result[result].result == 5


def test_the_cache_is_that_of_the_project_above(project, monkeypatch):
    (project / ".headrace").mkdir()
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    with Flow("f") as flow:
        Calls(cache_for=60).task(1)
    flow.run()
    assert len(entries(project / ".headrace")) == 1
    assert list((project / "sub").iterdir()) == []


def test_parameters_of_the_run_are_in_the_context_of_a_validator():
    names: list[Any] = []

    def look(state: Any, inputs: Any, parameters: Any) -> bool:
        names.append(context.get("task_name"))
        return True

    calls = Calls(cache_for=60, cache_validator=look)
    for _ in range(2):
        with Flow("f") as flow:
            calls.task(1)
        flow.run()
    assert names == ["double"]


class TestLimits:
    def flow(self, **options: Any) -> Flow:
        @task(cache_for=3600, cache_key="big", **options)
        def big(x):
            return bytes(1000) + bytes([x])

        with Flow("f") as flow:
            big.map(Parameter("xs"))
        return flow

    def run(self, flow: Flow, xs: list[int], clock: VirtualClock | None = None, **limits: float) -> State:
        with config.set_temporary_config({f"cache.{name}": value for name, value in limits.items()}):
            return flow.run(xs=xs, engine=Engine(clock=clock))

    def test_without_limits_a_run_keeps_no_account(self, project):
        self.run(self.flow(), [1])
        assert [path.name for path in project.rglob("usage*")] == []

    def test_a_run_that_wrote_entries_makes_room_for_them(self, project):
        flow = self.flow()
        for first in range(0, 20, 5):
            assert self.run(flow, list(range(first, first + 5)), max_bytes=10_000).is_successful()
        assert 5 <= len(entries(project)) < 10
        assert all(state.is_cached() for state in self.run(flow, [19]).result[flow.get_tasks("big")[0]].map_states)

    def test_a_run_that_wrote_entries_removes_what_is_too_old(self, project):
        clock = VirtualClock()
        flow = self.flow()
        self.run(flow, [1], clock, max_age=100)
        clock.advance(200)
        self.run(flow, [1], clock, max_age=100)
        assert len(entries(project)) == 1
        self.run(flow, [2], clock, max_age=100)
        assert len(entries(project)) == 1

    def test_what_the_run_itself_used_stays(self, project):
        flow = self.flow()
        self.run(flow, [1])
        state = self.run(flow, [1, 2, 3, 4], max_bytes=1000)
        assert len(entries(project)) == 4
        assert [len(value) for value in state.result[flow.get_tasks("big")[0]].result] == [1001] * 4

    def test_a_store_that_cannot_be_pruned_is_a_warning(self, project, caplog):
        (project / ".headrace" / "cache").mkdir(parents=True)
        (project / ".headrace" / "cache" / "usage.json").mkdir()
        assert self.run(self.flow(), [1], max_bytes=1000).is_successful()
        assert "The cache could not be kept within its limits" in caplog.text
