"""Mapping, section 1.5 of the classic reference."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, context, flatten, merge, signals, task, triggers, unmapped
from headrace.control_flow import Merge
from headrace.exceptions import MappingError
from headrace.states import Failed, Mapped, Pending, Skipped, State, Success, TriggerFailed


@task
def echo(x=None):
    return x


@task
def pair(x, y):
    return x, y


@task
def broken():
    raise ValueError("no")


@task
def skip():
    raise signals.SKIP


@task
def odd_one_out(x):
    """Fail on 1, skip on 2."""
    if x == 1:
        raise ValueError(x)
    if x == 2:
        raise signals.SKIP
    return x


NEVERTHELESS: dict[str, Any] = {"trigger": triggers.all_finished, "skip_on_upstream_skip": False}


def state_of(build: Callable[[], Task], **options: Any) -> State:
    """Run a flow of what ``build`` makes, and return the state it ended in."""
    with Flow("f") as flow:
        made = build()
    state: State = flow.run(**options).result[made]
    return state


def kinds(state: State) -> list[type[State]]:
    """Return the classes of the states of the children."""
    assert isinstance(state, Mapped)
    return [type(child) for child in state.map_states]


# While the flow is built


def test_map_marks_every_argument_and_every_upstream_task_that_is_not_unmapped():
    with Flow("f") as flow:
        one, two, three = echo([1]), echo([2]), echo([3])
        last = pair.map(one, unmapped(two), upstream_tasks=[three, unmapped(echo(4))])
    assert [edge.mapped for edge in flow.graph.edges_to(last)] == [True, False, True, False]


def test_nothing_is_expanded_before_the_run():
    with Flow("f") as flow:
        one = echo(list(range(100)))
        last = echo.map(one)
    assert list(flow.tasks) == [one, last]


# What is mapped


@pytest.mark.parametrize("build", [lambda: pair.map(unmapped(1), unmapped([2])), echo.map])
def test_with_nothing_to_map_over_a_task_runs_once(build):
    state = state_of(build)
    assert type(state) is Success


def test_an_upstream_task_without_data_is_no_reason_to_map():
    """A departure: the classic engine maps over its result, so a text of four letters makes four children of ten."""
    assert state_of(lambda: echo.map(list(range(10)), upstream_tasks=[echo("text")])).result == list(range(10))


def test_an_upstream_task_that_is_mapped_is_followed_child_by_child():
    order: list[str] = []

    @task
    def note(x):
        order.append(x)

    def build() -> Task:
        first = note.map(["a0", "a1"])
        return note.map(["b0", "b1"], upstream_tasks=[first])

    assert kinds(state_of(build)) == [Success, Success]
    assert order == ["a0", "b0", "a1", "b1"]


# What happens to the parent


def test_the_parent_is_skipped_as_a_whole_after_an_upstream_task_that_was():
    state = state_of(lambda: echo.map([1, 2], upstream_tasks=[skip()]))
    assert type(state) is Skipped


def test_the_parent_never_asks_its_trigger_but_every_child_does():
    asked: list[int | None] = []

    def ask(states: Any) -> bool:
        asked.append(len(states))
        return True

    state_of(lambda: echo.map(echo.map([1, 2, 3]), task_args={"trigger": ask}))
    assert asked == [1, 1, 1]


def test_the_parent_is_never_retried_when_there_is_nothing_to_map_over():
    state = state_of(lambda: echo.map(broken(), task_args={"max_retries": 2, "retry_delay": 0}))
    assert type(state) is Failed


def test_without_a_successful_mapped_upstream_task_the_parent_is_plainly_failed():
    state = state_of(lambda: pair.map(broken(), broken(task_args={"name": "other"})))
    assert type(state) is Failed
    assert "nothing to map over" in str(state.message)


@pytest.mark.parametrize("value", [5, None, 2.5])
def test_what_cannot_be_mapped_fails_the_parent_and_says_what_it_is(value):
    state = state_of(lambda: echo.map(echo(value)))
    assert type(state) is Failed
    assert isinstance(state.result, MappingError)
    for part in ("'echo'", "'x'", repr(value), type(value).__name__, "unmapped(...)"):
        assert part in str(state.message)


@pytest.mark.parametrize("value", [{1, 2}, {1: "a", 2: "b"}, range(1, 3)])
def test_what_can_be_iterated_over_can_be_mapped(value):
    """A departure: the classic engine asks for ``__getitem__``, and a dictionary brings its flow down."""
    assert state_of(lambda: echo.map(echo(value))).result == [1, 2]


def test_a_text_is_mapped_over_letter_by_letter():
    assert state_of(lambda: echo.map(echo("abc"))).result == ["a", "b", "c"]


def test_different_lengths_fail_the_task_and_are_named():
    """A departure: the classic engine cuts to the shortest, silently."""
    state = state_of(lambda: pair.map([1, 2, 3], echo.map([1, 2])))
    assert type(state) is Failed
    for part in ("'pair'", "'x' has 3", "'y' has 2", "strict=False"):
        assert part in str(state.message)


def test_the_shortest_counts_if_that_is_asked_for():
    state = state_of(lambda: pair.map([1, 2, 3], echo.map("ab"), strict=False))
    assert state.result == [(1, "a"), (2, "b")]


# Empty maps


def test_an_empty_map_is_mapped_and_so_is_a_map_over_it_and_a_reduce_gets_an_empty_list():
    with Flow("f") as flow:
        first = echo.map(echo([]))
        second = echo.map(first)
        last = echo(second)
    states = flow.run().result
    assert [(type(states[each]), states[each].result) for each in (first, second, last)] == [
        (Mapped, []),
        (Mapped, []),
        (Success, []),
    ]
    assert states[first].map_states == []


@pytest.mark.parametrize(
    ("trigger", "end"),
    [
        (triggers.all_successful, Success),
        (triggers.all_failed, Success),
        (triggers.all_finished, Success),
        (triggers.any_successful, TriggerFailed),
        (triggers.any_failed, TriggerFailed),
        (triggers.not_all_skipped, Skipped),
    ],
)
def test_what_triggers_make_of_a_reduce_over_nothing(trigger, end):
    assert type(state_of(lambda: echo(echo.map([]), task_args={"trigger": trigger}))) is end


# Children


def test_each_child_knows_its_index_its_full_name_and_has_a_logger_of_its_own():
    @task
    def look(x):
        return context.map_index, context.task_full_name, context.task_name, context.logger.name

    assert state_of(lambda: look.map("ab")).result == [
        (0, "look[0]", "look", "headrace.look[0]"),
        (1, "look[1]", "look", "headrace.look[1]"),
    ]


def test_handlers_are_called_for_the_parent_and_for_each_child():
    """A departure: the parent is Running until its last child has finished, and then Mapped."""
    seen: list[tuple[str, str]] = []

    def handler(tracked: Task, old: State, new: State) -> None:
        seen.append((type(old).__name__, type(new).__name__))

    state_of(lambda: echo.map([1, 2], task_args={"state_handlers": [handler]}))
    child = [("Pending", "Running"), ("Running", "Success")]
    assert seen == [("Pending", "Running"), *child, *child, ("Running", "Mapped")]


def test_a_child_waits_for_the_child_it_follows_and_for_no_other():
    other_done = threading.Event()

    @task
    def first(x):
        if x == 0:
            assert other_done.wait(10), "child 1 of the second map waited for child 0 of the first"
        return x

    @task
    def second(x):
        if x == 1:
            other_done.set()
        return x

    state = state_of(lambda: second.map(first.map([0, 1])), executor="threads")
    assert kinds(state) == [Success, Success]


def test_a_child_that_fails_fails_only_the_child_that_follows_it():
    assert kinds(state_of(lambda: echo.map(odd_one_out.map([0, 1, 3])))) == [Success, TriggerFailed, Success]


def test_a_child_that_skips_skips_only_the_child_that_follows_it():
    assert kinds(state_of(lambda: echo.map(odd_one_out.map([0, 2, 3])))) == [Success, Skipped, Success]


# Reduces


def test_a_reduce_gets_the_list_of_results():
    assert state_of(lambda: echo(echo.map([1, 2]))).result == [1, 2]


@pytest.mark.parametrize(
    ("trigger", "end"),
    [
        (triggers.all_successful, TriggerFailed),
        (triggers.any_failed, Success),
        (triggers.any_successful, Success),
        (triggers.all_failed, TriggerFailed),
        (triggers.some_failed(at_least=2), TriggerFailed),
        (triggers.some_successful(at_least=2), Success),
    ],
)
def test_triggers_of_a_reduce_see_the_states_of_the_children(trigger, end):
    assert type(state_of(lambda: echo(odd_one_out.map([0, 1, 3]), task_args={"trigger": trigger}))) is end


def test_a_reduce_that_runs_all_the_same_gets_exceptions_and_none_from_what_was_skipped():
    """A departure: the classic engine may hand over the signal that skipped a child."""
    zero, error, skipped = state_of(lambda: echo(odd_one_out.map([0, 1, 2]), task_args=NEVERTHELESS)).result
    assert (zero, skipped) == (0, None)
    assert isinstance(error, ValueError)


def test_one_skipped_child_skips_a_reduce():
    assert type(state_of(lambda: echo(odd_one_out.map([0, 2])))) is Skipped


def test_unmapped_hands_the_whole_list_of_a_mapped_task_to_every_child():
    assert state_of(lambda: pair.map("ab", unmapped(echo.map([1, 2])))).result == [("a", [1, 2]), ("b", [1, 2])]


def test_one_mapped_upstream_task_that_failed_fails_the_children_one_by_one():
    assert kinds(state_of(lambda: pair.map([1, 2], broken()))) == [TriggerFailed, TriggerFailed]


def test_children_that_run_all_the_same_get_the_exception():
    state = state_of(lambda: pair.map([1, 2], broken(), task_args=NEVERTHELESS))
    assert [(x, type(y)) for x, y in state.result] == [(1, ValueError), (2, ValueError)]


def test_a_branch_that_was_not_taken_gives_none_to_each_child():
    """A departure: the classic engine cannot map over what was skipped, so a mapped merge fails."""
    state = state_of(lambda: pair.map(echo.map(skip()), [1, 2], task_args={"skip_on_upstream_skip": False}))
    assert state.result == [(None, 1), (None, 2)]


def test_mapped_branches_of_which_one_was_not_taken_can_be_merged_whole_or_child_by_child():
    with Flow("f") as flow:
        not_taken, taken = echo.map(skip()), echo.map([1, 2])
        whole = merge(not_taken, taken)
        each = Merge().map(task_1=not_taken, task_2=taken)
    states = flow.run().result
    assert states[whole].result == states[each].result == [1, 2]


def test_a_map_over_nothing_but_branches_that_were_not_taken_is_skipped():
    """A departure: the classic engine fails it."""
    assert type(state_of(lambda: Merge().map(task_1=echo.map(skip()), task_2=skip()))) is Skipped


# Retries


def test_only_the_child_that_failed_is_tried_again_and_a_reduce_waits_for_it():
    calls: Counter[int] = Counter()

    @task(max_retries=1, retry_delay=0)
    def second_time_lucky(x):
        calls[x] += 1
        if x == 1 and calls[x] == 1:
            raise ValueError(x)
        return x * 10

    with Flow("f") as flow:
        first = second_time_lucky.map([0, 1, 2])
        second = echo.map(first)
        last = echo(first)
    states = flow.run().result
    assert calls == {0: 1, 1: 2, 2: 1}
    assert [states[each].result for each in (first, second, last)] == [[0, 10, 20]] * 3


def test_each_child_has_retries_of_its_own():
    calls: Counter[int] = Counter()

    @task(max_retries=2, retry_delay=0)
    def never(x):
        calls[x] += 1
        raise ValueError(x)

    assert kinds(state_of(lambda: never.map([0, 1]))) == [Failed, Failed]
    assert calls == {0: 3, 1: 3}


# A second run


def test_a_mapped_state_that_is_given_keeps_its_children():
    with Flow("f") as flow:
        mapped = broken.map(upstream_tasks=[echo.map([1, 2])])
        last = echo(mapped)
    given = Mapped(map_states=[Success(result=10), Success(result=20)])
    assert flow.run(task_states={mapped: given}).result[last].result == [10, 20]


def test_of_a_mapped_state_that_is_given_the_children_that_are_not_finished_run():
    calls: list[int] = []

    @task
    def note(x):
        calls.append(x)
        return x

    with Flow("f") as flow:
        mapped = note.map([1, 2, 3])
    given = Mapped(map_states=[Success(result=10), None, Pending()])
    assert flow.run(task_states={mapped: given}).result[mapped].result == [10, 2, 3]
    assert calls == [2, 3]


def test_of_a_mapped_state_that_only_knows_how_many_children_there_are_all_run():
    with Flow("f") as flow:
        mapped = echo.map([1, 2, 3])
    assert flow.run(task_states={mapped: Mapped(n_map_states=3)}).result[mapped].result == [1, 2, 3]


# flatten


def test_flatten_removes_one_level_if_every_element_has_one():
    assert state_of(lambda: echo.map(flatten(echo([[1, [2]], (3,)])))).result == [1, [2], 3]


def test_flatten_passes_on_what_has_an_element_without_a_level():
    assert state_of(lambda: echo.map(flatten(echo([[1], 2])))).result == [[1], 2]


def test_flatten_leaves_texts_whole():
    """A departure: the classic engine takes them apart into letters."""
    assert state_of(lambda: echo(flatten(["ab", "cd"]))).result == ["ab", "cd"]


def test_flatten_spreads_the_lists_of_mapped_children():
    assert state_of(lambda: echo.map(flatten(echo.map([[1, 2], [], [3]])))).result == [1, 2, 3]


def test_a_failed_or_skipped_child_is_one_element_of_what_is_flattened():
    @task
    def several(x):
        return [odd_one_out.run(x)] * 2

    assert kinds(state_of(lambda: echo.map(flatten(several.map([0, 1, 2, 3]))))) == [
        *[Success] * 2,
        TriggerFailed,
        Skipped,
        *[Success] * 2,
    ]


def test_a_child_whose_result_is_no_list_is_passed_on_as_it_is():
    """A departure: the classic engine warns."""
    assert state_of(lambda: echo.map(flatten(echo.map([[1, 2], 3])))).result == [1, 2, 3]


@pytest.mark.parametrize("build", [lambda: echo([[1], [2, 3]]), lambda: echo.map([[1], [2, 3]])])
def test_flatten_on_an_argument_that_is_not_mapped_hands_over_the_flat_list(build):
    assert state_of(lambda: echo(flatten(build()))).result == [1, 2, 3]


# The end


def test_a_map_is_successful_though_all_children_failed_and_the_flow_is_not():
    with Flow("f") as flow:
        last = odd_one_out.map([1, 1])
    end = flow.run()
    assert end.result[last].is_successful()
    assert isinstance(end.result[last], Mapped)
    assert end.is_failed()


def test_a_map_knows_the_states_and_the_results_of_its_children():
    state = state_of(lambda: echo.map([5, 6]))
    assert isinstance(state, Mapped)
    assert state.result == [child.result for child in state.map_states] == [5, 6]


# What comes on top


def test_maps_over_what_mapped_children_returned_can_be_nested_with_flatten():
    def build() -> Task:
        inner = echo.map(flatten(echo.map([[[1, 2]], [[3]]])))
        return echo.map(flatten(inner))

    assert state_of(build).result == [1, 2, 3]


def test_no_more_children_are_on_their_way_than_asked_for():
    running, most = 0, 0
    lock = threading.Lock()

    @task
    def count(x):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    state_of(lambda: count.map(range(20), max_in_flight=2), executor="threads")
    assert most == 2


@pytest.mark.parametrize("values", [range(100_000), list(range(100_000))])
def test_a_hundred_thousand_children(values):
    assert state_of(lambda: echo.map(values)).result[-1] == 99_999


def test_a_parameter_is_mapped_over_whatever_it_is_given():
    with Flow("f") as flow:
        last = echo.map(Parameter("xs", default=[]))
    assert [flow.run(xs=xs).result[last].result for xs in ([], [1], "ab")] == [[], [1], ["a", "b"]]
    assert type(flow.run(xs=5).result[last]) is Failed
