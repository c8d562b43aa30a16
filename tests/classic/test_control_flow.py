"""Control flow, section 8 of the classic reference: whole flows, as its users wrote them."""

from __future__ import annotations

import logging

import pytest

from headrace import (
    Flow,
    Parameter,
    apply_map,
    case,
    flatten,
    ifelse,
    merge,
    resource_manager,
    signals,
    switch,
    task,
    unmapped,
)
from headrace.control_flow import CompareValue, FilterTask, Merge
from headrace.states import State
from headrace.triggers import all_finished, not_all_skipped


@task
def echo(x=None):
    return x


@task
def fail(x=None):
    raise ValueError("no")


@task
def skip():
    raise signals.SKIP("not today")


def run(flow: Flow, **parameters) -> State:
    state: State = flow.run(**parameters)
    return state


def named(flow: Flow, state: State, name: str) -> State:
    """Return the state of the task with a name."""
    (found,) = flow.get_tasks(name)
    ended: State = state.result[found]
    return ended


# case


def two_branches() -> Flow:
    """The example of the classic documentation."""
    with Flow("conditional") as flow:
        weather = Parameter("weather")
        with case(weather, "rain"):
            umbrella = echo("umbrella", task_args={"name": "umbrella"})
        with case(weather, "sun"):
            hat = echo("hat", task_args={"name": "hat"})
        echo(merge(umbrella, hat), task_args={"name": "taken"})
    return flow


@pytest.mark.parametrize(("weather", "taken"), [("rain", "umbrella"), ("sun", "hat")])
def test_of_two_branches_the_one_with_the_equal_value_runs_and_merge_goes_on_with_it(weather, taken):
    flow = two_branches()
    state = run(flow, weather=weather)
    assert state.is_successful()
    assert named(flow, state, "taken").result == taken
    left = {"umbrella": "hat", "hat": "umbrella"}[taken]
    assert named(flow, state, left).is_skipped()


def test_where_no_branch_applies_everything_that_joins_them_is_skipped():
    flow = two_branches()
    state = run(flow, weather="snow")
    assert state.is_successful()
    assert named(flow, state, "taken").is_skipped()


def test_the_comparison_is_named_after_the_value():
    (compare,) = two_branches().get_tasks("case('rain')")
    assert isinstance(compare, CompareValue)
    assert compare.value == "rain"


def test_a_skipped_task_says_what_was_compared():
    """A departure: a classic Skipped has no reason."""
    flow = two_branches()
    state = run(flow, weather="sun")
    assert named(flow, state, "case('rain')").message == "'sun' is not 'rain'."


def test_a_chain_inside_a_block_is_skipped_as_a_whole():
    with Flow("f") as flow, case(echo(1), 2):
        first = echo(1)
        second = echo(first)
    state = run(flow)
    assert [state.result[each].is_skipped() for each in (first, second)] == [True, True]


def test_blocks_nest_and_both_conditions_count():
    with Flow("f") as flow:
        a, b = Parameter("a"), Parameter("b")
        with case(a, True):
            with case(b, True):
                inner = echo("inner")
            outer = echo("outer")
    ran = {}
    for values in ((True, True), (True, False), (False, True)):
        state = run(flow, a=values[0], b=values[1])
        ran[values] = [not state.result[each].is_skipped() for each in (outer, inner)]
    assert ran == {(True, True): [True, True], (True, False): [True, False], (False, True): [False, False]}


# switch and ifelse


def test_switch_chooses_among_tasks_by_value():
    with Flow("f") as flow:
        tasks = {"a": echo("task a"), "b": echo("task b")}
        switch(Parameter("which"), tasks)
        chosen = merge(*tasks.values())
    assert [run(flow, which=which).result[chosen].result for which in ("a", "b")] == ["task a", "task b"]


@pytest.mark.parametrize(("value", "branch"), [(1, "yes"), ("text", "yes"), ([], "no"), (None, "no")])
def test_ifelse_takes_the_truth_of_the_condition(value, branch):
    with Flow("f") as flow:
        yes, no = echo("yes"), echo("no")
        ifelse(echo(value), yes, no)
        chosen = merge(yes, no)
    assert run(flow).result[chosen].result == branch


def test_a_branch_of_ifelse_may_be_none():
    with Flow("f") as flow:
        only = echo("only")
        ifelse(Parameter("go"), only, None)
    assert [run(flow, go=go).result[only].is_skipped() for go in (True, False)] == [False, True]


def test_switch_and_ifelse_can_be_mapped():
    with Flow("f") as flow:
        xs = [1, 2]
        small, large = echo.map(["small", "small"]), echo.map(["large", "large"])
        ifelse(task(lambda x: x < 2, name="is_small").map(xs), small, large, mapped=True)
        chosen = merge(small, large, mapped=True)
    assert run(flow).result[chosen].result == ["small", "large"]


# merge


def test_merge_is_a_task_that_runs_unless_all_branches_were_skipped():
    with Flow("f"):
        joined = merge(echo(1), echo(2), checkpoint=False)
    assert isinstance(joined, Merge)
    assert (joined.trigger, joined.skip_on_upstream_skip, joined.checkpoint) == (not_all_skipped, False, False)


def test_merge_takes_none_for_absent():
    with Flow("f") as flow:
        joined = merge(echo(None), echo(0), echo(1))
    assert run(flow).result[joined].result == 0


def test_merge_goes_by_number_where_there_are_ten_branches_and_more():
    """A departure: the classic task orders them as text, so that the tenth comes second."""
    with Flow("f") as flow:
        joined = merge(echo(None), *(echo(i) for i in range(2, 13)))
    assert run(flow).result[joined].result == 2


