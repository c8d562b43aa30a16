"""Flows, section 3 of the classic reference."""

from __future__ import annotations

import inspect
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, case, config, context, resource_manager, signals, task, testing, unmapped
from headrace.edges import Edge
from headrace.exceptions import CycleError, DefinitionTypeError, DuplicateKeyError, FlowDefinitionError
from headrace.schedules import Schedule
from headrace.schedules.clocks import DatesClock
from headrace.states import Cancelled, Failed, Paused, Pending, Resume, Retrying, State, Success
from headrace.values import Constant
from headrace.visualize import FORMATS


@task
def echo(x=None):
    return x


@task
def broken():
    raise ValueError("no")


@task
def skip():
    raise signals.SKIP


class Two(Task):
    def run(self, x=None, y=None):
        return x, y


def chained(names: str) -> tuple[Flow, list[Task]]:
    flow = Flow("f")
    tasks: list[Task] = [Two(name=name) for name in names]
    flow.chain(*tasks)
    return flow, tasks


def names_of(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


# 3.1 Constructor and basics


@pytest.mark.parametrize(
    "argument",
    [
        *("name", "schedule", "executor", "tasks", "edges", "reference_tasks", "state_handlers"),
        *("on_failure", "validate", "result", "terminal_state_handler"),
    ],
)
def test_the_constructor_takes_the_classic_arguments_by_name(argument):
    assert argument in names_of(Flow)


def test_name_and_schedule_may_be_given_by_position_and_nothing_else():
    """A departure: the classic constructor takes all its arguments by position."""
    schedule = Schedule([DatesClock([datetime(2026, 1, 1, tzinfo=UTC)])])
    assert Flow("f", schedule).schedule is schedule
    with pytest.raises(TypeError):
        Flow("f", None, "threads")  # type: ignore[call-arg]


def test_a_flow_has_the_classic_attributes():
    flow = Flow("daily", executor="threads", result="file:kept")
    assert (flow.name, flow.schedule, flow.executor, flow.result) == ("daily", None, "threads", "file:kept")
    assert (flow.state_handlers, flow.terminal_state_handler) == ([], None)
    assert (flow.slugs, flow.constants[Task()]) == ({}, {})
    assert flow.logger.name == "headrace.daily"


def test_tasks_and_edges_compare_with_sets_and_keep_their_order():
    """A departure: for the classic engine they are sets."""
    flow, tasks = chained("cab")
    assert flow.tasks == {*tasks}
    assert flow.edges == {Edge(tasks[0], tasks[1]), Edge(tasks[1], tasks[2])}
    assert list(flow.tasks) == tasks
    assert flow.tasks | {tasks[0]} == flow.tasks


def test_flows_compare_by_identity():
    """A departure: the classic engine compares names, tasks, edges and reference tasks."""
    flow, _ = chained("ab")
    assert flow != flow.copy()
    assert flow != cloudpickle.loads(cloudpickle.dumps(flow))


def test_iterating_gives_tasks_in_an_order_that_works():
    flow, (one, two) = chained("ab")
    before = Two(name="before")
    flow.set_dependencies(one, upstream_tasks=[before])
    assert list(flow) == list(flow.sorted_tasks()) == [before, one, two]


def test_a_copy_shares_its_tasks_so_a_change_of_one_shows_in_both():
    flow, (one, _) = chained("ab")
    new = flow.copy()
    one.name = "renamed"
    assert [each.name for each in new.tasks] == ["renamed", "b"]


def test_the_open_block_is_the_flow_of_the_context_and_the_outer_one_comes_back():
    with Flow("outer") as outer:
        with Flow("inner") as inner:
            assert context.flow is inner
        assert context.flow is outer
    assert "flow" not in context


def test_a_task_that_is_made_and_not_used_is_no_reason_to_warn(recwarn):
    """A departure: the classic engine warns."""
    with Flow("f"):
        Task(name="unused")
    assert len(recwarn) == 0


def test_a_flow_cannot_run_inside_its_own_block():
    """A departure: for the classic engine that is a RuntimeError."""
    with Flow("f") as flow, pytest.raises(FlowDefinitionError, match="Run it after the block"):
        flow.run()


def test_another_flow_can_run_inside_a_block_and_adds_nothing_to_it():
    with Flow("inner") as inner:
        echo(1)
    with Flow("outer") as outer:
        assert inner.run().is_successful()
    assert not outer.tasks


# 3.2 Graph API


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("add_task", ["task"]),
        ("add_edge", ["upstream_task", "downstream_task", "key", "mapped", "flattened", "validate"]),
        ("chain", ["tasks", "validate"]),
        (
            "set_dependencies",
            ["task", "upstream_tasks", "downstream_tasks", "keyword_tasks", "mapped", "validate"],
        ),
        ("replace", ["old", "new", "validate"]),
        ("update", ["flow", "merge_parameters", "validate", "merge_reference_tasks"]),
        ("get_tasks", ["name", "slug", "tags", "task_type"]),
        ("root_tasks", []),
        ("terminal_tasks", []),
        ("upstream_tasks", ["task"]),
        ("downstream_tasks", ["task"]),
        ("edges_to", ["task"]),
        ("edges_from", ["task"]),
        ("all_upstream_edges", []),
        ("all_downstream_edges", []),
        ("sorted_tasks", ["root_tasks"]),
        ("validate", []),
        ("reference_tasks", []),
        ("set_reference_tasks", ["tasks"]),
        ("parameters", []),
        ("diagnostics", ["include_secret_names"]),
        ("visualize", ["flow_state", "filename", "format", "horizontal"]),
    ],
)
def test_methods_take_the_classic_arguments_in_their_order(method, names):
    assert names_of(getattr(Flow("f"), method)) == names


