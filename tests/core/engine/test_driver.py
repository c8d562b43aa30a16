"""The driver: attempts, loops, pauses and executors that misbehave, through whole runs."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.engine.fakes import CountingExecutor, LosingExecutor, VirtualClock

from headrace import Engine, Flow, context, resource_manager, signals, task, triggers
from headrace.abc import ExecutorContext
from headrace.exceptions import ResultReleasedError, StateHandlerError
from headrace.states import (
    Cancelled,
    Crashed,
    Failed,
    Mapped,
    Paused,
    Pending,
    Resume,
    Retrying,
    Skipped,
    State,
    Success,
    ValidationFailed,
)
from headrace_plugins.threads import ThreadsExecutor


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> Engine:
    return Engine(clock=clock)


def only(function: Any, **task_args: Any) -> tuple[Flow, Any]:
    """Return a flow of one task that calls ``function``, and the task."""
    with Flow("only") as flow:
        last = task(function, name="only", **task_args)()
    return flow, last


def outcome(function: Any, engine: Engine | None = None, **task_args: Any) -> State:
    """Run a flow of one task and return the task's state."""
    flow, last = only(function, **task_args)
    return flow.run(executor="local", engine=engine).result[last]


class TestSignals:
    def test_success_ends_with_its_result(self):
        def run() -> None:
            raise signals.SUCCESS("early", result=5)

        state = outcome(run)
        assert (type(state), state.result, state.message) == (Success, 5, "early")

    def test_fail_ends_as_failed_without_a_result(self):
        def run() -> None:
            raise signals.FAIL("no")

        state = outcome(run)
        assert (type(state), state.result) == (Failed, None)

    def test_validationfail_ends_as_such(self):
        def run() -> None:
            raise signals.VALIDATIONFAIL("odd data")

        assert type(outcome(run)) is ValidationFailed

    def test_skip_ends_as_skipped(self):
        def run() -> None:
            raise signals.SKIP("no")

        assert type(outcome(run)) is Skipped

    def test_a_tasks_own_except_exception_lets_a_signal_pass(self):
        def run() -> int:
            try:
                raise signals.SKIP("no")
            except Exception:
                return 1

        assert type(outcome(run)) is Skipped

    def test_fail_is_retried(self, engine):
        attempts = []

        def run() -> None:
            attempts.append(1)
            raise signals.FAIL("no")

        outcome(run, engine, max_retries=2, retry_delay=1)
        assert len(attempts) == 3

    def test_endrun_ends_in_the_given_state_at_once(self):
        def run() -> None:
            raise signals.ENDRUN(Success("as given", result=3))

        state = outcome(run)
        assert (type(state), state.result) == (Success, 3)

    def test_endrun_is_not_retried(self, engine):
        attempts = []

        def run() -> None:
            attempts.append(1)
            raise signals.ENDRUN(Failed("for good"))

        assert type(outcome(run, engine, max_retries=2, retry_delay=1)) is Failed
        assert len(attempts) == 1

    def test_a_failed_upstream_task_gives_its_exception_to_one_that_runs_all_the_same(self):
        @task
        def fail():
            raise signals.FAIL("no data")

        @task
        def boom():
            raise ValueError("boom")

        @task(trigger=triggers.all_finished)
        def see(x, y):
            return x, type(y)

        with Flow("see") as flow:
            last = see(fail(), boom())
        assert flow.run(executor="local").result[last].result == (None, ValueError)

    def test_a_state_that_is_returned_is_a_value(self):
        state = outcome(lambda: Failed("just a value"))
        assert type(state) is Success
        assert state.result == Failed("just a value")

    def test_sys_exit_in_a_task_fails_the_task(self):
        def run() -> None:
            raise SystemExit(3)

        assert type(outcome(run)) is Failed


