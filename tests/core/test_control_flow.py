from __future__ import annotations

import logging
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, case, ifelse, merge, switch, task
from headrace.control_flow import CompareValue, FilterTask, Merge
from headrace.edges import Edge
from headrace.exceptions import FlowDefinitionError
from headrace.signals import FAIL, SKIP
from headrace.states import Skipped
from headrace.triggers import all_finished, not_all_skipped


@task
def echo(x):
    return x


@task
def skip():
    raise SKIP("no", result="data of a skipped task")


def named(name: str) -> Task:
    return task(lambda: name, name=name)()


def outcome(flow: Flow, **parameters: Any) -> dict[str, Any]:
    """Return the result of each named task, or ``"skipped"``."""
    state = flow.run(**parameters)
    return {t.name: "skipped" if s.is_skipped() else s.result for t, s in state.result.items()}


class TestCompareValue:
    def test_equal_values_pass_and_give_none(self):
        assert CompareValue(5).run(5) is None  # type: ignore[func-returns-value]

    def test_other_values_skip(self):
        with pytest.raises(SKIP, match="4 is not 5"):
            CompareValue(5).run(4)


class TestCase:
    @pytest.mark.parametrize(("value", "expected"), [(1, "inside"), (2, "skipped")])
    def test_tasks_of_the_block_run_if_the_value_is_equal(self, value, expected):
        with Flow("f") as flow, case(Parameter("n"), 1):
            named("inside")
        assert outcome(flow, n=value)["inside"] == expected

    def test_one_comparison_is_added(self):
        with Flow("f") as flow, case(echo(1), "a"):
            named("one")
            named("two")
        assert [t.name for t in flow.tasks if isinstance(t, CompareValue)] == ["case('a')"]

    def test_only_tasks_without_upstream_tasks_in_the_block_wait_for_it(self):
        with Flow("f") as flow, case(echo(1), 1):
            first = echo(2)
            second = echo(first)
        (compare,) = flow.get_tasks(task_type=CompareValue)
        assert compare in flow.upstream_tasks(first)
        assert compare not in flow.upstream_tasks(second)

    def test_tasks_before_and_after_the_block_always_run(self):
        with Flow("f") as flow:
            before = echo("before")
            with case(echo(1), 2):
                echo(before)
            after = echo("after")
        state = flow.run()
        assert (state.result[before].result, state.result[after].result) == ("before", "after")

    def test_parameters_and_constants_are_not_part_of_it(self):
        with Flow("f") as flow, case(echo(1), 2):
            number = Parameter("n", default=5)
            echo(number)
            echo.map([1, 2])
        state = flow.run()
        assert state.result[number].result == 5
        assert all(not flow.upstream_tasks(t) for t in flow.tasks if t.auto_generated)

    def test_an_empty_block_adds_nothing(self):
        with Flow("f") as flow:
            condition = echo(1)
            with case(condition, 1):
                pass
        assert list(flow.tasks) == [condition]

    def test_a_task_as_the_value_is_a_type_error(self):
        with Flow("f"), pytest.raises(TypeError, match="plain value"):
            case(echo(1), echo(2))

    def test_tasks_of_another_flow_are_a_value_error(self):
        with Flow("f"), case(echo(1), 1), pytest.raises(FlowDefinitionError, match="one flow"):
            echo(1, flow=Flow("other"))

    def test_another_flow_can_be_built_inside(self):
        with Flow("outer") as outer, case(echo(1), 1), Flow("inner") as inner:
            inside = echo(2)
        assert list(inner.tasks) == [inside]
        assert len(outer.tasks) == 1

    def test_an_error_inside_adds_no_comparison(self):
        flow = Flow("f")
        with pytest.raises(ZeroDivisionError), flow, case(echo(1, flow=flow), 1):
            named("inside")
            _ = 1 // 0
        assert flow.get_tasks(task_type=CompareValue) == []

    @pytest.mark.parametrize(
        ("outer", "inner", "expected"), [(1, 1, "inside"), (1, 2, "skipped"), (2, 1, "skipped"), (2, 2, "skipped")]
    )
    def test_blocks_nest(self, outer, inner, expected):
        with Flow("f") as flow, case(Parameter("a"), 1):
            with case(Parameter("b"), 1):
                named("inside")
            named("outside")
        found = outcome(flow, a=outer, b=inner)
        assert found["inside"] == expected
        assert found["outside"] == ("outside" if outer == 1 else "skipped")

    def test_the_inner_comparison_belongs_to_the_outer_block(self):
        with Flow("f") as flow:
            condition = echo(1)
            with case(condition, "outer"), case(condition, "inner"):
                named("inside")
        (inner,) = flow.get_tasks(name="case('inner')")
        assert {t.name for t in flow.upstream_tasks(inner)} == {"case('outer')", "echo"}

    @pytest.mark.parametrize("value", [None, "größe", (1, 2), 1.5, True])
    def test_any_plain_value_can_be_compared_with(self, value):
        with Flow("f") as flow, case(echo(value), value):
            named("inside")
        assert outcome(flow)["inside"] == "inside"

    def test_copies_of_the_operator_tasks_take_part(self):
        with Flow("f") as flow:
            number = echo(3)
            with case(number > 5, True):
                named("large")
            with case(number > 5, False):
                named("small")
        found = outcome(flow)
        assert (found["large"], found["small"]) == ("skipped", "small")