def test_what_is_added_in_a_branch_or_a_resource_belongs_to_it_but_parameters_and_constants_do_not():
    @resource_manager
    class Desk:
        def setup(self):
            return "desk"

        def cleanup(self, desk): ...

    manager: Any = Desk
    with Flow("f") as flow:
        condition = echo(True)
        with case(condition, True):
            inside = echo(Parameter("n", default=1))
            constant = flow.add_task(Constant(5))
        with manager():
            used = echo(2)
    (branch,) = flow.upstream_tasks(inside) - flow.parameters()
    assert branch.name == "case(True)"
    assert flow.root_tasks() >= {*flow.parameters(), constant}
    assert [each.name for each in flow.downstream_tasks(used)] == ["Desk.cleanup"]


def test_slugs_hold_the_name_the_sorted_tags_and_a_number_from_one_for_each_of_these():
    flow = Flow("f", tasks=[Task(name="load"), Task(name="load", tags=["z", "a"]), Task(name="load"), Task(name="x")])
    assert list(flow.slugs.values()) == ["load-1", "load-a-z-1", "load-2", "x-1"]


def test_edges_are_checked_at_once_whatever_validate_says():
    """A departure: the classic engine binds an argument twice, and one of the two wins."""
    flow, (one, two) = chained("ab")
    flow.add_edge(one, two, key="x", validate=False)
    with pytest.raises(DuplicateKeyError, match="'x'"):
        flow.add_edge(Task(), two, key="x", validate=False)
    with pytest.raises(TypeError, match="'z'"):
        flow.add_edge(one, two, key="z", validate=False)


def test_only_cycles_wait_for_validate_or_for_the_run():
    flow, (one, two) = chained("ab")
    flow.add_edge(two, one)
    for find in (flow.validate, flow.sorted_tasks, flow.run):
        with pytest.raises(CycleError, match=r"a -> b -> a|b -> a -> b"):
            find()
    with pytest.raises(ValueError, match="cycle"):
        chained("ab")[0].set_dependencies(one, upstream_tasks=[two], downstream_tasks=[two], validate=True)


