from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from headrace import Engine, Flow, Parameter, context, mapped, signals, task
from headrace.engine.recorded_runs import open_history, task_records
from headrace.engine.resumed_runs import find_run, prepare_resume
from headrace.engine.runs import RunOptions, new_run_id
from headrace.engine.wishes import Wishes
from headrace.exceptions import ExecutorError, HistoryError, SealError
from headrace.history import RunQuery, RunRecord
from headrace.states import State, Success
from headrace_plugins.threads import ThreadsExecutor

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def resume(flow: Flow, *, rerun: tuple[str, ...] = (), accept: bool = False) -> State:
    engine = Engine()
    store, run = find_run(engine, "latest")
    wishes = Wishes(again=rerun, accept_changes=accept)
    prepared = prepare_resume(flow, store, run, engine, wishes=wishes)
    return flow.run(dict(prepared.parameters), engine=engine, options=prepared.options(flow, RunOptions()))


def counting(fails: set[int]) -> tuple[Flow, list[int]]:
    """Return a flow that maps over four numbers, fails for those in ``fails``, and what it was called with."""
    calls: list[int] = []

    @task
    def square(x: int) -> int:
        calls.append(x)
        if x in fails:
            raise ValueError(x)
        return x * x

    @task
    def add(xs: list[int], more: int) -> int:
        return sum(xs) + more

    with Flow("counting") as flow:
        more = Parameter("more", default=0)
        add(square.map([1, 2, 3, 4]), more)
    return flow, calls


def result_of(flow: Flow, state: State, name: str) -> Any:
    return state.result[flow.get_tasks(name=name)[0]].result


def test_a_run_that_is_not_asked_to_be_recorded_leaves_nothing(project: Path) -> None:
    counting(set())[0].run()
    assert not (project / ".headrace").exists()


def test_a_run_and_its_task_runs_are_there_when_it_returns() -> None:
    flow, _ = counting(set())
    flow.run(record=True)
    with open_history(True, Engine()) as store:
        run = store.run("latest")
        states = [record.state for record in store.task_runs(run.id)]
    assert (run.flow_name, run.state) == ("counting", "Success")
    assert states.count("Success") == len(states) - 1  # and the map


def test_resuming_runs_what_failed_and_what_follows_from_it() -> None:
    fails = {3}
    flow, calls = counting(fails)
    assert flow.run(more=10, record=True).is_failed()
    fails.clear()
    calls.clear()
    state = resume(flow)
    assert calls == [3]
    assert result_of(flow, state, "add") == 40


def test_resuming_a_run_that_succeeded_runs_nothing() -> None:
    flow, calls = counting(set())
    flow.run(record=True)
    calls.clear()
    state = resume(flow)
    assert isinstance(state, Success)
    assert calls == []
    assert result_of(flow, state, "add") == 30


def test_a_task_can_be_asked_to_run_again_with_what_depends_on_it() -> None:
    flow, calls = counting(set())
    flow.run(record=True)
    calls.clear()
    resume(flow, rerun=("square",))
    assert calls == [1, 2, 3, 4]


def test_changed_code_is_refused_and_runs_again_if_that_is_accepted() -> None:
    def made(factor: int) -> Flow:
        @task
        def one() -> int:
            return 1

        @task
        def scaled(x: int, factor: int) -> int:
            return x * factor

        with Flow("changing") as flow:
            scaled(one(), factor)
        return flow

    made(2).run(record=True)
    with pytest.raises(HistoryError, match=r"The code of 'scaled-1' has changed .*--accept-changes"):
        resume(made(3))
    flow = made(3)
    assert result_of(flow, resume(flow, accept=True), "scaled") == 3


def test_a_result_that_cannot_be_kept_is_made_again() -> None:
    calls: list[str] = []
    broken = [True]

    @task
    def connection() -> Any:
        calls.append("connection")
        return threading.Lock()

    @task
    def use(lock: Any) -> str:
        if broken[0]:
            raise ValueError
        with lock:
            return "used"

    with Flow("unkept") as flow:
        use(connection())
    assert flow.run(record=True).is_failed()
    broken.clear()
    broken.append(False)
    assert result_of(flow, resume(flow), "use") == "used"
    assert calls == ["connection"] * 2


def test_a_large_result_is_read_back_from_a_file(project: Path) -> None:
    fails = [True]

    @task
    def large() -> bytes:
        return b"x" * 200_000

    @task
    def size(data: bytes) -> int:
        if fails[0]:
            raise ValueError
        return len(data)

    with Flow("large") as flow:
        size(large())
    flow.run(record=True)
    assert list((project / ".headrace" / "results").rglob("*.result"))
    fails[0] = False
    assert result_of(flow, resume(flow), "size") == 200_000


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_large_result_is_taken_over_whatever_made_it(executor: str) -> None:
    with Flow("large") as flow:
        task(large_result, name="large")()
    flow.run(record=True, executor=executor)
    engine = Engine()
    prepared = prepare_resume(flow, *find_run(engine, "latest"), engine)
    assert [decision.why for decision in prepared.resumption.decisions] == [""]
    assert result_of(flow, resume(flow), "large") == "x" * 100_000


def large_result() -> str:
    return "x" * 100_000


def test_a_result_that_somebody_planted_is_refused(project: Path) -> None:
    fails = {4}
    flow, _ = counting(fails)
    flow.run(record=True)
    fails.clear()
    (project / ".headrace" / "history" / "key").write_text("00" * 32)
    with pytest.raises(SealError, match="not made with this project's key"):
        resume(flow)


