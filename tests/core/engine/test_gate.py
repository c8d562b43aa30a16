"""Whether a task whose upstream tasks have finished runs: skips, triggers, and what a map is made of."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Parameter, context, flatten, signals, task, triggers, unmapped
from headrace.exceptions import MappingError, TriggerFailedError
from headrace.states import Failed, Mapped, Paused, Skipped, State, Success, TriggerFailed


@task
def good() -> int:
    return 1


@task
def bad() -> int:
    raise ValueError("bad")


@task
def skip() -> int:
    raise signals.SKIP("not today")


@task
def take(x: Any = None) -> Any:
    return x


def state_after(*upstream: Any, trigger: Any = None, skips: bool = True) -> State:
    """Return how a task ends that runs after ``upstream``."""
    with Flow("gate") as flow:
        task_args = {"trigger": trigger or triggers.all_successful, "skip_on_upstream_skip": skips}
        last = take(upstream_tasks=[make() for make in upstream], task_args=task_args)
    return flow.run(executor="local").result[last]


class TestSkips:
    def test_a_task_after_a_skipped_one_is_skipped_without_a_result(self):
        state = state_after(good, skip)
        assert type(state) is Skipped
        assert state.result is None

    @pytest.mark.parametrize("trigger", [triggers.all_finished, triggers.any_successful, triggers.manual_only])
    def test_a_skip_wins_over_every_trigger(self, trigger):
        assert type(state_after(skip, trigger=trigger)) is Skipped

    def test_skip_on_upstream_skip_false_runs_the_task_all_the_same(self):
        assert type(state_after(skip, skips=False)) is Success

    def test_a_skip_signal_never_becomes_an_argument(self):
        with Flow("data") as flow:
            last = take(skip(), task_args={"skip_on_upstream_skip": False})
        state = flow.run(executor="local").result[last]
        assert (type(state), state.result) == (Success, None)

    def test_a_skipped_child_skips_only_the_child_that_follows_it(self):
        @task
        def skip_first(x):
            if x == 0:
                raise signals.SKIP("first")
            return x

        with Flow("children") as flow:
            last = take.map(skip_first.map([0, 1]))
        assert [type(s) for s in flow.run(executor="local").result[last].map_states] == [Skipped, Success]

    def test_one_skipped_child_skips_a_reduce(self):
        with Flow("reduce") as flow:
            last = take(take.map(skip.map(upstream_tasks=[take.map([1, 2])])))
        assert type(flow.run(executor="local").result[last]) is Skipped


class TestTriggers:
    def test_the_default_trigger_refuses_a_failed_upstream_task(self):
        state = state_after(good, bad)
        assert type(state) is TriggerFailed
        assert isinstance(state.result, TriggerFailedError)

    def test_a_failed_trigger_counts_as_a_failure_downstream(self):
        with Flow("on") as flow:
            last = take(take(bad()))
        assert type(flow.run(executor="local").result[last]) is TriggerFailed

    def test_a_trigger_may_return_false(self):
        state = state_after(good, trigger=lambda _states: False)
        assert type(state) is TriggerFailed
        assert isinstance(state.result, TriggerFailedError)

    def test_what_a_trigger_raises_is_the_result_of_a_trigger_failure(self):
        def broken(_states: Any) -> bool:
            raise KeyError("odd")

        state = state_after(good, trigger=broken)
        assert type(state) is TriggerFailed
        assert isinstance(state.result, KeyError)
        assert state.message == "The trigger 'broken' of task 'take' raised KeyError: 'odd'"

    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (False, "returned False."),
            (None, "returned None, and a trigger returns True or False."),
            ([], "returned a list that counts as False, and a trigger returns True or False."),
        ],
    )
    def test_a_refusal_says_who_refused_what_and_how(self, answer, found):
        def check(_states: Any) -> Any:
            return answer

        state = state_after(good, trigger=check)
        assert state.message == f"Trigger failed: the trigger 'check' of task 'take' {found}"

    def test_a_signal_of_a_trigger_decides_the_state(self):
        def enough(_states: Any) -> bool:
            raise signals.SUCCESS("enough", result=7)

        state = state_after(bad, trigger=enough)
        assert (type(state), state.result) == (Success, 7)

    def test_a_trigger_gets_the_upstream_states_by_edge(self):
        seen: dict[str, type] = {}

        def look(states: Any) -> bool:
            seen.update({edge.upstream_task.name: type(state) for edge, state in states.items()})
            return True

        state_after(good, bad, trigger=look)
        assert seen == {"good": Success, "bad": Failed}

    def test_constants_have_no_vote_and_parameters_do(self):
        seen: list[str] = []

        def look(states: Any) -> bool:
            seen.extend(edge.upstream_task.name for edge in states)
            return True

        with Flow("votes") as flow:
            take(Parameter("p", default=1), upstream_tasks=[5], task_args={"trigger": look})
        flow.run(executor="local")
        assert seen == ["p"]

    def test_a_trigger_failure_is_never_retried(self):
        attempts = []

        def refuse(_states: Any) -> bool:
            attempts.append(1)
            return False

        with Flow("once") as flow:
            last = take(task_args={"trigger": refuse, "max_retries": 3, "retry_delay": 0})
        assert type(flow.run(executor="local").result[last]) is TriggerFailed
        assert len(attempts) == 1

    def test_a_mapped_upstream_task_counts_with_each_of_its_children(self):
        seen: list[list[type]] = []

        def look(states: Any) -> bool:
            (state,) = states.values()
            seen.append([type(child) for child in state.map_states])
            return True

        with Flow("children") as flow:
            take(take.map([1, 2]), task_args={"trigger": look})
        flow.run(executor="local")
        assert seen == [[Success, Success]]

    def test_a_mapped_task_asks_its_trigger_for_each_child(self):
        seen: list[Any] = []

        def look(states: Any) -> bool:
            seen.extend(state.result for state in states.values())
            return True

        with Flow("each") as flow:
            take.map(good.map(upstream_tasks=[take.map([5, 6])]), task_args={"trigger": look})
        flow.run(executor="local")
        assert seen == [1, 1]

    def test_a_child_sees_its_own_element_as_the_upstream_result(self):
        seen: list[Any] = []

        def look(states: Any) -> bool:
            seen.extend(state.result for state in states.values())
            return True

        @task
        def make():
            return [5, 6]

        with Flow("element") as flow:
            take.map(make(), task_args={"trigger": look})
        flow.run(executor="local")
        assert seen == [5, 6]

    def test_a_trigger_may_look_at_the_context(self):
        seen: list[Any] = []

        def look(_states: Any) -> bool:
            seen.append((context.flow_name, context.get("resume")))
            return True

        state_after(good, trigger=look)
        assert seen == [("gate", False)]

    def test_manual_only_pauses(self):
        assert type(state_after(good, trigger=triggers.manual_only)) is Paused


class TestMaps:
    def state_over(self, value: Any, **other: Any) -> State:
        @task
        def make() -> Any:
            return value() if callable(value) else value

        with Flow("map") as flow:
            last = take.map(make(), **other)
        return flow.run(executor="local").result[last]

    @pytest.mark.parametrize(
        ("value", "children"),
        [
            ([1, 2], [1, 2]),
            ((1, 2), [1, 2]),
            ("ab", ["a", "b"]),
            (range(2), [0, 1]),
            ({"a": 1, "b": 2}, ["a", "b"]),
            (lambda: (i for i in (1, 2)), [1, 2]),
            ([], []),
        ],
    )
    def test_anything_iterable_can_be_mapped_over(self, value, children):
        state = self.state_over(value)
        assert type(state) is Mapped
        assert state.result == children

    @pytest.mark.parametrize("value", [1, None, 2.5])
    def test_what_cannot_be_iterated_over_fails_the_task_and_names_the_argument(self, value):
        state = self.state_over(value)
        assert type(state) is Failed
        assert isinstance(state.result, MappingError)
        assert "'x'" in str(state.result)

    def test_a_value_that_raises_while_it_is_iterated_over_fails_the_task(self):
        def broken() -> Any:
            yield 1
            raise OSError("connection lost")

        state = self.state_over(broken)
        assert type(state) is Failed
        assert isinstance(state.result, OSError)

    def test_arguments_of_different_lengths_fail_the_task_and_say_which(self):
        @task
        def add(x, y):
            return x + y

        with Flow("lengths") as flow:
            last = add.map([1, 2], [1, 2, 3])
        state = flow.run(executor="local").result[last]
        assert type(state) is Failed
        assert "'x' has 2, 'y' has 3" in str(state.result)

    def test_a_map_over_nothing_but_failed_tasks_fails(self):
        with Flow("nothing") as flow:
            last = take.map(bad())
        state = flow.run(executor="local").result[last]
        assert type(state) is Failed
        assert isinstance(state.result, MappingError)

    def test_one_failed_mapped_argument_of_two_fails_the_children_one_by_one(self):
        @task
        def add(x, y):
            return x

        with Flow("half") as flow:
            last = add.map([1, 2], bad())
        states = flow.run(executor="local").result[last].map_states
        assert [type(state) for state in states] == [TriggerFailed, TriggerFailed]

    def test_a_mapped_task_is_never_retried_as_a_whole(self):
        state = self.state_over(1, task_args={"max_retries": 3, "retry_delay": 0})
        assert type(state) is Failed

    def test_flatten_spreads_a_list_of_lists(self):
        @task
        def lists():
            return [[1, 2], [3]]

        with Flow("flat") as flow:
            last = take.map(flatten(lists()))
        assert flow.run(executor="local").result[last].result == [1, 2, 3]

    def test_flatten_on_a_plain_argument_hands_over_the_flat_list(self):
        @task
        def lists():
            return [[1, 2], [3]]

        with Flow("flat") as flow:
            last = take(flatten(lists()))
        assert flow.run(executor="local").result[last].result == [1, 2, 3]

    def test_flatten_leaves_what_is_not_nested_alone(self):
        with Flow("flat") as flow:
            last = take(flatten(good()))
        assert flow.run(executor="local").result[last].result == 1

    def test_a_value_that_raises_while_it_is_flattened_fails_the_task(self):
        class Odd:
            def __iter__(self):
                raise OSError("connection lost")

        @task
        def make():
            return Odd()

        with Flow("flat") as flow:
            last = take(flatten(make()))
        state = flow.run(executor="local").result[last]
        assert type(state) is Failed

    def test_unmapped_hands_the_reduced_list_to_every_child(self):
        @task
        def pair(x, y):
            return x, y

        with Flow("whole") as flow:
            last = pair.map([1, 2], unmapped(take.map([3, 4])))
        assert flow.run(executor="local").result[last].result == [(1, [3, 4]), (2, [3, 4])]

    def test_a_map_over_a_map_that_was_skipped_and_gives_no_data_runs_if_skips_do_not_count(self):
        with Flow("no data") as flow:
            skipped = take.map(skip())
            args = {"skip_on_upstream_skip": False}
            last = take.map([1, 2], upstream_tasks=[skipped], task_args=args)
        assert flow.run(executor="local").result[last].result == [1, 2]

    def test_a_skipped_argument_of_two_gives_none_to_each_child_if_skips_do_not_count(self):
        @task(skip_on_upstream_skip=False)
        def pair(x, y):
            return x, y

        with Flow("half") as flow:
            last = pair.map(take.map(skip()), [1, 2])
        assert flow.run(executor="local").result[last].result == [(None, 1), (None, 2)]

    def test_a_skipped_task_with_a_result_can_be_mapped_over_if_skips_do_not_count(self):
        @task
        def skip_with() -> Any:
            raise signals.SKIP("not today", result=[1, 2])

        with Flow("result") as flow:
            last = take.map(skip_with(), task_args={"skip_on_upstream_skip": False})
        assert flow.run(executor="local").result[last].result == [1, 2]

    def test_a_map_over_nothing_but_skipped_tasks_is_skipped_though_skips_do_not_count(self):
        with Flow("nothing") as flow:
            last = take.map(skip(), task_args={"skip_on_upstream_skip": False})
        assert type(flow.run(executor="local").result[last]) is Skipped

    def test_a_signal_raised_while_a_value_is_iterated_over_decides_the_state(self):
        def enough() -> Any:
            yield 1
            raise signals.SKIP("enough")

        assert type(self.state_over(enough)) is Skipped