@pytest.mark.parametrize("key", ["a b", "class", "", "1a"])
def test_a_key_is_an_identifier_and_no_word_of_the_language(key):
    takes_anything = task(lambda **rest: rest, name="any")
    with pytest.raises(ValueError, match=rf"'{key}' cannot be an argument of task 'any'.*dictionary"):
        Flow("f").add_edge(Task(), takes_anything, key=key)


def test_a_chain_of_edges_carries_no_data_and_is_returned():
    flow, (one, two, three) = Flow("f"), [Two(name=name) for name in "abc"]
    assert flow.chain(one, two, three) == [Edge(one, two), Edge(two, three)]


def test_the_imperative_way_maps_what_is_not_unmapped_and_nothing_downstream():
    flow, two, after = Flow("f"), Two(), Two(name="after")
    flow.set_dependencies(two, downstream_tasks=[after], keyword_tasks={"x": [1, 2], "y": unmapped([3])}, mapped=True)
    states = flow.run().result
    assert states[two].result == [(1, [3]), (2, [3])]
    assert states[after].result == (None, None)


def test_a_task_that_replaces_another_keeps_its_edges_its_reference_and_its_constants():
    """A departure: the classic engine forgets constant arguments."""
    with Flow("f") as flow:
        old = Two()(x=echo(1), y=5)
        after = echo(old)
    flow.set_reference_tasks([old])
    new = Two(name="new")
    flow.replace(old, new)
    states = flow.run().result
    assert (states[new].result, states[after].result) == ((1, 5), (1, 5))
    assert flow.reference_tasks() == {new}


def test_update_adds_what_another_flow_has_and_merges_on_request():
    """A departure: of two parameters of one name, this flow's is kept."""
    own = Parameter("n", default=1)
    with Flow("f", tasks=[own]) as flow:
        pass
    with Flow("g") as other:
        found = Two()(x=Parameter("n", default=2), y=3)
    with pytest.raises(ValueError, match="'n'"):
        flow.copy().update(other)
    flow.update(other, merge_parameters=True)
    assert flow.run().result[found].result == (1, 3)


def test_tasks_are_found_by_all_filters_together_and_by_the_slug_they_have_in_the_flow():
    """A departure: the classic engine compares the attribute, which most tasks do not have."""
    flow = Flow("f", tasks=[Task(name="a"), Two(name="a", tags=["t"]), Two(name="b", tags=["t"])])
    assert [flow.slugs[each] for each in flow.get_tasks(name="a", tags=["t"], task_type=Two)] == ["a-t-1"]
    assert [each.name for each in flow.get_tasks(slug="b-t-1")] == ["b"]


def test_reference_tasks_are_the_last_ones_unless_chosen_and_an_empty_choice_is_none():
    flow, (one, two) = chained("ab")
    flow.set_reference_tasks(each for each in [one])
    assert flow.reference_tasks() == {one}
    flow.set_reference_tasks([])
    assert flow.reference_tasks() == {two}
    with pytest.raises(ValueError, match="not in flow 'f'"):
        flow.set_reference_tasks([Task()])


@pytest.mark.parametrize("ask", ["upstream_tasks", "downstream_tasks", "edges_to", "edges_from"])
def test_asking_for_a_task_that_is_not_there_is_a_value_error(ask):
    with pytest.raises(ValueError, match=r"<Task: Two> is not in flow 'f'.*add_task"):
        getattr(Flow("f"), ask)(Two())


def test_a_flow_is_serialized_in_the_order_of_adding():
    """A departure: the classic engine sorts by slug."""
    flow, _ = chained("cab")
    document = flow.serialize()
    assert [each["slug"] for each in document["tasks"]] == ["c-1", "a-1", "b-1"]
    assert json.loads(json.dumps(document)) == document
    assert len(flow.serialized_hash()) == 64


