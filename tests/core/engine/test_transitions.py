"""State handlers and observers: who is told what, in which order, and what a handler can change."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.core.engine.fakes import Recorder, VirtualClock

from headrace import Engine, Flow, Task, context, signals, task, triggers
from headrace.engine.transitions import call_handlers
from headrace.exceptions import StateHandlerError
from headrace.states import Failed, Pending, Running, Skipped, State, Success, TriggerFailed

Steps = list[tuple[str, str]]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def engine(recorder: Recorder) -> Engine:
    return Engine(plugins=[recorder], clock=VirtualClock())


def noting(steps: Steps) -> Any:
    def handler(_task: Any, old: State, new: State) -> None:
        steps.append((type(old).__name__, type(new).__name__))

    return handler


def run_one(function: Any, **task_args: Any) -> State:
    with Flow("one") as flow:
        last = task(function, name="one", **task_args)()
    return flow.run(executor="local", engine=Engine(clock=VirtualClock())).result[last]


def fail() -> None:
    raise ValueError("no")


class TestOrder:
    def test_a_task_goes_from_pending_over_running_to_success(self):
        steps: Steps = []
        run_one(lambda: 1, state_handlers=[noting(steps)])
        assert steps == [("Pending", "Running"), ("Running", "Success")]

    def test_a_retry_comes_after_the_failure(self):
        steps: Steps = []

        def flaky() -> int:
            if context.task_run_count == 1:
                raise ValueError
            return 1

        run_one(flaky, state_handlers=[noting(steps)], max_retries=1, retry_delay=1)
        assert steps == [
            ("Pending", "Running"),
            ("Running", "Failed"),
            ("Failed", "Retrying"),
            ("Retrying", "Running"),
            ("Running", "Success"),
        ]

    def test_an_iteration_of_a_loop_is_a_change(self):
        steps: Steps = []

        def loop() -> None:
            if not context.get("task_loop_count"):
                raise signals.LOOP(result=1)

        run_one(loop, state_handlers=[noting(steps)])
        assert steps == [
            ("Pending", "Running"),
            ("Running", "Looped"),
            ("Looped", "Running"),
            ("Running", "Success"),
        ]

    @pytest.mark.parametrize(
        ("upstream", "end"), [(fail, "TriggerFailed"), (lambda: (_ for _ in ()).throw(signals.SKIP()), "Skipped")]
    )
    def test_a_task_that_does_not_run_is_never_running(self, upstream, end):
        steps: Steps = []
        with Flow("two") as flow:
            first = task(upstream, name="first")()
            task(lambda: 1, name="second", state_handlers=[noting(steps)])(upstream_tasks=[first])
        flow.run(executor="local")
        assert steps == [("Pending", end)]

    def test_a_map_and_each_of_its_children_change(self, engine, recorder):
        with Flow("map") as flow:
            task(lambda x: x, name="t").map([1, 2])
        flow.run(executor="local", engine=engine)
        assert recorder.steps("t") == [("Pending", "Running"), ("Running", "Mapped")]
        assert recorder.steps("t[0]") == recorder.steps("t[1]") == [("Pending", "Running"), ("Running", "Success")]

    def test_handlers_are_called_in_their_order_and_on_failure_last(self):
        called: list[str] = []

        def first(*_: Any) -> None:
            called.append("first")

        def second(*_: Any) -> None:
            called.append("second")

        run_one(fail, state_handlers=[first, second], on_failure=lambda *_: called.append("on_failure"))
        assert called == ["first", "second", "first", "second", "on_failure"]

    def test_on_failure_is_called_for_every_attempt(self):
        found: list[Any] = []
        run_one(
            fail, on_failure=lambda task, state: found.append((task.name, state.message)), max_retries=2, retry_delay=1
        )
        assert found == [("one", "ValueError: no")] * 3

    def test_on_failure_is_not_called_for_a_success(self):
        found: list[Any] = []
        run_one(lambda: 1, on_failure=lambda *_: found.append(1))
        assert found == []


class TestWhatAHandlerCanChange:
    def test_none_keeps_the_new_state(self):
        assert type(run_one(lambda: 1, state_handlers=[lambda *_: None])) is Success

    def test_a_returned_state_takes_its_place_and_feeds_the_next_handler(self):
        seen: list[Any] = []

        def change(_task: Any, _old: State, new: State) -> State | None:
            return Success(result=2) if new.is_successful() else None

        def look(_task: Any, _old: State, new: State) -> None:
            seen.append(new.result)

        assert run_one(lambda: 1, state_handlers=[change, look]).result == 2
        assert seen == [None, 2]

    def test_a_failure_can_be_turned_into_a_success(self):
        def rescue(_task: Any, _old: State, new: State) -> State | None:
            return Success(result=0) if new.is_failed() else None

        state = run_one(fail, state_handlers=[rescue], max_retries=2, retry_delay=1)
        assert (type(state), state.result) == (Success, 0)

    def test_a_success_turned_into_a_failure_is_retried(self):
        attempts: list[int] = []

        def doubt(_task: Any, _old: State, new: State) -> State | None:
            return Failed("not good enough") if new.is_successful() and new.result < 3 else None

        def count() -> int:
            attempts.append(1)
            return len(attempts)

        assert run_one(count, state_handlers=[doubt], max_retries=5, retry_delay=1).result == 3

    def test_a_signal_is_adopted_and_ends_the_round(self):
        called: list[str] = []

        def skip(_task: Any, _old: State, new: State) -> None:
            if new.is_running():
                raise signals.SKIP("not now")

        state = run_one(lambda: 1, state_handlers=[skip, lambda _t, _o, new: called.append(type(new).__name__)])
        assert (type(state), called) == (Skipped, [])

    def test_a_fail_signal_on_success_is_retried(self):
        attempts: list[int] = []

        def doubt(_task: Any, _old: State, new: State) -> None:
            if new.is_successful():
                raise signals.FAIL("no")

        run_one(lambda: attempts.append(1), state_handlers=[doubt], max_retries=2, retry_delay=1)
        assert len(attempts) == 3

    @pytest.mark.parametrize("when", ["Running", "Success"])
    def test_an_exception_fails_the_task_for_good(self, when):
        attempts: list[int] = []

        def broken(_task: Any, _old: State, new: State) -> None:
            if type(new).__name__ == when:
                raise KeyError("odd")

        state = run_one(lambda: attempts.append(1), state_handlers=[broken], max_retries=2, retry_delay=1)
        assert type(state) is Failed
        assert isinstance(state.result, StateHandlerError)
        assert isinstance(state.result.__cause__, KeyError)
        assert len(attempts) == (0 if when == "Running" else 1)

    def test_a_task_whose_handler_fails_before_it_runs_is_reported_with_its_traceback(self, caplog):
        def broken(*_: Any) -> None:
            raise KeyError("odd")

        with caplog.at_level(logging.ERROR, "headrace"):
            run_one(lambda: 1, state_handlers=[broken])
        assert "KeyError" in caplog.text
        assert isinstance(caplog.records[0].exc_info[1], KeyError)

    def test_the_message_names_handler_and_task_and_what_it_was_told_of(self):
        def tell(*_: Any) -> None:
            raise KeyError("odd")

        state = run_one(lambda: 1, state_handlers=[tell])
        assert state.message == "State handler 'tell' of task 'one', told of Running, raised KeyError: 'odd'"

    def test_a_function_for_failures_is_named_as_well(self):
        def tell(*_: Any) -> None:
            raise KeyError("odd")

        state = run_one(fail, on_failure=tell)
        assert state.message == "State handler 'tell' of task 'one', told of Failed, raised KeyError: 'odd'"

    def test_what_is_returned_and_no_state_is_a_mistake_that_says_so(self):
        state = run_one(lambda: 1, state_handlers=[lambda *_: "done"])
        assert type(state) is Failed
        assert state.message == (
            "State handler '<lambda>' of task 'one', told of Running, returned 'done'. "
            "Return a state to end or wait in, or None to keep the new one."
        )

    def test_downstream_tasks_see_the_state_the_handler_made(self):
        def rescue(_task: Any, _old: State, new: State) -> State | None:
            return Success(result=7) if new.is_failed() else None

        with Flow("two") as flow:
            first = task(fail, name="first", state_handlers=[rescue])()
            last = task(lambda x: x, name="second")(first)
        assert flow.run(executor="local").result[last].result == 7

    def test_handlers_see_the_run_in_the_context(self):
        seen: list[Any] = []
        run_one(lambda: 1, state_handlers=[lambda *_: seen.append(context.flow_name)])
        assert seen == ["one", "one"]

    def test_a_map_whose_handler_fails_is_failed_and_so_is_the_map_over_it(self):
        def broken(_task: Any, _old: State, new: State) -> None:
            if new.is_running():
                raise KeyError("odd")

        with Flow("maps") as flow:
            first = task(lambda x: x, name="first", state_handlers=[broken]).map([1, 2])
            last = task(lambda x: x, name="last").map(first)
            total = task(lambda xs: xs, name="total")(first)
        final = flow.run(executor="local")
        assert [type(final.result[t]) for t in (first, last, total)] == [Failed, Failed, TriggerFailed]


class TestFlowHandlers:
    def flow(self, function: Any = lambda: 1, **kwargs: Any) -> Flow:
        with Flow("handled", **kwargs) as flow:
            task(function, name="t")()
        return flow

    def test_a_flow_goes_from_pending_over_running_to_its_end(self):
        steps: Steps = []
        self.flow(state_handlers=[noting(steps)]).run(executor="local")
        assert steps == [("Pending", "Running"), ("Running", "Success")]

    @pytest.mark.parametrize(
        ("option", "kind", "told"),
        [
            ("state_handlers", "State handler", "Running"),
            ("terminal_state_handler", "Terminal state handler", "Success"),
        ],
    )
    def test_a_handler_that_raises_fails_the_flow_and_is_named_and_logged(self, caplog, option, kind, told):
        def tell(*_: Any) -> None:
            raise KeyError("odd")

        options: dict[str, Any] = {option: [tell] if option == "state_handlers" else tell}
        with caplog.at_level(logging.ERROR, "headrace"):
            state = self.flow(**options).run(executor="local")
        assert type(state) is Failed
        assert state.message == f"{kind} 'tell' of flow 'handled', told of {told}, raised KeyError: 'odd'"
        (record,) = caplog.records
        assert record.getMessage() == f"Flow 'handled' failed: {state.message}"
        assert isinstance(record.exc_info[1], KeyError)

    def test_the_task_states_outlive_a_terminal_handler_that_raises(self):
        def tell(*_: Any) -> None:
            raise KeyError("odd")

        state = self.flow(terminal_state_handler=tell).run(executor="local")
        assert [found.result for found in state.result.values()] == [1]

    def test_a_signal_of_a_terminal_handler_decides(self):
        def judge(*_: Any) -> None:
            raise signals.FAIL("too few rows")

        state = self.flow(terminal_state_handler=judge).run(executor="local")
        assert (type(state), state.message) == (Failed, "too few rows")

    def test_on_failure_is_called_for_what_a_terminal_handler_makes_of_it(self):
        found: list[Any] = []
        self.flow(
            terminal_state_handler=lambda *_: Failed("judged"),
            on_failure=lambda _flow, state: found.append(state.message),
        ).run(executor="local")
        assert found == ["judged"]

    def test_on_failure_gets_the_flow_and_its_final_state(self):
        found: list[Any] = []
        flow = self.flow(fail, on_failure=lambda flow, state: found.append((flow, type(state))))
        flow.run(executor="local")
        assert found == [(flow, Failed)]

    def test_a_handler_sees_the_states_of_the_tasks_at_the_end(self):
        found: list[Any] = []

        def look(flow: Flow, _old: State, new: State) -> None:
            if new.is_finished():
                found.extend(type(state) for state in new.result.values())

        self.flow(state_handlers=[look]).run(executor="local")
        assert found == [Success]

    def test_a_handler_may_replace_the_final_state_and_the_result_stays(self):
        def fail_it(_flow: Flow, _old: State, new: State) -> State | None:
            return Failed("too late") if new.is_successful() else None

        final = self.flow(state_handlers=[fail_it]).run(executor="local")
        assert (type(final), final.message) == (Failed, "too late")
        assert [type(state) for state in final.result.values()] == [Success]

    def test_a_flow_whose_handler_fails_at_the_start_runs_no_task(self):
        called: list[int] = []

        def broken(*_: Any) -> None:
            raise KeyError("odd")

        final = self.flow(lambda: called.append(1), state_handlers=[broken]).run(executor="local")
        assert type(final) is Failed
        assert isinstance(final.result, dict)
        assert called == []


class TestObservers:
    def test_they_see_every_change_of_tasks_and_flow(self, engine, recorder):
        with Flow("watched") as flow:
            task(lambda x: x, name="t")(task(lambda: 1, name="first")())
        flow.run(executor="local", engine=engine)
        assert recorder.flows == [("watched", "Pending", "Running"), ("watched", "Running", "Success")]
        assert recorder.tasks == [
            ("first", "Pending", "Running"),
            ("first", "Running", "Success"),
            ("t", "Pending", "Running"),
            ("t", "Running", "Success"),
        ]

    def test_they_see_what_the_handlers_made_of_it(self, engine, recorder):
        def rescue(_task: Any, _old: State, new: State) -> State | None:
            return Success() if new.is_failed() else None

        with Flow("watched") as flow:
            task(fail, name="t", state_handlers=[rescue])()
        flow.run(executor="local", engine=engine)
        assert recorder.steps("t")[-1] == ("Running", "Success")

    def test_they_are_told_slug_attempt_index_and_tags(self, engine, recorder):
        def flaky(x: int) -> int:
            if context.task_run_count == 1:
                raise ValueError
            return x

        with Flow("watched") as flow:
            task(flaky, name="t", tags=["a"], max_retries=1, retry_delay=1).map([1])
        flow.run(executor="local", engine=engine)
        children = [(i.task_slug, i.map_index, i.attempt, i.tags) for i in recorder.infos if i.map_index is not None]
        assert children[0] == ("t-a-1", 0, 1, frozenset({"a"}))
        assert children[-1] == ("t-a-1", 0, 2, frozenset({"a"}))

    def test_they_are_told_how_many_children_a_map_has(self, engine, recorder):
        with Flow("watched") as flow:
            task(lambda x: x, name="t").map([1, 2, 3])
        flow.run(executor="local", engine=engine)
        counts = [i.child_count for i in recorder.infos if i.task_name == "t" and i.map_index is None]
        assert counts == [3, 3]

    def test_threads_tell_them_from_the_driving_thread_only(self):
        import threading

        from headrace.plugins import hookimpl

        class Where:
            def __init__(self) -> None:
                self.threads: set[str] = set()

            @hookimpl
            def headrace_task_state_changed(self, new: Any) -> None:
                self.threads.add(threading.current_thread().name)

        where = Where()
        with Flow("watched") as flow:
            task(lambda x: x, name="t").map([1, 2, 3])
        flow.run(executor="threads", engine=Engine(plugins=[where]))
        assert where.threads == {threading.current_thread().name}

    def test_a_broken_one_does_not_disturb_the_run(self):
        from headrace.plugins import hookimpl

        class Broken:
            @hookimpl
            def headrace_task_state_changed(self, new: Any) -> None:
                raise RuntimeError("broken observer")

        with Flow("watched") as flow:
            task(lambda x: x, name="t").map([1, 2, 3])
        assert flow.run(executor="local", engine=Engine(plugins=[Broken()])).is_successful()


class TestReports:
    def test_a_failure_is_logged_once_with_its_traceback(self, caplog):
        with caplog.at_level(logging.INFO, "headrace"):
            run_one(fail)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "'one'" in record.getMessage()
        assert record.exc_info

    def test_an_attempt_that_is_followed_by_another_is_a_warning(self, caplog):
        with caplog.at_level(logging.INFO, "headrace"):
            run_one(fail, max_retries=1, retry_delay=5)
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]

    def test_a_failed_trigger_is_not_logged_again(self, caplog):
        with Flow("two") as flow:
            task(lambda x: x, name="second")(task(fail, name="first")())
        with caplog.at_level(logging.INFO, "headrace"):
            flow.run(executor="local")
        assert len(caplog.records) == 1

    def test_a_map_that_cannot_be_made_is_logged(self, caplog):
        with Flow("map") as flow:
            task(lambda x: x, name="t").map(task(lambda: 5, name="five")())
        with caplog.at_level(logging.INFO, "headrace"):
            flow.run(executor="local")
        assert "cannot be mapped" in caplog.text

    def test_a_trigger_that_raises_is_logged(self, caplog):
        with caplog.at_level(logging.INFO, "headrace"):
            run_one(lambda: 1, trigger=lambda _states: 1 / 0)
        assert "ZeroDivisionError" in caplog.text

    def test_a_skip_is_not_logged_as_a_failure(self, caplog):
        with caplog.at_level(logging.WARNING, "headrace"):
            run_one(lambda: 1, trigger=triggers.not_all_skipped)
        assert caplog.records == []


def test_call_handlers_keeps_the_beginning_of_the_attempt_in_a_failure():
    new = Success()
    new.started = 5.0

    def broken(*_: Any) -> None:
        raise ValueError

    assert call_handlers(Task(name="t"), [broken], Running(), new).started == 5.0


def test_call_handlers_without_handlers_keeps_the_state():
    new = Success()
    assert call_handlers(None, [], Pending(), new) is new