class TestRetries:
    def test_a_failed_run_is_tried_again_max_retries_times(self, engine):
        attempts = []

        def run() -> None:
            attempts.append(context.task_run_count)
            raise ValueError

        assert type(outcome(run, engine, max_retries=2, retry_delay=1)) is Failed
        assert attempts == [1, 2, 3]

    def test_it_stops_with_the_first_success(self, engine):
        def run() -> int:
            if context.task_run_count < 3:
                raise ValueError
            return context.task_run_count

        assert outcome(run, engine, max_retries=5, retry_delay=1).result == 3

    @pytest.mark.parametrize(
        ("delay", "waited"),
        [
            (10, 30),
            (timedelta(minutes=1), 180),
            ([1, 10, 100], 111),
            ([1, timedelta(seconds=10)], 21),
            (lambda retry: retry * 7, 42),
            (0, 0),
        ],
    )
    def test_the_delay_before_each_retry_is_waited(self, engine, clock, delay, waited):
        def run() -> None:
            raise ValueError

        outcome(run, engine, max_retries=3, retry_delay=delay)
        assert clock.elapsed == pytest.approx(waited)

    def test_an_hour_between_attempts_takes_no_time_under_another_clock(self, engine, clock):
        def run() -> None:
            raise ValueError

        began = time.monotonic()
        outcome(run, engine, max_retries=100, retry_delay=3600)
        assert clock.elapsed == pytest.approx(360_000)
        assert time.monotonic() - began < 5

    def test_while_one_task_waits_for_its_retry_the_others_go_on(self, engine, clock):
        moments: dict[str, float] = {}

        def note(name: str) -> None:
            moments[name] = clock.elapsed

        @task(max_retries=1, retry_delay=3600)
        def flaky():
            if context.task_run_count == 1:
                raise ValueError
            note("flaky")

        @task
        def after(x):
            note("after")

        @task
        def other():
            note("other")

        @task
        def below(x):
            note("below")

        with Flow("busy") as flow:
            after(flaky())
            below(other())
        flow.run(executor="local", engine=engine)
        assert moments == {"flaky": 3600, "after": 3600, "other": 0, "below": 0}

    def test_two_retries_wait_at_the_same_time(self, engine, clock):
        @task(max_retries=1, retry_delay=3600)
        def flaky():
            if context.task_run_count == 1:
                raise ValueError

        with Flow("both") as flow:
            flaky()
            flaky()
        assert flow.run(executor="local", engine=engine).is_successful()
        assert clock.elapsed == pytest.approx(3600)

    def test_only_the_failing_child_of_a_map_is_tried_again(self, engine):
        calls: list[int] = []

        @task(max_retries=1, retry_delay=60)
        def flaky(x):
            calls.append(x)
            if x == 1 and context.task_run_count == 1:
                raise ValueError
            return x

        with Flow("children") as flow:
            last = flaky.map([0, 1, 2])
        assert flow.run(executor="local", engine=engine).result[last].result == [0, 1, 2]
        assert calls == [0, 1, 2, 1]

    def test_the_last_state_of_an_exhausted_task_holds_the_last_error(self, engine):
        def run() -> None:
            raise ValueError(f"attempt {context.task_run_count}")

        assert str(outcome(run, engine, max_retries=1, retry_delay=1).result) == "attempt 2"

    def test_threads_wait_for_retries_too(self):
        def run() -> int:
            if context.task_run_count == 1:
                raise ValueError
            return 1

        flow, last = only(run, max_retries=1, retry_delay=0.05)
        assert flow.run(executor="threads").result[last].result == 1


class TestRetrySignal:
    def test_retry_runs_again_whatever_max_retries_says(self, engine):
        def run() -> int:
            if context.task_run_count < 4:
                raise signals.RETRY("again")
            return context.task_run_count

        assert outcome(run, engine).result == 4

    def test_retry_waits_until_its_start_time(self, engine, clock):
        def run() -> None:
            if context.task_run_count == 1:
                raise signals.RETRY(start_time=datetime.fromtimestamp(clock.now() + 900, UTC))

        outcome(run, engine)
        assert clock.elapsed == pytest.approx(900)