def test_a_flow_is_saved_in_the_project_and_loaded_from_a_path(tmp_path, monkeypatch):
    """A departure: the classic engine has one folder at home, where it looks for names."""
    monkeypatch.chdir(tmp_path)
    flow, _ = chained("ab")
    path = flow.save()
    assert path.resolve().is_relative_to(tmp_path)
    assert Flow.load(path).run().is_successful()


# 3.3 run


def test_keywords_that_name_parameters_win_over_the_dictionary_which_stays_as_it_was():
    """A departure: the classic engine writes into the dictionary."""
    with Flow("f") as flow:
        found = echo([Parameter("a"), Parameter("b")])
    given = {"a": 1, "b": 2}
    assert flow.run(given, a=5).result[found].result == [5, 2]
    assert given == {"a": 1, "b": 2}


@pytest.mark.parametrize("wrong", [{"runner_cls": None}, {"return_tasks": []}, {"unknown": 1}])
def test_a_keyword_that_is_neither_a_parameter_nor_an_option_is_a_value_error(wrong):
    """A departure: for the classic engine an unknown keyword is a TypeError."""
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"'f'.*'{name}'"):
        Flow("f").run(**wrong)


def test_context_is_what_tasks_find_there():
    with Flow("f") as flow:
        found = task(lambda: context.colour, name="look")()
    assert flow.run(context={"colour": "red"}).result[found].result == "red"


def test_task_states_are_where_tasks_start_from():
    with Flow("f") as flow:
        one = broken()
        two = echo(one)
    assert flow.run(task_states={one: Success(result=5)}).result[two].result == 5


def test_a_run_goes_on_from_the_state_of_an_earlier_one():
    @task
    def ask():
        if not context.resume:
            raise signals.PAUSE
        return "agreed"

    calls: list[str] = []
    with Flow("f") as flow:
        first = task(lambda: calls.append("first"), name="first")()
        asked = ask(upstream_tasks=[first])
    paused = flow.run(on_pause=lambda names: [])
    assert type(paused) is Paused
    assert flow.run(state=paused, task_states={asked: Resume()}).result[asked].result == "agreed"
    assert calls == ["first"]


@pytest.mark.parametrize("state", [Success("done"), Failed("failed"), Cancelled()])
def test_a_run_that_starts_from_a_finished_state_ends_in_it_at_once(state):
    with Flow("f") as flow:
        broken()
    assert flow.run(state=state) is state


def test_a_run_without_schedule_makes_retries_too():
    calls: list[int] = []

    @task(max_retries=2, retry_delay=timedelta(hours=1))
    def third_time_lucky():
        calls.append(1)
        if len(calls) < 3:
            raise ValueError

    with Flow("f", Schedule([DatesClock([datetime(2099, 1, 1, tzinfo=UTC)])])) as flow:
        third_time_lucky()
    assert testing.run(flow, run_on_schedule=False).state.is_successful()
    assert len(calls) == 3


def test_a_retry_holds_up_nothing_else():
    """A departure: the classic engine goes over the flow again when everything else has had its turn."""
    order: list[str] = []

    @task(max_retries=1, retry_delay=timedelta(hours=1))
    def flaky():
        order.append("flaky")
        if order.count("flaky") == 1:
            raise ValueError

    note = task(lambda name, after=None: order.append(name), name="note")
    with Flow("f") as flow:
        note("after", after=flaky())
        note("two", upstream_tasks=[note("one")])
    assert testing.run(flow).state.is_successful()
    assert order == ["flaky", "one", "two", "flaky", "after"]