def test_a_key_that_is_made_anew_beside_older_runs_is_one_warning(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flow, _ = counting(set())
    flow.run(record=True)
    assert "key" not in caplog.text
    key = project / ".headrace" / "history" / "key"
    key.unlink()
    flow.run(record=True)
    flow.run(record=True)
    (said,) = [record.getMessage() for record in caplog.records if "key" in record.getMessage()]
    assert f"The key of the history, {key}, was missing" in said
    assert "cannot be resumed" in said
    assert "Put the old file back, or set the variable HEADRACE_KEY" in said


def test_a_place_that_cannot_be_written_costs_a_warning_and_not_the_run(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / ".headrace").write_text("a file, and not a folder")
    flow, _ = counting(set())
    assert flow.run(record=True).is_successful()
    assert "This run is not recorded" in caplog.text


def test_a_run_whose_executor_does_not_start_says_why_and_can_be_resumed() -> None:
    class Absent(ThreadsExecutor):
        def start(self, *_: Any) -> None:
            raise ExecutorError("The cluster is gone.")

    flow, calls = counting(set())
    with pytest.raises(ExecutorError):
        flow.run(record=True, executor=Absent())
    with open_history(True, Engine()) as store:
        run = store.run("latest")
    assert (run.state, run.message, calls) == ("Failed", "ExecutorError: The cluster is gone.", [])
    assert flow.resume(executor="local").is_successful()


KILLED = """
import sys, time
from headrace import Flow, task

@task
def work(x):
    with open("side.log", "a") as log:
        log.write(f"{x}\\n")
    time.sleep(0.03)
    return x

@task
def total(xs):
    assert xs == list(range(30))

with Flow("killed") as flow:
    total(work.map(list(range(30))))
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_a_run_that_is_killed_goes_on_where_it_was(project: Path, executor: str) -> None:
    (project / "killed.py").write_text(dedent(KILLED))
    command = [sys.executable, "-m", "headrace"]
    with subprocess.Popen(
        [*command, "run", "killed.py", "--executor", executor], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        log = project / "side.log"
        give_up_at = time.monotonic() + 30
        while not log.exists() or len(log.read_text().splitlines()) < 8:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    begun = len(log.read_text().splitlines())
    assert begun < 30
    done = subprocess.run([*command, "resume", "--json"], stdout=subprocess.PIPE, check=True, stderr=subprocess.DEVNULL)
    assert json.loads(done.stdout)["state"] == "Success"
    calls = [int(line) for line in log.read_text().splitlines()]
    assert set(calls) == set(range(30))
    # What was under way when it was killed ran twice; of a worker process that is what it ran, and what it had ended
    # just before without anybody having heard of it.
    under_way = {"local": 1, "threads": 8, "processes": 2 * (os.cpu_count() or 1)}[executor]
    assert len(calls) - 30 <= under_way


def test_what_a_resumed_run_took_over_stays_when_it_is_killed_before_it_comes_to_it() -> None:
    """The children of a map, though the map had not begun when the second process was killed."""
    fails = {3}
    flow, calls = counting(fails)
    flow.run(more=10, record=True)
    engine = Engine()
    store, run = find_run(engine, "latest")
    taken_over = prepare_resume(flow, store, run, engine).resumption.taken_over
    killed = RunRecord(
        id=new_run_id(),
        name="killed",
        flow_name="counting",
        created=run.created,
        parameters=run.parameters,
        resumed_from=run.id,
    )
    store.begin(killed, task_records(flow.plan()), taken_over=taken_over).abandon()
    store.close()
    fails.clear()
    calls.clear()
    state = resume(flow)
    assert calls == [3]
    assert result_of(flow, state, "add") == 40


def test_an_attempt_is_told_whether_it_failed_or_asked_for_the_next_one() -> None:
    @task(max_retries=1, retry_delay=0)
    def patient() -> str:
        if context.task_run_count == 1:
            raise ConnectionError
        if context.task_run_count == 2:
            raise signals.RETRY("not yet")
        return "done"

    with Flow("patient") as flow:
        patient()
    assert flow.run(record=True).is_successful()
    with open_history(True, Engine()) as store:
        attempts = store.attempts(store.run("latest").id, 0)
    assert [(each.attempt, each.state) for each in attempts] == [(1, "Failed"), (2, "Retrying")]


def test_children_that_only_wait_for_others_go_on_although_the_results_of_those_are_lost() -> None:
    fails = [True]

    @task
    def connection(number: int) -> Any:
        return threading.Lock()

    @task
    def after(number: int) -> int:
        if fails[0]:
            raise ValueError(number)
        return number

    with Flow("waiting") as flow:
        connections = connection.map([1, 2])
        after.map([1, 2], upstream_tasks=[mapped(connections)])
    assert flow.run(record=True).is_failed()
    fails[0] = False
    assert result_of(flow, resume(flow), "after") == [1, 2]


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
@pytest.mark.parametrize("outer_is_recorded", [True, False])
def test_a_run_inside_a_task_belongs_to_the_run_around_it_if_a_history_has_that(
    outer_is_recorded: bool, executor: str
) -> None:
    inner, _ = counting(set())

    @task
    def run_inner() -> None:
        assert inner.run(record=True).is_successful()

    with Flow("outer") as outer:
        run_inner()
    assert outer.run(record=outer_is_recorded, executor=executor).is_successful()
    found = {run.flow_name: run for run in open_history(True, Engine()).runs(RunQuery(nested=True))}
    assert found["counting"].parent == (found["outer"].id if outer_is_recorded else None)


def test_a_store_that_was_given_stays_open_for_the_run_around_it() -> None:
    inner, _ = counting(set())
    with open_history(True, Engine()) as store:

        @task
        def run_inner(number: int) -> None:
            assert inner.run(record=store).is_successful()

        with Flow("outer") as outer:
            run_inner.map([1, 2])
        assert outer.run(record=store).is_successful()
        assert [run.state for run in store.runs(RunQuery(nested=True))] == ["Success"] * 3
