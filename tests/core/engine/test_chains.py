"""Chains: what follows on a task is handed over together with it, and ends as if it had been submitted in its turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.engine.fakes import ChainingExecutor, Recorder

from headrace import Engine, Flow, config, context, signals, task
from headrace.abc import Executor
from headrace.engine.recorded_runs import open_history
from headrace.engine.staying import StayingScheduler
from headrace.exceptions import HistoryError
from headrace.history.recording import FileJournal
from headrace.history.staying import Staying
from headrace.states import Scheduled, State, Success, TimedOut
from headrace.tasks import Task

# What a piece does when it is called for the first time, and for the second.
ACTS = ("go", "fail", "skip", "end", "fail once", "loop once", "retry once")


@task
def step(number: int, act: str = "go") -> int:
    again = context.task_run_count > 1 or context.get("task_loop_count", 1) > 1
    if act == "fail" or (act == "fail once" and not again):
        raise ValueError(number)
    if act == "skip":
        raise signals.SKIP("enough")
    if act == "end":
        raise signals.ENDRUN(Success("the end", result=-1))
    if act == "loop once" and not again:
        raise signals.LOOP(result=number)
    if act == "retry once" and not again:
        raise signals.RETRY("once more")
    return number + 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def chain(acts: list[Any], piece: Any = step) -> tuple[Flow, list[Task]]:
    """Return a flow of pieces that follow on each other, and these."""
    pieces: list[Task] = []
    with Flow("chain") as flow:
        last: Any = 0
        for act in acts:
            last = piece(last, act)
            pieces.append(last)
    return flow, pieces


def ends(flow: Flow, pieces: list[Task], executor: Executor | str) -> list[tuple[type[State], object, int]]:
    """Return what each piece ends in, its result if it is no exception, and how many attempts there were before."""
    states = flow.run(executor=executor, keep_results="all").result
    return [
        (type(states[each]), None if states[each].is_failed() else states[each].result, len(states[each].attempts))
        for each in pieces
    ]


def test_copies_of_one_task_that_follow_on_each_other_are_handed_over_together():
    flow, pieces = chain(["go"] * 10)
    executor = ChainingExecutor()
    assert ends(flow, pieces, executor)[-1] == (Success, 10, 0)
    assert executor.chains == [[flow.slugs[each] for each in pieces]]


def test_no_more_is_handed_over_than_the_executor_takes():
    flow, pieces = chain(["go"] * 10)
    executor = ChainingExecutor(4)
    assert ends(flow, pieces, executor)[-1] == (Success, 10, 0)
    assert [len(each) for each in executor.chains] == [4, 4, 2]


def test_no_more_is_handed_over_than_the_executor_has_room_for():
    flow, pieces = chain(["go"] * 10)
    executor = ChainingExecutor()
    executor.capacity = 3
    assert ends(flow, pieces, executor)[-1] == (Success, 10, 0)
    assert [len(each) for each in executor.chains] == [3, 3, 3]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("act", ACTS)
def test_what_happens_in_the_middle_has_the_same_consequences(act, early):
    flow, pieces = chain(["go", "go", act, "go", "go"], step.copy(max_retries=1, retry_delay=0))
    executor = ChainingExecutor(early=early)
    assert ends(flow, pieces, executor) == ends(flow, pieces, "local")
    assert len(executor.chains[0]) == 5


@given(
    acts=st.lists(st.sampled_from([*ACTS, *["go"] * 10]), min_size=1, max_size=12),
    length=st.integers(1, 12),
    done=st.lists(st.integers(1, 12), min_size=1),
    early=st.booleans(),
    retries=st.integers(0, 2),
)
def test_whatever_the_executor_gives_back_a_chain_ends_as_it_does_here(acts, length, done, early, retries):
    flow, pieces = chain(acts, step.copy(max_retries=retries, retry_delay=0 if retries else None))
    rounds = iter(done * 50)
    executor = ChainingExecutor(length, done=lambda: next(rounds), early=early)
    assert ends(flow, pieces, executor) == ends(flow, pieces, "local")


def test_a_piece_gets_its_other_arguments_and_those_of_the_piece_before():
    @task
    def add(x: int, y: int, more: int = 0) -> int:
        return x + y + more

    @task
    def ten() -> int:
        return 10

    with Flow("arguments") as flow:
        more = ten()
        last: Any = add(1, 1, more)
        for _ in range(3):
            last = add(last, last, more)
    executor = ChainingExecutor()
    assert flow.run(executor=executor).result[last].result == 166
    assert len(executor.chains[-1]) == 4


def test_a_piece_can_follow_without_a_value():
    @task
    def wait() -> str:
        return "done"

    with Flow("no data") as flow:
        first = wait()
        second = wait(upstream_tasks=[first])
    executor = ChainingExecutor()
    assert flow.run(executor=executor).result[second].result == "done"
    assert len(executor.chains) == 1


class TestNoChain:
    """What keeps tasks from being handed over before it is their turn."""

    def no_chain(self, flow: Flow) -> bool:
        executor = ChainingExecutor()
        assert flow.run(executor=executor).is_successful()
        return executor.chains == []

    def test_another_task(self):
        with Flow("two tasks") as flow:
            step(task(lambda: 1, name="one")())
        assert self.no_chain(flow)

    def test_a_copy_with_other_options(self):
        with Flow("options") as flow:
            step.copy(max_retries=1, retry_delay=0)(step(0))
        assert self.no_chain(flow)

    def test_other_work_that_could_be_done_meanwhile(self):
        with Flow("wide") as flow:
            first = step(0)
            step(first)
            step(first)
        assert self.no_chain(flow)

    def test_something_else_to_wait_for(self):
        with Flow("joined") as flow:
            step(step(0), upstream_tasks=[task(lambda: 1, name="one")()])
        executor = ChainingExecutor()
        flow.run(executor=executor)
        assert executor.chains == []

    def test_a_map(self):
        @task
        def listed(values: Any) -> list[int]:
            return [1, 2]

        with Flow("mapped") as flow:
            listed.map(listed([0]))
        assert self.no_chain(flow)

    def test_a_trigger_of_its_own(self):
        flow, _ = chain(["go"] * 3, step.copy(trigger=lambda states: True))
        assert self.no_chain(flow)

    def test_a_state_handler(self):
        flow, _ = chain(["go"] * 3, step.copy(state_handlers=[lambda task, old, new: new]))
        assert self.no_chain(flow)

    def test_a_piece_that_brings_a_state_to_wait_in(self):
        flow, pieces = chain(["go"] * 2)
        waiting = Scheduled("in a moment", start_time=datetime.now(UTC) + timedelta(seconds=0.1))
        executor = ChainingExecutor()
        assert flow.run(executor=executor, task_states={pieces[1]: waiting}).is_successful()
        assert executor.chains == []

    @pytest.mark.parametrize("resume", ["skip", "ask"])
    def test_something_to_say_about_being_resumed(self, resume):
        flow, _ = chain(["go"] * 3, step.copy(resume=resume))
        assert self.no_chain(flow)

    def test_a_coroutine(self):
        async def step(number: int, act: str) -> int:
            return number

        flow, _ = chain(["go"] * 3, task(step))
        assert self.no_chain(flow)


def test_an_executor_that_refuses_a_chain_fails_the_first_piece_only():
    class Refusing(ChainingExecutor):
        def submit_chain(self, chain: Any, deliver: Any, /) -> None:
            raise OSError("not today")

    flow, pieces = chain(["go"] * 3)
    states = flow.run(executor=Refusing()).result
    assert [type(states[each]).__name__ for each in pieces] == ["Crashed", "TriggerFailed", "TriggerFailed"]
    assert "not today" in states[pieces[0]].message


def test_an_executor_that_only_submits_gives_the_rest_back():
    class Plain(ChainingExecutor):
        submit_chain = Executor.submit_chain

    flow, pieces = chain(["go"] * 5)
    assert ends(flow, pieces, Plain())[-1] == (Success, 5, 0)


def test_who_watches_hears_of_one_piece_after_the_other():
    recorder = Recorder()
    flow, _ = chain(["go", "go"])
    executor = ChainingExecutor()
    flow.run(executor=executor, engine=Engine(plugins=[recorder]))
    assert [step[1:] for step in recorder.tasks] == [("Pending", "Running"), ("Running", "Success")] * 2
    assert len(executor.chains) == 1


def test_a_piece_that_has_not_begun_after_all_is_recorded_as_waiting(project):
    @task
    def pause(number: int) -> int:
        if number == 1:
            raise signals.PAUSE("have a look")
        return number + 1

    with Flow("paused") as flow:
        pause(pause(pause(0)))
    executor = ChainingExecutor()
    flow.run(executor=executor, record=True, on_pause=lambda names: [])
    with open_history(True, Engine()) as store:
        found = [(record.state, record.started is None) for record in store.task_runs(store.run("latest").id)]
    assert found == [("Success", False), ("Paused", True), ("Pending", True)]
    assert len(executor.chains) == 1


@pytest.mark.parametrize("may_stay", [False, True])
def test_what_may_stay_in_a_resumed_run_is_not_handed_over_early(may_stay):
    class Undecided:
        def decides(self, node: int) -> bool:
            return may_stay

        def state_of(self, *where: object) -> None:
            return None

    flow, _ = chain(["go"] * 2)
    scheduler = StayingScheduler(flow.plan(), {}, cast("Staying", Undecided()))
    scheduler.start()
    while (decision := scheduler.next()) is not None and decision[0].node.task.name != "step":
        scheduler.settle(decision[0], decision[1] or Success())
    assert decision is not None
    assert (scheduler.follower(decision[0]) is None) is may_stay


def test_a_history_that_cannot_take_down_what_follows_ends_the_run(project, monkeypatch):
    began = iter([None, HistoryError("The disk is full.")])

    def say(journal: object, *what: object) -> None:
        error = next(began)
        if error is not None:
            raise error

    flow, _ = chain(["go"] * 3)
    executor = ChainingExecutor()
    monkeypatch.setattr(FileJournal, "began", say)
    with pytest.raises(HistoryError, match="The disk is full"):
        flow.run(executor=executor, record=True)
    assert (executor.chains, executor.submitted) == ([], [])


def test_a_run_that_is_given_up_leaves_every_piece_in_a_state():
    class Silent(ChainingExecutor):
        def submit_chain(self, chain: Any, deliver: Any, /) -> None:
            pass

    flow, pieces = chain(["go"] * 3)
    with config.set_temporary_config({"engine.cancel_grace": 0.1}):
        state = flow.run(executor=Silent(), timeout=0.1)
    found = {state.result[each].message for each in pieces}
    assert (type(state), found) == (TimedOut, {"Was still running when the run gave up waiting for it."})


def test_who_has_heard_that_a_piece_runs_hears_that_it_has_not_begun():
    class Late(ChainingExecutor):
        def submit_chain(self, chain: Any, deliver: Any, /) -> None:
            first, second = chain
            deliver(first())
            Timer(0.1, deliver, [second.not_begun()]).start()

    recorder = Recorder()
    flow, _ = chain(["go", "go"])
    flow.run(executor=Late(), engine=Engine(plugins=[recorder]))
    steps = [step[1:] for step in recorder.tasks]
    twice = [("Pending", "Running"), ("Running", "Pending"), ("Pending", "Running"), ("Running", "Success")]
    assert steps == [("Pending", "Running"), ("Running", "Success"), *twice]