def test_each_run_has_an_id_of_its_own_and_tasks_know_all_names():
    @task(name="look")
    def look():
        names = ("flow_id", "flow_name", "flow_run_id", "flow_run_name", "task_id", "task_slug", "task_run_id")
        return {name: context[name] for name in names}

    with Flow("daily") as flow:
        found = look()
    one, two = (flow.run().result[found].result for _ in range(2))
    assert one["flow_run_id"] != two["flow_run_id"]
    assert uuid.UUID(one["flow_run_id"]).version == 4
    assert (one["flow_id"], one["flow_name"]) == ("daily", "daily")
    assert (one["task_id"], one["task_slug"]) == ("look-1", "look-1")
    assert one["task_run_id"] not in {two["task_run_id"], one["flow_run_id"]}


def test_a_run_is_named_after_its_flow_unless_it_is_given_a_name():
    """A departure: for the classic engine the name is a random one, and the argument is ``flow_run_name``."""
    with Flow("daily") as flow:
        found = task(lambda: context.flow_run_name, name="look")()
    assert flow.run().result[found].result.startswith("daily-")
    assert flow.run(run_name="mine").result[found].result == "mine"


def test_the_state_of_a_run_has_the_states_of_all_tasks():
    with Flow("f") as flow:
        failed = broken()
        after, skipped = echo(failed), skip()
    states = flow.run().result
    assert list(states) == [failed, after, skipped]
    assert [type(state).__name__ for state in states.values()] == ["Failed", "TriggerFailed", "Skipped"]


def test_what_is_wrong_with_the_flow_is_raised():
    """A departure: the classic engine returns a Failed state with the exception in it."""
    flow, (one, two) = chained("ab")
    flow.add_edge(two, one)
    with pytest.raises(ValueError, match="cycle"):
        flow.run()


def test_the_executor_is_that_of_the_run_or_that_of_the_flow_or_the_configured_one():
    with Flow("f") as flow:
        found = task(lambda: threading.current_thread() is threading.main_thread(), name="where")()

    def runs_in_main(**options: Any) -> Any:
        return flow.run(**options).result[found].result

    assert runs_in_main()
    with config.set_temporary_config({"engine.executor": "threads"}):
        assert not runs_in_main()
        flow.executor = "local"
        assert runs_in_main()
        assert not runs_in_main(executor="threads")


def test_a_flow_does_not_run_while_its_file_is_loaded():
    """A departure: the classic engine returns None."""
    with context(loading_flow=True), pytest.warns(UserWarning, match="while its file is loaded"):
        state = Flow("f").run()
    assert type(state) is Pending


def test_an_empty_flow_succeeds_with_an_empty_dictionary():
    state = Flow("f").run()
    assert (type(state), state.result) == (Success, {})


def test_a_terminal_state_handler_may_replace_the_last_state_and_need_not_mind_its_result():
    """A departure: the classic engine fails if the new state has no dictionary."""
    seen: list[dict[Task, State]] = []

    def lenient(flow: Flow, state: State, reference: dict[Task, State]) -> State | None:
        seen.append(reference)
        return Success("Good enough.") if state.is_failed() else None

    with Flow("f", terminal_state_handler=lenient) as flow:
        first = echo(1)
        last = broken(upstream_tasks=[first])
    state = flow.run()
    assert state.is_successful()
    assert list(state.result) == [first, last]
    assert [list(reference) for reference in seen] == [[last]]


def test_a_flow_that_a_task_runs_leaves_the_context_as_it_was():
    with Flow("inner") as inner:
        echo(1)

    @task
    def run_inner():
        before = context.flow_name, context.task_name
        assert inner.run().is_successful()
        return before, (context.flow_name, context.task_name)

    with Flow("outer") as outer:
        found = run_inner()
    assert outer.run().result[found].result == (("outer", "run_inner"),) * 2


def test_states_a_run_is_given_need_not_be_finished():
    with Flow("f") as flow:
        one = echo(1)
    given = Retrying(start_time=datetime.now(UTC), run_count=1)
    assert flow.run(task_states={one: given}).result[one].result == 1


# 3.4 visualize


