"""``apply_map``."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import (
    Flow,
    Parameter,
    Task,
    apply_map,
    case,
    context,
    flatten,
    ifelse,
    mapped,
    merge,
    resource_manager,
    tags,
    task,
    unmapped,
)
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError, NoActiveFlowError
from headrace.states import Failed, Skipped, TriggerFailed


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


@task
def numbers():
    return [1, 2, 3]


@task
def seven():
    return 7


@task
def is_even(x):
    return x % 2 == 0


@task
def fail_on_two(x):
    if x == 2:
        raise ValueError(x)
    return x


def twice(x: Any) -> Any:
    return inc(inc(x))


def results(build) -> Any:
    """Return what the task that ``build`` makes in a flow returns."""
    with Flow("f") as flow:
        found = build()
    return flow.run().result[found].result


class TestArguments:
    def test_it_maps_over_a_task(self):
        assert results(lambda: apply_map(twice, numbers())) == [3, 4, 5]

    @pytest.mark.parametrize("values", [[1, 2], (1, 2), range(1, 3), iter([1, 2]), {1: "a", 2: "b"}])
    def test_it_maps_over_what_can_be_iterated_over(self, values):
        assert results(lambda: apply_map(twice, values)) == [3, 4]

    def test_it_maps_over_a_parameter(self):
        with Flow("f") as flow:
            found = apply_map(twice, Parameter("xs"))
        assert flow.run(xs=[5]).result[found].result == [7]

    def test_it_maps_over_a_list_of_tasks(self):
        assert results(lambda: apply_map(twice, [seven(), 1])) == [9, 3]

    def test_it_maps_over_a_mapped_task(self):
        assert results(lambda: apply_map(twice, inc.map([1, 2]))) == [4, 5]

    def test_several_arguments_go_side_by_side(self):
        assert results(lambda: apply_map(add, numbers(), y=[10, 20, 30])) == [11, 22, 33]

    def test_arguments_of_different_lengths_fail_the_task(self):
        with Flow("f") as flow:
            found = apply_map(add, [1, 2], [1, 2, 3])
        assert isinstance(flow.run().result[found], Failed)

    def test_an_unmapped_task_goes_whole_to_every_child(self):
        assert results(lambda: apply_map(lambda x, xs: add(xs, [x]), [8, 9], unmapped(numbers()))) == [
            [1, 2, 3, 8],
            [1, 2, 3, 9],
        ]

    def test_an_unmapped_plain_value_reaches_the_function_as_it_is(self):
        assert results(lambda: apply_map(lambda x, by: add(x, by * 2), [1], unmapped(10))) == [21]

    def test_the_same_task_mapped_and_whole(self):
        def build():
            xs = numbers()
            return apply_map(lambda x, whole: add([x], whole), xs, unmapped(xs))

        assert results(build) == [[1, 1, 2, 3], [2, 1, 2, 3], [3, 1, 2, 3]]

    def test_a_flattened_argument(self):
        assert results(lambda: apply_map(twice, flatten([[1, 2], [3]]))) == [3, 4, 5]

    def test_a_flattened_unmapped_argument(self):
        assert results(lambda: apply_map(lambda x, xs: add(xs, [x]), [0], flatten(unmapped([[1], [2]])))) == [[1, 2, 0]]

    def test_without_a_mapped_argument_everything_runs_once(self):
        assert results(lambda: apply_map(twice, unmapped(1))) == 3
        assert results(lambda: apply_map(seven)) == 7

    def test_an_empty_argument_gives_no_children(self):
        assert results(lambda: apply_map(twice, [])) == []

    @pytest.mark.parametrize("give", [lambda: apply_map(twice, 3), lambda: apply_map(twice, x=None)])
    def test_what_can_never_be_iterated_over_is_a_type_error(self, give):
        with Flow("f"), pytest.raises(DefinitionTypeError, match="unmapped") as caught:
            give()
        assert isinstance(caught.value, TypeError)


class TestBody:
    def test_it_is_called_once_and_returns_what_it_returns(self):
        calls = []

        def body(x):
            calls.append(x)
            return inc(x), add(x, 1), "plain"

        with Flow("f") as flow:
            one, two, plain = apply_map(body, [1, 2])
        state = flow.run()
        assert (len(calls), plain) == (1, "plain")
        assert (state.result[one].result, state.result[two].result) == ([2, 3], [2, 3])

    def test_an_argument_can_be_returned(self):
        with Flow("f"):
            xs = numbers()
            assert apply_map(lambda x: x, xs) is xs
            assert apply_map(lambda _, whole: whole, xs, unmapped(xs)) is xs

    def test_a_task_without_arguments_runs_once_for_each_element(self):
        assert results(lambda: apply_map(lambda x: add(x, seven()), [1, 2])) == [8, 9]
        assert results(lambda: apply_map(lambda _: seven(), numbers())) == [7, 7, 7]

    def test_a_task_without_arguments_waits_for_what_is_mapped_over(self):
        with Flow("f") as flow:
            found = apply_map(lambda _: seven(), fail_on_two.map([1, 2]))
        assert [type(s).__name__ for s in flow.run().result[found].map_states] == ["Success", "TriggerFailed"]

    def test_first_tasks_wait_for_all_arguments(self):
        with Flow("f") as flow:
            broken = fail_on_two(2)
            found = apply_map(lambda x, _: inc(x), [1], unmapped(broken))
        assert isinstance(flow.run().result[found].map_states[0], TriggerFailed)

    def test_a_task_from_outside_goes_whole_to_every_child(self):
        def build():
            outside = numbers()
            return apply_map(lambda x: add(outside, [x]), [8, 9])

        assert results(build) == [[1, 2, 3, 8], [1, 2, 3, 9]]

    def test_a_parameter_inside_goes_whole_to_every_child(self):
        with Flow("f") as flow:
            found = apply_map(lambda x: add(x, Parameter("n")), [1, 2])
        assert flow.run(n=10).result[found].result == [11, 12]

    def test_collections_inside_are_gathered_for_each_element(self):
        assert results(lambda: apply_map(lambda x: add([inc(x)], [x]), [1, 2])) == [[2, 1], [3, 2]]

    def test_order_without_data_is_kept_for_each_element(self):
        order = []

        @task
        def note(x, when):
            order.append((when, x))

        def body(x):
            note(x, "after", upstream_tasks=[note(x, "before")])

        with Flow("f") as flow:
            apply_map(body, [1, 2])
        assert flow.run().is_successful()
        assert [order.index(("before", x)) < order.index(("after", x)) for x in (1, 2)] == [True, True]

    def test_children_know_their_index(self):
        index = task(lambda x: (x, context.map_index))
        assert results(lambda: apply_map(lambda x: index(inc(x)), [1, 2])) == [(2, 0), (3, 1)]

    def test_tags_around_it_reach_its_tasks(self):
        with Flow("f"), tags("night"):
            found = apply_map(twice, [1])
        assert found.tags == {"night"}

    def test_one_child_that_fails_stops_only_those_that_follow_it(self):
        with Flow("f") as flow:
            found = apply_map(lambda x: inc(fail_on_two(x)), [1, 2, 3])
        assert [type(s).__name__ for s in flow.run().result[found].map_states] == [
            "Success",
            "TriggerFailed",
            "Success",
        ]

    def test_the_result_can_be_reduced_and_mapped_again(self):
        total = task(lambda xs: sum(xs))
        assert results(lambda: total(inc.map(apply_map(twice, [1, 2])))) == 9


class TestControlFlow:
    def test_branches_inside(self):
        def body(x):
            with case(is_even(x), True):
                even = add(x, 100)
            with case(is_even(x), False):
                odd = inc(x)
            return merge(even, odd)

        assert results(lambda: apply_map(body, range(4))) == [100, 2, 102, 4]

    def test_ifelse_inside(self):
        def body(x):
            yes, no = add(x, 100), inc(x)
            ifelse(is_even(x), yes, no)
            return merge(yes, no)

        assert results(lambda: apply_map(body, range(3))) == [100, 2, 102]

    def test_resources_inside_are_set_up_for_each_element(self):
        cleaned = []

        class Doubled:
            def __init__(self, x):
                self.x = x

            def setup(self):
                return self.x * 2

            def cleanup(self, resource):
                cleaned.append(resource)

        manager = resource_manager(Doubled)

        def body(x):
            with manager(x) as resource:
                return inc(resource)

        assert results(lambda: apply_map(body, [1, 2])) == [3, 5]
        assert sorted(cleaned) == [2, 4]

    def test_inside_a_case_that_does_not_apply_everything_is_skipped(self):
        with Flow("f") as flow, case(seven(), 8):
            one, two = apply_map(lambda x: (inc(x), seven()), [1, 2])
        states = flow.run().result
        assert isinstance(states[one], Skipped)
        assert isinstance(states[two], Skipped)

    def test_inside_a_resource_everything_comes_before_the_cleanup(self):
        order: list[Any] = []

        class Room:
            def setup(self):
                order.append("in")

            def cleanup(self, resource):
                order.append("out")

        @task
        def note(x):
            order.append(x)

        with Flow("f") as flow, resource_manager(Room)():
            apply_map(lambda x: note(inc(x)), [1, 2])
        assert flow.run().is_successful()
        assert order == ["in", 2, 3, "out"]


class TestRefusals:
    @pytest.mark.parametrize(
        "body",
        [
            inc.map,
            lambda x: inc(mapped(x)),
            lambda x: inc(x, mapped=True),
            lambda x: inc(flatten(x)),
            lambda x: apply_map(inc, x),
            lambda x: inc.copy().set_upstream(x, key="x", mapped=True),
            lambda x: seven(upstream_tasks=[mapped(x)]),
        ],
    )
    def test_maps_inside_are_a_value_error(self, body):
        with Flow("f"), pytest.raises(FlowDefinitionError, match="maps or flattens inside") as caught:
            apply_map(body, numbers())
        assert isinstance(caught.value, ValueError)

    def test_a_refused_body_adds_no_task(self):
        with Flow("f") as flow:
            xs = numbers()
            with pytest.raises(FlowDefinitionError):
                apply_map(lambda x: inc.map(inc(x)), xs)
        assert list(flow.tasks) == [xs]

    def test_outside_a_flow_it_is_a_value_error(self):
        with pytest.raises(NoActiveFlowError, match="twice"):
            apply_map(twice, [1])

    def test_a_flow_can_be_given(self):
        flow = Flow("f")
        found: Task = apply_map(twice, [1], flow=flow)
        assert flow.run().result[found].result == [3]
