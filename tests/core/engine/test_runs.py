"""``flow.run()`` from its arguments to the final state."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from tests.core.engine.fakes import CountingExecutor, FakePlugins, FolderStore, Recorder
from tests.core.engine.test_values import merged

from headrace import Engine, Flow, Parameter, context, resource_manager, signals, task, triggers
from headrace.engine.runs import new_run_id
from headrace.exceptions import (
    CycleError,
    DefinitionTypeError,
    FlowDefinitionError,
    MissingParameterError,
    PluginNotFoundError,
    PluginOptionError,
    UnknownParameterError,
)
from headrace.states import Cancelled, Failed, Paused, State, Success, TriggerFailed
from headrace_plugins.threads import ThreadsExecutor


@task
def good() -> int:
    return 1


@task
def bad() -> int:
    raise ValueError("bad")


@task
def take(x: Any = None) -> Any:
    return x


class TestParameters:
    def flow(self, *parameters: Parameter) -> tuple[Flow, Any]:
        with Flow("parameters") as flow:
            last = take(list(parameters))
        return flow, last

    def test_a_value_may_be_given_by_keyword_or_in_a_mapping(self):
        flow, last = self.flow(Parameter("a"), Parameter("b"))
        assert flow.run({"a": 1}, b=2).result[last].result == [1, 2]

    def test_a_keyword_wins_over_the_mapping(self):
        flow, last = self.flow(Parameter("a"))
        assert flow.run({"a": 1}, a=2).result[last].result == [2]

    def test_the_callers_mapping_is_left_alone(self):
        given = {"a": 1}
        flow, _ = self.flow(Parameter("a"), Parameter("b"))
        flow.run(given, b=2)
        assert given == {"a": 1}

    def test_a_default_serves_when_nothing_is_given(self):
        flow, last = self.flow(Parameter("a", default=5), Parameter("b", default=None))
        assert flow.run().result[last].result == [5, None]

    def test_none_is_a_value(self):
        flow, last = self.flow(Parameter("a", default=5))
        assert flow.run(a=None).result[last].result == [None]

    def test_a_missing_one_is_named_before_anything_runs(self):
        calls: list[int] = []
        with Flow("missing") as flow:
            task(lambda: calls.append(1), name="t")()
            take(Parameter("day"))
        with pytest.raises(MissingParameterError, match="day"):
            flow.run()
        assert calls == []

    def test_an_unknown_one_is_named_with_the_nearest_known(self):
        flow, _ = self.flow(Parameter("year", default=1))
        with pytest.raises(UnknownParameterError, match=r"yaer.*year"):
            flow.run(yaer=2)

    def test_an_unknown_one_in_the_mapping_is_an_error_too(self):
        flow, _ = self.flow(Parameter("year", default=1))
        with pytest.raises(UnknownParameterError, match="yaer"):
            flow.run({"yaer": 2})

    def test_a_parameter_may_have_the_name_of_an_option(self):
        flow, last = self.flow(Parameter("run_name"))
        assert flow.run(run_name="mine").result[last].result == ["mine"]

    def test_tasks_see_all_values_in_the_context(self):
        with Flow("parameters") as flow:
            Parameter("a", default=1)()
            last = task(lambda: dict(context.parameters), name="t")()
        assert flow.run(a=4).result[last].result == {"a": 4}


class TestOptions:
    @pytest.mark.parametrize("option", ["parameters", "context", "task_states"])
    @pytest.mark.parametrize("wrong", [5, [1], "ab"])
    def test_dictionaries_are_asked_for_by_name(self, option, wrong):
        with pytest.raises(DefinitionTypeError, match=f"`{option}` of a run must be a dictionary"):
            Flow("options").run(**{option: wrong})

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("latest", "cannot be called 'latest'"),
            ("two\nlines", r"'\\n'"),
            ("a\x00b", r"'\\x00'"),
            ("a\u2028b", r"'\\u2028'"),
            ("half \ud800", r"'\\ud800'"),
            ("x" * 201, "may have 200 characters, and 'x+'... has 201"),
        ],
    )
    def test_a_name_that_a_run_cannot_be_found_by_is_refused(self, name, said):
        ran = []
        with Flow("options") as flow:
            task(lambda: ran.append(1))()
        with pytest.raises(FlowDefinitionError, match=said):
            flow.run(run_name=name)
        assert ran == []

    @pytest.mark.parametrize("name", ["the latest", "x" * 200, "größe 3 👩\u200d🔬", "a.2"])
    def test_any_other_line_is_a_name(self, name):
        assert Flow("options").run(run_name=name).is_successful()

    def test_a_name_is_a_text(self):
        with pytest.raises(DefinitionTypeError, match="`run_name` of a run must be a text, and is 5"):
            Flow("options").run(run_name=5)

    def test_a_state_to_start_from_is_a_state(self):
        with pytest.raises(DefinitionTypeError, match="`state` of a run must be a State, and is 'Success'"):
            Flow("options").run(state="Success")

    @pytest.mark.parametrize("wrong", ["log:", True])
    def test_notifiers_are_a_list_of_urls(self, wrong):
        with pytest.raises(DefinitionTypeError, match="`notify` of a run must be a list of URLs"):
            Flow("options").run(notify=wrong)

    def test_what_answers_pauses_is_callable(self):
        with pytest.raises(DefinitionTypeError, match="`on_pause` of a run must be callable, and is 3"):
            Flow("options").run(on_pause=3)

    def test_a_finished_state_is_returned_as_it_is(self):
        with Flow("options") as flow:
            bad()
        done = Success("Done by hand.")
        assert flow.run(state=done) is done

    def test_an_unfinished_state_without_task_states_begins_at_the_beginning(self):
        with Flow("options") as flow:
            good()
        assert type(flow.run(state=Paused())) is Success


class TestFinalState:
    def final(self, *tasks: Any, **kwargs: Any) -> State:
        with Flow("final", **kwargs) as flow:
            for each in tasks:
                each()
        return flow.run()

    def test_an_empty_flow_succeeds(self):
        final = Flow("empty").run()
        assert (type(final), final.result) == (Success, {})

    def test_it_holds_the_state_of_every_task(self):
        with Flow("states") as flow:
            first, second = good(), bad()
        assert {each: type(state) for each, state in flow.run().result.items()} == {first: Success, second: Failed}

    def test_one_failed_reference_task_fails_the_run(self):
        assert type(self.final(good, bad)) is Failed

    def test_a_failure_that_is_dealt_with_does_not(self):
        with Flow("dealt with") as flow:
            take(upstream_tasks=[bad()], task_args={"trigger": triggers.any_failed})
        assert type(flow.run()) is Success

    def test_reference_tasks_may_be_chosen(self):
        with Flow("chosen") as flow:
            important = good()
            bad()
        flow.set_reference_tasks([important])
        assert type(flow.run()) is Success

    def test_a_skipped_reference_task_is_a_success(self):
        assert type(self.final(task(lambda: (_ for _ in ()).throw(signals.SKIP()), name="skip"))) is Success

    def test_one_failed_child_fails_the_run(self):
        with Flow("child") as flow:
            task(lambda x: 1 // x, name="t").map([1, 0])
        assert type(flow.run()) is Failed

    def test_a_waiting_task_makes_it_paused_even_if_it_is_no_reference_task(self):
        with Flow("waits") as flow:
            important = good()
            good(task_args={"trigger": triggers.manual_only})
        flow.set_reference_tasks([important])
        assert type(flow.run()) is Paused

    def test_a_reference_task_that_was_cancelled_before_is_no_failure(self):
        with Flow("before") as flow:
            last = good()
        assert type(flow.run(task_states={last: Cancelled()})) is Success

    def test_it_knows_how_long_the_run_took(self):
        duration = self.final(good).duration
        assert duration is not None
        assert 0 <= duration < 5

    def test_a_terminal_state_handler_may_replace_it(self):
        def judge(flow: Flow, state: State, reference: dict[Any, State]) -> State | None:
            return Failed("judged") if len(reference) == 2 else None

        final = self.final(good, good, terminal_state_handler=judge)
        assert (type(final), final.message, len(final.result)) == (Failed, "judged", 2)

    def test_a_terminal_state_handler_may_keep_it(self):
        assert type(self.final(good, terminal_state_handler=lambda *_: None)) is Success


class TestExecutors:
    def where(self, executor: Any = None, engine: Any = None, flow_executor: Any = None) -> str:
        with Flow("where", executor=flow_executor) as flow:
            last = task(lambda: threading.current_thread().name, name="t")()
        return str(flow.run(executor=executor, engine=engine).result[last].result)

    def test_by_default_tasks_run_in_the_calling_thread(self):
        assert self.where() == threading.current_thread().name

    def test_run_says_which_by_name(self):
        assert "worker" in self.where("threads")

    def test_the_flow_says_which(self):
        assert "worker" in self.where(flow_executor="threads")

    def test_run_wins_over_the_flow(self):
        assert self.where("local", flow_executor="threads") == threading.current_thread().name

    def test_the_configuration_says_which_and_with_which_options(self):
        config = merged({"engine": {"executor": "threads", "executors": {"threads": {"workers": 1}}}})
        assert self.where(engine=Engine(config=config)).endswith("worker-0")

    def test_an_object_serves_as_it_is(self):
        executor = CountingExecutor()
        self.where(executor)
        assert executor.submitted == ["t"]

    def test_an_unknown_name_lists_the_installed_ones_and_the_nearest(self):
        with pytest.raises(PluginNotFoundError, match=r"'thread'.*Did you mean 'threads'.*local, processes, threads"):
            self.where("thread")

    def test_what_is_neither_a_name_nor_an_executor_is_an_error(self):
        with pytest.raises(DefinitionTypeError, match="Executor"):
            self.where(object())

    def test_no_name_is_not_the_configured_one(self):
        with pytest.raises(PluginNotFoundError, match="No executor named ''"):
            self.where("")

    def test_a_class_instead_of_an_executor_says_how_to_make_one(self):
        with pytest.raises(DefinitionTypeError, match=r"Make one: `CountingExecutor\(\)`"):
            self.where(CountingExecutor)

    def test_an_unknown_option_is_an_error_that_names_it(self):
        config = merged({"engine": {"executor": "threads", "executors": {"threads": {"wrokers": 1}}}})
        with pytest.raises(PluginOptionError, match="wrokers"):
            self.where(engine=Engine(config=config))

    @pytest.mark.parametrize("given", ["many", 2.5, True, [1]])
    def test_an_option_of_a_wrong_type_is_an_error_that_says_what_was_found_and_expected(self, given):
        config = merged({"engine": {"executor": "threads", "executors": {"threads": {"workers": given}}}})
        expected = f"'workers' of the executor 'threads' of .* expects a whole number.*{re.escape(repr(given))}"
        with pytest.raises(PluginOptionError, match=expected):
            self.where(engine=Engine(config=config))


class TestMistakes:
    """Each is raised before the flow enters Running."""

    def assert_nothing_began(self, flow: Flow, error: type[Exception], **kwargs: Any) -> None:
        recorder = Recorder()
        with pytest.raises(error):
            flow.run(engine=Engine(plugins=[recorder]), **kwargs)
        assert recorder.flows == []

    def test_a_cycle(self):
        flow = Flow("circle")
        first, second = take.copy(), take.copy()
        flow.add_edge(first, second)
        flow.add_edge(second, first)
        self.assert_nothing_began(flow, CycleError)

    def test_a_run_inside_its_own_with_block(self):
        with Flow("inside") as flow:
            good()
            self.assert_nothing_began(flow, FlowDefinitionError)

    def test_states_of_a_task_of_another_flow(self):
        with Flow("other"):
            other = good()
        with Flow("mine") as flow:
            good()
        self.assert_nothing_began(flow, DefinitionTypeError, task_states={other: Success()})

    def test_a_store_that_is_not_installed(self):
        with Flow("store") as flow:
            good()
        self.assert_nothing_began(flow, PluginNotFoundError, results="nowhere:x")

    def test_a_notifier_that_is_not_installed(self):
        with Flow("notify") as flow:
            good()
        self.assert_nothing_began(flow, PluginNotFoundError, notify=["nowhere:x"])

    def test_an_option_that_does_not_exist(self):
        with Flow("option") as flow:
            good()
        self.assert_nothing_began(flow, UnknownParameterError, keep_result="all")

    def test_a_policy_that_does_not_exist(self):
        with Flow("policy") as flow:
            good()
        self.assert_nothing_began(flow, ValueError, keep_results="everything")


class TestContext:
    def seen(self, name: str, **kwargs: Any) -> Any:
        with Flow("seen") as flow:
            last = task(lambda: context.get(name), name="t")()
        return flow.run(**kwargs).result[last].result

    def test_tasks_see_the_names_and_the_id_of_the_run(self):
        assert self.seen("flow_name") == "seen"
        assert len(self.seen("flow_run_id")) == 36
        assert self.seen("flow_run_name").startswith("seen-")

    def test_the_run_may_be_named(self):
        assert self.seen("flow_run_name", run_name="nightly") == "nightly"

    def test_values_of_the_caller_are_seen_by_tasks(self):
        assert self.seen("colour", context={"colour": "red"}) == "red"

    def test_a_surrounding_context_is_seen_too(self):
        with context(colour="red"):
            assert self.seen("colour") == "red"

    def test_a_surrounding_context_is_seen_in_worker_threads(self):
        with context(colour="red"):
            assert self.seen("colour", executor="threads") == "red"

    def test_nothing_is_left_behind(self):
        self.seen("flow_name")
        assert "flow_name" not in context

    def test_every_run_has_an_id_of_its_own(self):
        assert self.seen("flow_run_id") != self.seen("flow_run_id")


class TestStoredResults:
    def test_each_result_has_a_location_by_run_task_and_child(self, tmp_path):
        with Flow("Stored results") as flow:
            one = good()
            many = task(lambda x: x, name="many").map([1, 2])
        states = flow.run(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()])).result
        locations = [states[one].location, *[state.location for state in states[many].map_states]]
        assert len(set(locations)) == 3
        assert all(FolderStore(f"folder:{tmp_path}").exists(location) for location in locations)

    def test_a_task_without_checkpoint_is_not_stored(self, tmp_path):
        with Flow("stored") as flow:
            last = good(task_args={"checkpoint": False})
        states = flow.run(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()])).result
        assert (states[last].location, list(tmp_path.iterdir())) == (None, [])

    def test_the_flow_may_name_the_store(self, tmp_path):
        with Flow("stored", results=f"folder:{tmp_path}") as flow:
            last = good()
        assert flow.run(engine=Engine(plugins=[FakePlugins()])).result[last].location is not None

    def test_the_configuration_may_name_the_store(self, tmp_path):
        with Flow("stored") as flow:
            last = good()
        engine = Engine(plugins=[FakePlugins()], config=merged({"results": {"store": f"folder:{tmp_path}"}}))
        assert flow.run(engine=engine).result[last].location is not None

    @pytest.mark.parametrize("store", ["file:results", "memory:"])
    def test_the_stores_that_ship_give_released_results_back(self, store, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with Flow("stored") as flow:
            first = task(lambda: [1, 2, 3], name="first")()
            take(first)
        assert flow.run(results=store, keep_results="none").result[first].result == [1, 2, 3]

    def test_two_runs_do_not_overwrite_each_other(self, tmp_path):
        with Flow("stored") as flow:
            last = good()
        found = {
            flow.run(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()])).result[last].location
            for _ in range(2)
        }
        assert len(found) == 2

    def test_a_store_that_fails_fails_the_task_and_the_next_attempt_may_succeed(self, tmp_path):
        with Flow("stored") as flow:
            last = good()
        state = flow.run(results=f"broken:{tmp_path}", engine=Engine(plugins=[FakePlugins()])).result[last]
        assert type(state) is Failed
        assert isinstance(state.result, OSError)

    def test_a_result_that_cannot_be_serialized_fails_the_task(self, tmp_path):
        @task
        def lock():
            return threading.Lock()

        with Flow("stored") as flow:
            last = lock()
        state = flow.run(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()])).result[last]
        assert type(state) is Failed
        assert isinstance(state.result, TypeError)

    def test_threads_store_results_too(self, tmp_path):
        with Flow("stored") as flow:
            last = task(lambda x: x, name="t").map(list(range(20)))
        engine = Engine(plugins=[FakePlugins()])
        states = flow.run(results=f"folder:{tmp_path}", engine=engine, executor="threads").result
        assert all(state.location for state in states[last].map_states)


class TestManyRuns:
    def test_a_flow_can_be_run_again(self):
        with Flow("again") as flow:
            last = take(Parameter("x"))
        assert [flow.run(x=x).result[last].result for x in (1, 2)] == [1, 2]

    @pytest.mark.parametrize("executor", ["local", "threads"])
    def test_two_threads_can_run_one_flow_at_once(self, executor):
        together = threading.Barrier(2, timeout=20)

        with Flow("twice") as flow:
            x = Parameter("x")
            waited = task(lambda x: (together.wait() and x) or x, name="wait")(x)
            last = task(lambda a, b: a + b, name="add").map(
                task(lambda x: [x] * 50, name="list")(waited), list(range(50))
            )
        found: dict[int, Any] = {}

        def run(value: int) -> None:
            found[value] = flow.run(x=value, executor=executor).result[last].result

        threads = [threading.Thread(target=run, args=(value,)) for value in (100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {value: [value + i for i in range(50)] for value in (100, 200)}

    def test_a_run_inside_a_task_of_another_run(self):
        with Flow("inner") as inner:
            inner_last = task(lambda: context.flow_name, name="t")()
        with Flow("outer") as outer:
            last = task(lambda: (inner.run().result[inner_last].result, context.flow_name), name="t")()
        assert outer.run().result[last].result == ("inner", "outer")

    def test_a_run_inside_the_block_of_another_flow(self):
        with Flow("inner") as inner:
            good()
        with Flow("outer"):
            assert inner.run().is_successful()

    def test_one_engine_serves_several_runs_and_is_told_once(self):
        from headrace.plugins import hookimpl

        class Life:
            def __init__(self) -> None:
                self.events: list[str] = []

            @hookimpl
            def headrace_engine_started(self) -> None:
                self.events.append("started")

            @hookimpl
            def headrace_engine_stopping(self) -> None:
                self.events.append("stopping")

        life = Life()
        with Flow("again") as flow:
            good()
        with Engine(plugins=[life]) as engine:
            flow.run(engine=engine)
            flow.run(engine=engine)
            assert life.events == ["started"]
        assert life.events == ["started", "stopping"]

    def test_run_ids_are_random_version_4_uuids(self):
        import uuid

        found = {new_run_id() for _ in range(100)}
        assert len(found) == 100
        assert {uuid.UUID(text).version for text in found} == {4}
        assert {uuid.UUID(text).variant for text in found} == {uuid.RFC_4122}


class TestBrokenParts:
    """A run that breaks off leaves no thread, started executor or context behind."""

    def flow(self) -> Flow:
        with Flow("broken") as flow:
            task(lambda x: x, name="t").map(list(range(100)))
        return flow

    def test_an_executor_that_cannot_start(self):
        class Refusing(CountingExecutor):
            def start(self, context: Any, stack: Any) -> None:
                super().start(context, stack)
                raise OSError("no cluster")

        executor = Refusing()
        with pytest.raises(OSError, match="no cluster"):
            self.flow().run(executor=executor)
        assert executor.stopped == 1

    def test_an_observer_in_strict_mode(self):
        from headrace.plugins import hookimpl

        class Broken:
            @hookimpl
            def headrace_task_state_changed(self, task_run: Any) -> None:
                if task_run.name == "t[50]":
                    raise RuntimeError("broken observer")

        before = set(threading.enumerate())
        with pytest.raises(RuntimeError, match="broken observer"):
            self.flow().run(executor="threads", engine=Engine(plugins=[Broken()], strict=True))
        assert set(threading.enumerate()) <= before
        assert "flow_name" not in context


class TestResources:
    """Cleaned up whatever happens to the tasks that use them."""

    def run(self, body: Any, fail_setup: bool = False) -> tuple[list[str], State]:
        events: list[str] = []

        @resource_manager
        class Server:
            def setup(self) -> str:
                events.append("setup")
                if fail_setup:
                    raise OSError("port taken")
                return "server"

            def cleanup(self, server: str) -> None:
                events.append(f"cleanup {server}")

        manager: Any = Server
        with Flow("resources") as flow, manager() as server:
            body(server, events)
        return events, flow.run()

    def test_after_success(self):
        def body(server: Any, events: list[str]) -> None:
            task(lambda s: events.append(f"use {s}"), name="use")(server)

        assert self.run(body)[0] == ["setup", "use server", "cleanup server"]

    def test_after_failure_and_the_run_is_failed(self):
        def body(server: Any, events: list[str]) -> None:
            bad(upstream_tasks=[server])

        events, final = self.run(body)
        assert (events, type(final)) == (["setup", "cleanup server"], Failed)

    def test_not_if_it_was_never_set_up(self):
        def body(server: Any, events: list[str]) -> None:
            task(lambda s: events.append("use"), name="use")(server)

        events, final = self.run(body, fail_setup=True)
        assert (events, type(final)) == (["setup"], Failed)
        assert TriggerFailed in {type(state) for state in final.result.values()}


@pytest.mark.parametrize("executor", ["local", ThreadsExecutor(2)], ids=["local", "threads"])
def test_a_keyboard_interrupt_out_of_a_task_cancels_the_run(executor):
    recorder = Recorder()
    with Flow("interrupted") as flow:
        first = task(lambda: (_ for _ in ()).throw(KeyboardInterrupt()), name="first")()
        take(first)
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=executor, engine=Engine(plugins=[recorder]))
    assert recorder.flows[-1] == ("interrupted", "Running", Cancelled.__name__)
    assert recorder.steps("first")[-1][1] == "Cancelled"
    assert recorder.steps("take") == [("Pending", "Cancelled")]


class TestWhatExecutorsAreTold:
    def test_how_deep_each_task_lies_and_where_results_go(self):
        """An executor knows what to finish first, and what is needed where tasks run besides headrace itself."""
        told = []

        class Curious(CountingExecutor):
            def start(self, context, stack):
                told.append(context)
                super().start(context, stack)

        with Flow("deep") as flow:
            last = take(take(good()))
        flow.run(executor=Curious())
        (given,) = told
        assert given.depth_of(flow.slugs[last]) == 2
        assert given.plugins == {}