class TestLoops:
    def test_loop_runs_again_at_once_with_its_result(self):
        def run() -> int:
            found = context.get("task_loop_result", 0)
            if found < 3:
                raise signals.LOOP(result=found + 1)
            return found

        assert outcome(run).result == 3

    def test_the_loop_count_is_absent_first_and_then_2_3(self):
        counts: list[Any] = []

        def run() -> None:
            counts.append(context.get("task_loop_count"))
            if len(counts) < 3:
                raise signals.LOOP(result=None)

        outcome(run)
        assert counts == [None, 2, 3]

    def test_10_000_iterations_need_no_recursion(self):
        def run() -> int:
            found = context.get("task_loop_result", 0)
            if found < 10_000:
                raise signals.LOOP(result=found + 1)
            return found

        assert outcome(run).result == 10_000

    def test_each_child_of_a_map_loops_on_its_own(self):
        @task
        def count(limit):
            found = context.get("task_loop_result", 0)
            if found < limit:
                raise signals.LOOP(result=found + 1)
            return found

        with Flow("children") as flow:
            last = count.map([0, 3, 1])
        assert flow.run(executor="local").result[last].result == [0, 3, 1]

    def test_a_retry_inside_a_loop_goes_on_with_that_iteration(self, engine):
        seen: list[tuple[Any, int]] = []

        def run() -> int:
            found = context.get("task_loop_result", 0)
            seen.append((found, context.task_run_count))
            if found == 1 and context.task_run_count == 1:
                raise ValueError
            if found < 2:
                raise signals.LOOP(result=found + 1)
            return found

        assert outcome(run, engine, max_retries=1, retry_delay=1).result == 2
        assert [found for found, _ in seen] == [0, 1, 1, 2]

    def test_each_iteration_has_all_its_attempts(self, engine):
        seen: list[tuple[int, int]] = []

        def run() -> str:
            count = context.get("task_loop_count", 1)
            seen.append((count, context.task_run_count))
            if context.task_run_count == 1:
                raise ValueError
            if count < 3:
                raise signals.LOOP
            return "done"

        assert outcome(run, engine, max_retries=1, retry_delay=1).result == "done"
        assert seen == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]

    def test_downstream_tasks_wait_for_the_last_iteration(self):
        @task
        def count():
            found = context.get("task_loop_result", 0)
            if found < 2:
                raise signals.LOOP(result=found + 1)
            return found

        @task
        def after(x):
            return x

        with Flow("after") as flow:
            last = after(count())
        assert flow.run(executor="local").result[last].result == 2


class TestPauses:
    def test_a_pause_for_ever_ends_the_run_as_paused(self):
        def run() -> None:
            raise signals.PAUSE("ask somebody")

        flow, last = only(run)
        final = flow.run(executor="local")
        assert type(final) is Paused
        assert type(final.result[last]) is Paused

    def test_what_follows_a_paused_task_stays_pending(self):
        @task
        def after(x):
            return x

        with Flow("after") as flow:
            paused = task(lambda: 1, trigger=triggers.manual_only, name="ask")()
            last = after(paused)
        assert type(flow.run(executor="local").result[last]) is Pending

    def test_everything_else_runs_to_its_end(self):
        with Flow("others") as flow:
            task(lambda: 1, trigger=triggers.manual_only, name="ask")()
            other = task(lambda: 2, name="other")()
        assert flow.run(executor="local").result[other].result == 2

    def test_a_pause_with_a_start_time_is_waited_for_and_then_the_task_runs_again(self, engine, clock):
        def run() -> int:
            if not context.resume:
                raise signals.PAUSE(start_time=datetime.fromtimestamp(clock.now() + 60, UTC))
            return 1

        assert outcome(run, engine).result == 1
        assert clock.elapsed == pytest.approx(60)

    def test_a_resumed_task_passes_manual_only(self):
        flow, last = only(lambda: 1, trigger=triggers.manual_only)
        assert flow.run(executor="local", task_states={last: Resume()}).result[last].result == 1

    def test_a_paused_run_goes_on_from_its_states(self):
        calls: list[str] = []

        @task
        def before():
            calls.append("before")
            return 1

        @task(trigger=triggers.manual_only)
        def ask(x):
            calls.append("ask")
            return x

        with Flow("two parts") as flow:
            asked = ask(before())
        states = flow.run(executor="local").result
        final = flow.run(executor="local", task_states={**states, asked: Resume()})
        assert final.is_successful()
        assert calls == ["before", "ask"]


