"""Triggers, section 5.2 of the classic reference: which tasks run, in whole flows."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Parameter, signals, task, triggers
from headrace.states import Failed, Mapped, Paused, Skipped, State, Success, TriggerFailed

G, B, S = "good", "bad", "skip"


@task
def good() -> str:
    return "good"


@task
def bad() -> None:
    raise ValueError("no")


@task
def skip() -> None:
    raise signals.SKIP


@task
def take(x: Any = None) -> Any:
    return x


def after(names: list[str], trigger: Any, **options: Any) -> State:
    """Return how a task ends that comes after tasks that end as ``names`` say."""
    ways: dict[str, Any] = {G: good, B: bad, S: skip}
    with Flow("f") as flow:
        upstream = [ways[name]() for name in names]
        last = take(upstream_tasks=upstream, task_args={"trigger": trigger, "skip_on_upstream_skip": False, **options})
    state: State = flow.run(on_pause=lambda names: []).result[last]
    return state


# A skip counts as a success


@pytest.mark.parametrize(
    ("trigger", "names", "ends"),
    [
        (triggers.all_successful, [S, G], Success),
        (triggers.all_failed, [B, S], TriggerFailed),
        (triggers.any_successful, [B, S], Success),
        (triggers.any_failed, [S, G], TriggerFailed),
        (triggers.all_finished, [S, B], Success),
        (triggers.always_run, [B, B], Success),
        (triggers.some_successful(at_least=2), [S, G, B], Success),
        (triggers.some_failed(at_most=1), [S, G, B], Success),
        (triggers.not_all_skipped, [S, G], Success),
        (triggers.not_all_skipped, [S, S], Skipped),
        (triggers.not_all_skipped, [S, B], TriggerFailed),
    ],
)
def test_the_table_holds_in_flows(trigger, names, ends):
    assert type(after(names, trigger)) is ends


# Without upstream tasks


@pytest.mark.parametrize(
    ("trigger", "ends"),
    [
        (triggers.all_successful, Success),
        (triggers.all_failed, Success),
        (triggers.any_successful, Success),
        (triggers.any_failed, Success),
        (triggers.all_finished, Success),
        (triggers.some_failed(at_least=1), Success),
        (triggers.some_successful(at_least=1), Success),
        (triggers.manual_only, Paused),
        (triggers.not_all_skipped, Skipped),
    ],
)
def test_without_upstream_tasks(trigger, ends):
    assert type(after([], trigger)) is ends


# Bounds


@pytest.mark.parametrize(
    ("bounds", "passes"),
    [
        ({"at_least": 0.5}, True),
        ({"at_least": 0.6}, False),
        ({"at_most": 0.5}, True),
        ({"at_most": 0.4}, False),
        ({"at_least": 2, "at_most": 2}, True),
        ({"at_least": 3}, False),
        ({"at_least": 1}, True),
        ({"at_most": 1.0}, False),
        ({}, True),
    ],
)
def test_a_bound_below_one_is_a_share_and_one_is_the_number_one(bounds, passes):
    """Two of four upstream tasks have failed, and two have not."""
    for make in (triggers.some_failed, triggers.some_successful):
        assert after([G, G, B, B], make(**bounds)).is_successful() is passes


# Who has a vote


def test_a_constant_argument_has_no_vote_so_all_failed_can_pass():
    with Flow("f") as flow:
        last = task(lambda x, y: y, name="last", trigger=triggers.all_failed)(bad(), 5)
    assert flow.run().result[last].result == 5


def test_a_parameter_is_an_upstream_success():
    with Flow("f") as flow:
        last = take(Parameter("p", default=1), upstream_tasks=[bad()], task_args={"trigger": triggers.any_successful})
        other = take(Parameter("q", default=1), upstream_tasks=[bad()], task_args={"trigger": triggers.all_failed})
    states = flow.run().result
    assert [type(states[found]) for found in (last, other)] == [Success, TriggerFailed]


def test_a_task_that_feeds_two_arguments_has_two_votes():
    with Flow("f") as flow:
        source = bad()
        last = task(lambda x, y: "both", name="last", trigger=triggers.some_failed(at_least=2))(source, source)
    assert flow.run().result[last].result == "both"


def test_each_child_of_a_map_has_a_vote():
    with Flow("f") as flow:
        inverse = task(lambda x: 1 / x, name="inverse").map([1, 0, 2])
        last = take(inverse, task_args={"trigger": triggers.some_successful(at_least=2, at_most=2)})
    assert flow.run().result[last].is_successful()


def test_the_trigger_of_a_mapped_task_decides_for_each_child():
    with Flow("f") as flow:
        inverse = task(lambda x: 1 / x, name="inverse").map([1, 0])
        rescued = task(lambda x: "rescued", name="rescue", trigger=triggers.any_failed).map(inverse)
    state = flow.run().result[rescued]
    assert isinstance(state, Mapped)
    assert [type(child) for child in state.map_states] == [TriggerFailed, Success]


# A trigger of one's own


def test_a_trigger_gets_edges_that_know_key_and_task():
    found: list[Any] = []

    def look(states: Any) -> bool:
        found.extend((edge.key, edge.upstream_task.name, type(state)) for edge, state in states.items())
        return True

    with Flow("f") as flow:
        take(good(), upstream_tasks=[bad()], task_args={"trigger": look})
    flow.run()
    assert found == [("x", "good", Success), (None, "bad", Failed)]


@pytest.mark.parametrize(
    "signal", [signals.SKIP("not now"), signals.SUCCESS("enough"), signals.PAUSE("wait"), signals.FAIL("no")]
)
def test_a_signal_decides_and_ends_the_run_of_the_task(signal):
    def decide(_states: Any) -> bool:
        raise signal

    runs: list[int] = []
    with Flow("f") as flow:
        last = task(lambda: runs.append(1), name="last", trigger=decide, max_retries=2, retry_delay=0)()
    state = flow.run(on_pause=lambda names: []).result[last]
    assert (state, runs) == (signal.state, [])


def test_a_failed_trigger_propagates_as_a_failure():
    with Flow("f") as flow:
        first = take(good(), task_args={"trigger": triggers.any_failed})
        second = take(first, task_args={"trigger": triggers.any_failed})
    states = flow.run().result
    assert [type(states[found]) for found in (first, second)] == [TriggerFailed, Success]


@pytest.mark.parametrize("trigger", [triggers.all_finished, triggers.any_successful, triggers.manual_only])
def test_a_skip_wins_unless_the_task_does_not_mind(trigger):
    assert type(after([S, G], trigger, skip_on_upstream_skip=True)) is Skipped