class TestSwitch:
    def test_only_the_task_of_the_equal_case_runs(self):
        with Flow("f") as flow:
            switch(echo("b"), {"a": named("A"), "b": named("B"), "c": named("C")})
        found = outcome(flow)
        assert (found["A"], found["B"], found["C"]) == ("skipped", "B", "skipped")

    def test_it_returns_none(self):
        with Flow("f"):
            assert switch(echo(1), {}) is None  # type: ignore[func-returns-value]

    def test_there_is_a_tagged_comparison_for_each_case(self):
        with Flow("f") as flow:
            switch(echo("b"), {"a": named("A"), "b": named("B")})
        compares = flow.get_tasks(task_type=CompareValue)
        assert [t.tags for t in compares] == [{"switch"}, {"switch"}]

    def test_outside_a_flow_it_is_a_value_error(self):
        with pytest.raises(ValueError, match="outside a flow"):
            switch(Task(), {1: Task()})

    def test_it_can_be_mapped(self):
        with Flow("f") as flow:
            values = echo.map(["a", "b"])
            one = task(lambda x: f"A{x}", name="A").map([1, 2])
            two = task(lambda x: f"B{x}", name="B").map([1, 2])
            switch(values, {"a": one, "b": two}, mapped=True)
        state = flow.run()
        assert [s.is_skipped() for s in state.result[one].map_states] == [False, True]
        assert [s.is_skipped() for s in state.result[two].map_states] == [True, False]


class TestIfelse:
    @pytest.mark.parametrize("value", [True, 1, "x", [0], False, 0, "", None])
    def test_the_condition_is_taken_for_its_truth(self, value):
        with Flow("f") as flow:
            ifelse(echo(value), named("yes"), named("no"))
        found = outcome(flow)
        assert (found["yes"], found["no"]) == (("yes", "skipped") if value else ("skipped", "no"))

    @pytest.mark.parametrize("value", [True, False])
    def test_a_branch_may_be_missing(self, value):
        with Flow("f") as flow:
            ifelse(echo(value), None, named("no"))
            ifelse(echo(value), named("yes"), None)
        found = outcome(flow)
        assert (found["yes"], found["no"]) == (("yes", "skipped") if value else ("skipped", "no"))