@pytest.fixture
def drawn() -> tuple[Flow, Task, Task]:
    with Flow("drawn") as flow:
        one = echo([1, 2], task_args={"name": "one"})
        many = echo.map(one, task_args={"name": "many"})
    return flow, one, many


@pytest.mark.parametrize("kind", FORMATS)
def test_a_drawing_is_a_text_and_needs_no_other_program(drawn, kind, monkeypatch):
    """A departure: the classic engine returns an object of graphviz, and opens a viewer."""
    monkeypatch.setenv("PATH", "")
    flow, _, _ = drawn
    text = flow.visualize(format=kind)
    assert "one" in text
    assert "many" in text


def test_edges_are_labelled_with_their_keys_and_dashed_where_they_map(drawn):
    flow, _, many = drawn
    with flow:
        echo(many, upstream_tasks=[echo(3, task_args={"name": "three"})], task_args={"name": "last"})
    lines = {line.strip().rstrip(";") for line in flow.visualize(format="dot").splitlines() if "->" in line}
    assert lines == {
        '"one-1" -> "many-1" [label="x", style=dashed]',
        '"many-1" -> "last-1" [label="x"]',
        '"three-1" -> "last-1"',
    }


def test_tasks_that_map_look_different_and_so_do_tasks_that_have_a_state(drawn):
    flow, _, _ = drawn
    plain, done = (flow.visualize(state, format="dot") for state in (None, flow.run()))
    of_one, of_many = (
        next(line for line in plain.splitlines() if f'"{slug}" [' in line) for slug in flow.slugs.values()
    )
    assert of_one.replace("one", "many") != of_many
    assert "2 children" in done
    assert Success.color in done
    assert Success.color not in plain


def test_constants_that_are_no_tasks_are_not_drawn():
    with Flow("f") as flow:
        echo("a text that nobody draws", task_args={"name": "one"})
    assert "nobody draws" not in flow.visualize()
    assert flow.visualize(format="dot").count("[shape") == 1


def test_a_drawing_is_written_to_the_file_that_is_named(drawn, tmp_path: Path):
    path = tmp_path / "flow.svg"
    assert drawn[0].visualize(filename=str(path)) == path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["flow.svg"]


def test_a_drawing_can_run_from_left_to_right(drawn):
    assert "rankdir=LR" in drawn[0].visualize(format="dot", horizontal=True)
    assert "rankdir=TB" in drawn[0].visualize(format="dot")


# Odd input

wrong: Any = 5
several: Any = [5]


@pytest.mark.parametrize(
    ("give", "parts"),
    [
        (lambda: Flow("f", tasks=Task()), ["`tasks`", '"f"', "<Task: Task>", "list"]),
        (lambda: Flow("f").set_reference_tasks(Task()), ["`reference_tasks`", "<Task: Task>", "list"]),
        (lambda: Flow("f").set_dependencies(Two(), upstream_tasks=Task()), ["`upstream_tasks`", "<Task: Two>", "list"]),
        (lambda: Flow("f").add_task(wrong), ["'f'", "5", "@task"]),
        (lambda: Flow("f", executor=wrong).run(), ["executor", "5", "name"]),
        (lambda: Flow("f").run(several), ["`parameters`", "[5]", "dictionary"]),
        (lambda: Flow("f").run(task_states={Task(): Success()}), ["<Task: Task>", "'f'"]),
    ],
)
def test_what_is_of_the_wrong_type_is_named_with_what_was_expected(give, parts):
    with pytest.raises(DefinitionTypeError) as caught:
        give()
    assert [part for part in parts if part not in str(caught.value)] == []


def test_twenty_thousand_tasks_in_one_list():
    with Flow("f") as flow:
        last = echo([echo(i) for i in range(20_000)])
    assert flow.run().result[last].result == list(range(20_000))


def test_iterating_over_a_flow_can_be_left_half_way():
    flow, (one, *_) = chained("abc")
    found: Iterator[Task] = iter(flow)
    assert next(found) is one