def test_merge_is_skipped_with_its_branches_although_a_constant_is_among_them():
    """A departure: the constant makes the classic task run."""
    with Flow("f") as flow, case(echo(1), 2):
        joined = merge(echo(1), "constant")
    assert run(flow).result[joined].is_skipped()


def test_merge_never_gives_a_signal():
    """A departure: a branch that raised SKIP hands the exception on in the classic engine."""
    with Flow("f") as flow:
        joined = merge(skip(), echo("ran"))
    assert run(flow).result[joined].result == "ran"


def test_consecutive_branches_need_a_merge_or_a_task_that_runs_after_skips():
    with Flow("f") as flow:
        with case(echo(1), 2):
            first = echo("first")
        plain = echo(first)
        tolerant = echo(first, task_args={"skip_on_upstream_skip": False})
    state = run(flow)
    assert (state.result[plain].is_skipped(), state.result[tolerant].result) == (True, None)


# FilterTask


def test_a_filter_drops_failures_skips_and_none_of_a_map():
    @task
    def some(x):
        if x == 1:
            raise ValueError("no")
        if x == 2:
            raise signals.SKIP("no")
        return None if x == 3 else x

    with Flow("f") as flow:
        kept = FilterTask()(some.map([0, 1, 2, 3, 4]))
    assert run(flow).result[kept].result == [0, 4]


def test_a_filter_runs_whatever_became_of_what_it_filters():
    made = FilterTask()
    assert (made.trigger, made.skip_on_upstream_skip) == (all_finished, False)


def test_a_filter_takes_a_function_and_logs_what_it_dropped(caplog):
    with Flow("f") as flow:
        kept = FilterTask(filter_func=lambda x: x > 1, log_func=lambda dropped: f"dropped {dropped}")(echo([1, 2, 3]))
    with caplog.at_level(logging.INFO):
        assert run(flow).result[kept].result == [2, 3]
    assert "dropped [1]" in caplog.text


# resource_manager


def tracked(events: list[str], *, setup_fails: bool = False):
    @resource_manager(name="Cluster")
    class Cluster:
        def __init__(self, size):
            self.size = size

        def setup(self):
            events.append(f"setup {self.size}")
            if setup_fails:
                raise RuntimeError("no machines")
            return f"cluster of {self.size}"

        def cleanup(self, resource):
            events.append(f"cleanup {resource}")

    return Cluster


def test_tasks_of_a_resource_run_between_setup_and_cleanup():
    events: list[str] = []
    use = task(lambda r: events.append(f"use {r}"), name="use")
    with Flow("f") as flow:
        size = Parameter("size", default=3)
        with tracked(events)(size) as cluster:
            use(cluster)
    assert run(flow).is_successful()
    assert events == ["setup 3", "use cluster of 3", "cleanup cluster of 3"]


def test_a_resource_adds_three_tasks_with_its_name():
    with Flow("f") as flow, tracked([])(1):
        pass
    assert [each.name for each in flow.tasks if "Cluster" in each.name] == [
        "Cluster",
        "Cluster.setup",
        "Cluster.cleanup",
    ]


def test_a_resource_is_cleaned_up_although_its_tasks_failed_and_the_run_is_failed_by_them():
    events: list[str] = []
    with Flow("f") as flow, tracked(events)(1) as cluster:
        fail(cluster)
    assert run(flow).is_failed()
    assert events[-1] == "cleanup cluster of 1"


def test_nothing_is_cleaned_up_where_setup_failed_and_the_run_is_failed():
    events: list[str] = []
    with Flow("f") as flow, tracked(events, setup_fails=True)(1) as cluster:
        used = echo(cluster)
    state = run(flow)
    assert events == ["setup 1"]
    assert state.is_failed()
    assert state.result[used].is_failed()
    assert named(flow, state, "Cluster.cleanup").is_skipped()


def test_tasks_of_a_resource_have_no_say_in_the_end_of_the_run():
    with Flow("f") as flow, tracked([])(1) as cluster:
        used = echo(cluster)
    assert flow.reference_tasks() == {used}


# apply_map


def test_apply_map_maps_what_a_function_puts_together():
    def steps(x, add):
        doubled = echo(x) * 2
        return doubled, doubled + add

    with Flow("f") as flow:
        doubled, added = apply_map(steps, [1, 2, 3], unmapped(10))
    state = run(flow)
    assert state.result[doubled].result == [2, 4, 6]
    assert state.result[added].result == [12, 14, 16]


def test_apply_map_with_branches_inside():
    def steps(x):
        with case(x > 1, True):
            large = echo("large")
        with case(x > 1, False):
            small = echo("small")
        return merge(large, small)

    with Flow("f") as flow:
        found = apply_map(steps, [1, 2])
    assert run(flow).result[found].result == ["small", "large"]


def test_apply_map_flattens():
    with Flow("f") as flow:
        found = apply_map(echo, flatten([[1], [2, 3]]))
    assert run(flow).result[found].result == [1, 2, 3]


def test_apply_map_takes_the_flow_as_an_argument():
    flow = Flow("f")
    found = apply_map(echo, [1, 2], flow=flow)
    assert run(flow).result[found].result == [1, 2]


def test_apply_map_does_not_map_inside_itself():
    with Flow("f"), pytest.raises(ValueError, match="map"):
        apply_map(lambda x: echo.map([x]), [1, 2])


def test_apply_map_takes_what_can_be_iterated_over_only():
    with Flow("f"), pytest.raises(TypeError):
        apply_map(echo, 5)