class TestMerge:
    @pytest.mark.parametrize(("value", "expected"), [(True, "yes"), (False, "no")])
    def test_it_gives_the_result_of_the_branch_that_ran(self, value, expected):
        with Flow("f") as flow:
            yes, no = named("yes"), named("no")
            ifelse(echo(value), yes, no)
            joined = merge(yes, no)
        assert flow.run().result[joined].result == expected

    def test_it_is_a_task_that_skips_only_if_all_branches_did(self):
        with Flow("f") as flow:
            joined = merge(skip(), skip())
        assert isinstance(joined, Merge)
        assert (joined.skip_on_upstream_skip, joined.trigger) == (False, not_all_skipped)
        assert flow.run().result[joined].is_skipped()

    def test_a_failed_branch_fails_it(self):
        with Flow("f") as flow:
            joined = merge(task(lambda: 1 // 0)(), echo(1))
        assert flow.run().result[joined].is_failed()

    def test_the_first_value_that_is_not_none_wins(self):
        with Flow("f") as flow:
            joined = merge(echo(None), echo(0), echo(1))
        assert flow.run().result[joined].result == 0

    def test_without_any_value_it_is_none(self):
        with Flow("f") as flow:
            joined = merge(echo(None), echo(None))
        assert flow.run().result[joined].result is None

    def test_more_than_nine_branches_keep_their_order(self):
        with Flow("f") as flow:
            joined = merge(*[echo(None) for _ in range(8)], echo("ninth"), echo("tenth"), echo("eleventh"))
        assert flow.run().result[joined].result == "ninth"
        assert Merge().run(task_10="tenth", task_2="second") == "second"

    def test_plain_values_can_be_merged(self):
        with Flow("f") as flow:
            joined = merge(echo(None), "otherwise")
        assert flow.run().result[joined].result == "otherwise"

    def test_a_plain_value_is_no_branch_that_ran(self):
        with Flow("f") as flow:
            joined = merge(skip(), "otherwise")
            with case(echo(1), 2):
                inside = merge(named("inside"), "otherwise")
        state = flow.run()
        assert state.result[joined].is_skipped()
        assert state.result[inside].is_skipped()

    def test_it_takes_task_options_and_a_flow(self):
        flow = Flow("f")
        joined = merge(echo(1, flow=flow), flow=flow, checkpoint=False, name="joined")
        assert (joined.name, joined.checkpoint) == ("joined", False)

    def test_it_can_be_mapped(self):
        with Flow("f") as flow:
            joined = merge(echo.map([None, 1]), echo.map([2, 3]), mapped=True)
        assert flow.run().result[joined].result == [2, 1]


class TestFilterTask:
    def test_none_and_exceptions_of_any_kind_are_dropped(self):
        values = [1, None, ValueError("no"), 0, FAIL("no"), KeyboardInterrupt()]
        assert FilterTask().run(values) == [1, 0]

    def test_a_filter_can_be_given(self):
        assert FilterTask(filter_func=lambda x: x > 1).run([1, 2, 3]) == [2, 3]

    def test_what_was_dropped_can_be_logged(self, caplog):
        keep = FilterTask(filter_func=lambda x: x > 1, log_func=lambda dropped: f"dropped {dropped}", name="keep")
        logger = logging.getLogger("headrace")
        logger.addHandler(caplog.handler)
        try:
            with caplog.at_level(logging.INFO, logger="headrace"):
                keep.run([1, 2])
        finally:
            logger.removeHandler(caplog.handler)
        assert "dropped [1]" in {record.getMessage() for record in caplog.records}

    def test_options_of_tasks_are_accepted(self):
        keep = FilterTask(name="keep", tags=["t"])
        assert (keep.name, keep.tags) == ("keep", {"t"})
        assert (keep.trigger, keep.skip_on_upstream_skip) == (all_finished, False)

    def test_it_keeps_what_succeeded_of_a_map(self):
        with Flow("f") as flow:
            kept = FilterTask()(task(lambda x: 6 // x, name="divide").map([0, 1, 2]))
        assert flow.run().result[kept].result == [6, 3]

    def test_skipped_children_are_dropped(self):
        def odd(x):
            if x % 2 == 0:
                raise SKIP("even")
            return x

        with Flow("f") as flow:
            kept = FilterTask()(task(odd).map([1, 2, 3]))
        assert flow.run().result[kept].result == [1, 3]


def test_back_to_back_branches_need_a_merge_between_them():
    with Flow("f") as flow:
        with case(echo(1), 2):
            first = named("first")
        with case(merge(first, echo("none")), "none"):
            second = named("second")
    assert flow.run().result[second].result == "second"


def test_a_skipped_state_reaches_a_trigger_as_it_is():
    seen: list[Any] = []

    def look(upstream_states):
        seen.extend(upstream_states.items())
        return True

    with Flow("f") as flow:
        task(lambda: 1, trigger=look, skip_on_upstream_skip=False)(upstream_tasks=[skip()])
    flow.run()
    ((edge, state),) = seen
    assert isinstance(edge, Edge)
    assert isinstance(state, Skipped)