class TestRaiseOnException:
    """What ``context.raise_on_exception`` does."""

    def test_the_exception_of_a_task_comes_out_of_the_run(self):
        def run() -> None:
            raise KeyError("odd")

        flow, _ = only(run)
        with context(raise_on_exception=True), pytest.raises(KeyError, match="odd") as caught:
            flow.run(executor="local")
        assert caught.traceback[-1].name == "run"

    def test_it_may_be_given_to_the_run(self):
        flow, _ = only(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            flow.run(executor="local", context={"raise_on_exception": True})

    def test_the_first_attempt_counts(self, engine):
        attempts: list[int] = []

        def run() -> None:
            attempts.append(1)
            raise KeyError

        flow, _ = only(run, max_retries=3, retry_delay=1)
        with context(raise_on_exception=True), pytest.raises(KeyError):
            flow.run(executor="local", engine=engine)
        assert attempts == [1]

    def test_nothing_else_begins_but_what_cleans_up(self):
        log: list[str] = []

        class Connection:
            def setup(self) -> None:
                log.append("setup")

            def cleanup(self, connection: object) -> None:
                log.append("cleanup")

        manager = resource_manager(Connection)
        with Flow("f") as flow:
            with manager() as connection:
                used = task(lambda c: 1 / 0, name="use")(connection)
            other = task(lambda: log.append("other"), name="other", trigger=triggers.always_run)
            other(upstream_tasks=[used])
        with context(raise_on_exception=True), pytest.raises(ZeroDivisionError):
            flow.run(executor="local")
        assert log == ["setup", "cleanup"]

    def test_a_fail_signal_comes_out_as_itself(self):
        def run() -> None:
            raise signals.FAIL("not today")

        flow, _ = only(run)
        with context(raise_on_exception=True), pytest.raises(signals.FAIL, match="not today"):
            flow.run(executor="local")

    def test_what_a_trigger_or_a_handler_raises_comes_out_too(self):
        def broken(*_: Any) -> Any:
            raise KeyError("odd")

        with context(raise_on_exception=True):
            with pytest.raises(KeyError):
                outcome(lambda: 1, trigger=broken)
            with pytest.raises(StateHandlerError):
                outcome(lambda: 1, state_handlers=[broken])

    def test_other_signals_and_refusing_triggers_raise_nothing(self):
        def skip() -> None:
            raise signals.SKIP

        with context(raise_on_exception=True):
            assert outcome(skip).is_skipped()
            assert outcome(lambda: 1, trigger=lambda states: False).is_failed()

    def test_the_flow_is_told_that_it_was_cancelled(self):
        told: list[str] = []
        flow, _ = only(lambda: 1 / 0)
        flow.state_handlers.append(lambda flow, old, new: told.append(type(new).__name__))
        with context(raise_on_exception=True), pytest.raises(ZeroDivisionError):
            flow.run(executor="local")
        assert told == ["Running", "Cancelled"]


class TestStatesBroughtAlong:
    def test_a_finished_task_does_not_run(self):
        calls: list[int] = []
        flow, last = only(lambda: calls.append(1))
        state = flow.run(executor="local", task_states={last: Success(result=9)}).result[last]
        assert (state.result, calls) == (9, [])

    def test_a_failed_state_fails_those_downstream(self):
        @task
        def after(x):
            return x

        with Flow("after") as flow:
            first = task(lambda: 1, name="first")()
            after(first)
        assert flow.run(executor="local", task_states={first: Failed("before")}).is_failed()

    def test_a_retrying_state_waits_for_its_moment(self, engine, clock):
        flow, last = only(lambda: context.task_run_count)
        moment = datetime.fromtimestamp(clock.now() + 60, UTC)
        states = {last: Retrying(start_time=moment, run_count=1)}
        assert flow.run(executor="local", engine=engine, task_states=states).result[last].result == 2
        assert clock.elapsed == pytest.approx(60)

    def test_a_mapped_state_keeps_its_children(self):
        @task
        def double(x):
            return 2 * x

        @task
        def add(xs):
            return sum(xs)

        with Flow("children") as flow:
            last = double.map([1, 2])
            total = add(last)
        states = {last: Mapped(map_states=[Success(result=10), Success(result=20)])}
        assert flow.run(executor="local", task_states=states).result[total].result == 30

    def test_a_released_value_fails_the_task_that_would_read_it(self):
        @task
        def make():
            return [0] * 100

        @task
        def after(x):
            return x

        with Flow("released") as flow:
            first = make()
            last = after(first)
        states = flow.run(executor="local", keep_results="none").result
        state = flow.run(executor="local", task_states={first: states[first]}).result[last]
        assert type(state) is Failed
        assert isinstance(state.result, ResultReleasedError)


class TestExecutors:
    def test_an_executor_is_started_once_and_stopped(self):
        executor = CountingExecutor()
        flow, _ = only(lambda: 1)
        flow.run(executor=executor)
        (seen,) = executor.contexts
        assert isinstance(seen, ExecutorContext)
        assert (seen.flow_name, seen.task_count, executor.stopped) == ("only", 1, 1)

    def test_an_executor_can_be_used_again(self):
        executor = CountingExecutor()
        flow, _ = only(lambda: 1)
        flow.run(executor=executor)
        assert flow.run(executor=executor).is_successful()
        assert executor.stopped == 2

    def test_an_executor_never_has_more_than_its_capacity(self):
        class Narrow(ThreadsExecutor):
            most = now = 0
            lock = threading.Lock()

            def submit(self, work: Any, deliver: Any) -> None:
                with self.lock:
                    self.now += 1
                    self.most = max(self.most, self.now)

                def delivered(outcome: Any) -> None:
                    with self.lock:
                        self.now -= 1
                    deliver(outcome)

                super().submit(work, delivered)

        executor = Narrow(workers=2)
        with Flow("many") as flow:
            task(lambda x: x, name="t").map(list(range(50)))
        assert flow.run(executor=executor).is_successful()
        assert executor.most <= executor.capacity

    def test_work_that_an_executor_loses_ends_as_crashed(self):
        flow, last = only(lambda: 1)
        state = flow.run(executor=LosingExecutor()).result[last]
        assert type(state) is Crashed
        assert isinstance(state.result, OSError)

    def test_lost_work_is_retried(self, engine):
        flow, last = only(lambda: 1, max_retries=2, retry_delay=1)
        executor = LosingExecutor()
        assert type(flow.run(executor=executor, engine=engine).result[last]) is Crashed

    def test_an_executor_that_refuses_work_fails_the_task_and_not_the_run(self):
        class Refusing(CountingExecutor):
            def submit(self, work: Any, deliver: Any) -> None:
                raise OSError("no room")

        flow, last = only(lambda: 1)
        assert type(flow.run(executor=Refusing()).result[last]) is Crashed

    def test_an_outcome_that_is_delivered_twice_counts_once(self):
        class Stuttering(CountingExecutor):
            def submit(self, work: Any, deliver: Any) -> None:
                done = work()
                deliver(done)
                deliver(done)

        @task
        def after(x):
            return x

        with Flow("twice") as flow:
            last = after(after(task(lambda: 1, name="first")()))
        assert flow.run(executor=Stuttering()).result[last].result == 1

    def test_constants_and_parameters_need_no_executor(self):
        executor = CountingExecutor()
        with Flow("constants") as flow:
            task(lambda x: x, name="t").map([1, 2])
        flow.run(executor=executor)
        assert executor.submitted == ["t[0]", "t[1]"]


class TestMemory:
    """Values are let go after their last reader."""

    class Big:
        pass

    @pytest.mark.parametrize("executor", ["local", "threads"])
    def test_a_value_is_gone_once_its_last_reader_has_finished(self, executor):
        made: list[weakref.ref[Any]] = []
        alive: list[int] = []

        @task
        def make(_before=None):
            big = self.Big()
            made.append(weakref.ref(big))
            return big

        @task
        def read(big):
            return len(made)

        @task
        def count(_x):
            time.sleep(0.01)
            gc.collect()
            alive.append(sum(ref() is not None for ref in made))
            return 0

        with Flow("memory") as flow:
            last = None
            for _ in range(5):
                last = count(read(make(last)))
        assert flow.run(executor=executor, keep_results="none").is_successful()
        assert alive == [0] * 5

    def test_the_elements_of_a_list_are_gone_once_the_map_over_them_has_finished(self):
        made: list[weakref.ref[Any]] = []
        alive: list[int] = []

        @task
        def make():
            bigs = [self.Big() for _ in range(3)]
            made.extend(map(weakref.ref, bigs))
            return bigs

        @task
        def read(big):
            return 1

        @task
        def count(_x):
            gc.collect()
            alive.append(sum(ref() is not None for ref in made))

        with Flow("memory") as flow:
            count(read.map(make()))
        assert flow.run(executor="local", keep_results="none").is_successful()
        assert alive == [0]

    def test_a_childs_value_is_gone_before_the_next_child_begins(self):
        made: list[weakref.ref[Any]] = []
        alive: list[int] = []

        @task
        def make(_i):
            gc.collect()
            alive.append(sum(ref() is not None for ref in made))
            big = self.Big()
            made.append(weakref.ref(big))
            return big

        @task
        def read(big):
            return 1

        with Flow("memory") as flow:
            read.map(make.map([1, 2, 3, 4]))
        assert flow.run(executor="local", keep_results="none").is_successful()
        assert alive == [0, 0, 0, 0]

    def test_a_value_that_nobody_reads_stays(self):
        flow, last = only(lambda: [1] * 1000)
        assert flow.run(executor="local", keep_results="none").result[last].result == [1] * 1000


@pytest.mark.parametrize(("executor", "length"), [("local", 50_000), ("threads", 10_000)])
def test_a_long_chain_needs_no_recursion(executor, length):
    @task
    def follow(x):
        return x

    with Flow("long") as flow:
        last = task(lambda: 1, name="first")()
        for _ in range(length - 1):
            last = follow(last)
    assert flow.run(executor=executor).result[last].result == 1


def test_nothing_is_cancelled_in_a_run_that_ends_by_itself():
    flow, last = only(lambda: context.cancel_requested)
    state = flow.run(executor="local").result[last]
    assert not isinstance(state, Cancelled)
    assert state.result is False


def test_a_state_knows_how_earlier_attempts_ended():
    @task(max_retries=2, retry_delay=0)
    def count() -> int:
        if context.task_run_count < 3:
            raise ValueError(context.task_run_count)
        return context.task_run_count

    with Flow("f") as flow:
        counted = count()
    state = flow.run().result[counted]
    assert state.result == 3
    assert [(type(attempt), attempt.result.args) for attempt in state.attempts] == [(Failed, (1,)), (Failed, (2,))]
    assert state.attempts[1].attempts == state.attempts[:1]
