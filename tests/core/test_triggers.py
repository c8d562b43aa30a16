from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, context, task, triggers
from headrace.edges import Edge
from headrace.signals import PAUSE, SKIP, TRIGGERFAIL
from headrace.states import (
    Cancelled,
    Failed,
    Mapped,
    Pending,
    Running,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
)
from headrace.triggers import (
    all_failed,
    all_finished,
    all_successful,
    always_run,
    any_failed,
    any_successful,
    manual_only,
    not_all_skipped,
    some_failed,
    some_successful,
)

GOOD, BAD, SKIPPED, CANCELLED, TIMED_OUT = Success, Failed, Skipped, Cancelled, TimedOut
NOT_PASSED = object()


def upstream(*states: State) -> dict[Edge, State]:
    target = Task(name="target")
    return {Edge(Task(name=f"up{i}"), target): state for i, state in enumerate(states)}


def verdict(trigger: Callable[..., bool], *classes: type[State]) -> bool:
    """Return whether ``trigger`` passes for upstream tasks in these states."""
    try:
        passed = trigger(upstream(*(cls() for cls in classes)))
    except TRIGGERFAIL:
        return False
    assert passed is True
    return True


TABLE: list[tuple[Callable[..., bool], tuple[type[State], ...], bool]] = [
    (all_successful, (), True),
    (all_successful, (GOOD, GOOD), True),
    (all_successful, (GOOD, SKIPPED), True),
    (all_successful, (GOOD, BAD), False),
    (all_successful, (GOOD, CANCELLED), False),
    (all_failed, (), True),
    (all_failed, (BAD, TIMED_OUT, TriggerFailed), True),
    (all_failed, (BAD, GOOD), False),
    (all_failed, (BAD, CANCELLED), False),
    (any_successful, (), True),
    (any_successful, (BAD, GOOD), True),
    (any_successful, (BAD, SKIPPED), True),
    (any_successful, (BAD, BAD), False),
    (any_successful, (CANCELLED,), False),
    (any_failed, (), True),
    (any_failed, (GOOD, BAD), True),
    (any_failed, (GOOD, TriggerFailed), True),
    (any_failed, (GOOD, SKIPPED), False),
    (all_finished, (), True),
    (all_finished, (GOOD, BAD, SKIPPED, CANCELLED), True),
    (all_finished, (GOOD, Pending), False),
    (all_finished, (GOOD, Running), False),
    (not_all_skipped, (GOOD, SKIPPED), True),
    (not_all_skipped, (GOOD, GOOD), True),
    (not_all_skipped, (GOOD, BAD), False),
    (not_all_skipped, (BAD, SKIPPED), False),
    (some_failed(), (), True),
    (some_failed(at_least=2), (), True),
    (some_failed(), (GOOD,), True),
    (some_failed(at_least=1), (GOOD, BAD), True),
    (some_failed(at_least=1), (GOOD, GOOD), False),
    (some_failed(at_least=2), (GOOD, BAD, BAD), True),
    (some_failed(at_most=1), (BAD, BAD), False),
    (some_failed(at_most=1), (BAD, GOOD), True),
    (some_failed(at_most=0), (GOOD,), True),
    (some_failed(at_most=0), (BAD,), False),
    (some_failed(at_least=0.5), (BAD, GOOD), True),
    (some_failed(at_least=0.5), (BAD, GOOD, GOOD), False),
    (some_failed(at_most=0.5), (BAD, BAD, GOOD), False),
    (some_failed(at_most=0.5), (BAD, GOOD), True),
    (some_failed(at_least=0.1, at_most=0.9), (BAD, GOOD), True),
    (some_failed(at_least=0.1, at_most=0.9), (BAD, BAD), False),
    (some_successful(at_least=1), (GOOD, BAD), True),
    (some_successful(at_least=1), (BAD, BAD), False),
    (some_successful(at_least=1), (SKIPPED,), True),
    (some_successful(at_least=1.0), (GOOD, BAD, BAD), True),
    (some_successful(at_most=1), (GOOD, GOOD), False),
    (some_successful(at_least=0.5, at_most=0.5), (GOOD, BAD), True),
]


@pytest.mark.parametrize(("trigger", "classes", "passes"), TABLE)
def test_when_it_passes(trigger, classes, passes):
    assert verdict(trigger, *classes) is passes


def test_always_run_is_all_finished():
    assert always_run is all_finished


def test_not_all_skipped_skips_if_all_are_skipped():
    with pytest.raises(SKIP) as caught:
        not_all_skipped(upstream(Skipped(), Skipped()))
    assert caught.value.state.result is None


def test_not_all_skipped_skips_without_upstream_tasks():
    with pytest.raises(SKIP):
        not_all_skipped({})


def test_manual_only_pauses_until_somebody_resumes():
    with pytest.raises(PAUSE):
        manual_only({})
    with context(resume=True):
        assert manual_only({}) is True


class TestMappedStates:
    children = Mapped(map_states=[Success(), Success(), Failed()])

    def test_each_child_counts(self):
        assert some_failed(at_least=1, at_most=1)(upstream(self.children))
        assert some_successful(at_least=2, at_most=2)(upstream(self.children))
        with pytest.raises(TRIGGERFAIL):
            all_successful(upstream(self.children))
        assert any_failed(upstream(self.children))

    def test_shares_are_shares_of_all_children(self):
        assert some_failed(at_least=0.25, at_most=0.25)(upstream(self.children, Success()))

    @pytest.mark.parametrize("trigger", [all_successful, all_failed, all_finished])
    def test_a_map_over_nothing_passes_what_concerns_all(self, trigger):
        assert trigger(upstream(Mapped())) is True

    @pytest.mark.parametrize("trigger", [any_successful, any_failed])
    def test_a_map_over_nothing_does_not_pass_what_needs_one(self, trigger):
        with pytest.raises(TRIGGERFAIL):
            trigger(upstream(Mapped()))


class TestThresholds:
    @pytest.mark.parametrize("make", [some_failed, some_successful])
    @pytest.mark.parametrize("bounds", [{"at_least": -1}, {"at_most": -0.5}])
    def test_a_negative_bound_is_a_value_error(self, make, bounds):
        with pytest.raises(ValueError, match="negative"):
            make(**bounds)

    def test_the_repr_shows_the_bounds(self):
        assert repr(some_failed(at_least=1)) == "some_failed(at_least=1, at_most=None)"

    def test_the_refusal_says_what_was_found_and_expected(self):
        with pytest.raises(TRIGGERFAIL, match="1 of 2 upstream tasks are failed, expected 2 to 2"):
            some_failed(at_least=2)(upstream(Success(), Failed()))

    def test_they_can_be_shipped(self):
        trigger = cloudpickle.loads(cloudpickle.dumps(some_failed(at_least=1)))
        assert trigger(upstream(Failed())) is True

    def test_the_others_pickle_by_name(self):
        for name in ("all_successful", "any_failed", "not_all_skipped", "manual_only"):
            trigger = getattr(triggers, name)
            assert pickle.loads(pickle.dumps(trigger)) is trigger


@task
def fine():
    return 1


@task
def broken():
    raise ValueError("broken")


def ended(trigger: Any, *upstream_tasks: Any, **options: Any) -> State:
    """Return the state of a task with ``trigger`` after upstream tasks made by calling ``upstream_tasks``."""
    with Flow("f") as flow:
        result = task(lambda: "ran", trigger=trigger, **options)(upstream_tasks=[make() for make in upstream_tasks])
    found: State = flow.run().result[result]
    return found


class TestInARun:
    def test_a_trigger_gets_the_upstream_states_by_edge(self):
        seen: list[Any] = []

        def trigger(upstream_states):
            seen.append(upstream_states)
            return True

        assert ended(trigger, fine, broken).is_successful()
        ((states),) = seen
        assert all(isinstance(edge, Edge) for edge in states)
        assert [type(state) for state in states.values()] == [Success, Failed]

    def test_all_successful_is_the_default(self):
        assert type(ended(None, fine, broken)) is TriggerFailed

    def test_a_refusal_never_runs_the_task_and_is_a_failure(self):
        state = ended(all_failed, fine)
        assert type(state) is TriggerFailed
        assert state.is_failed()
        assert state.started is None

    def test_a_refusal_is_never_retried(self):
        asked: list[int] = []

        def refuse(upstream_states):
            asked.append(1)
            return False

        assert type(ended(refuse, max_retries=3, retry_delay=0)) is TriggerFailed
        assert len(asked) == 1

    def test_a_false_answer_is_a_refusal(self):
        assert type(ended(lambda upstream_states: 0)) is TriggerFailed

    def test_an_exception_is_a_refusal_that_carries_it(self):
        state = ended(lambda upstream_states: upstream_states["nothing"])
        assert type(state) is TriggerFailed
        assert isinstance(state.result, KeyError)

    def test_an_exception_that_cannot_be_shown_is_a_refusal_too(self):
        class Shy(Exception):
            def __str__(self):
                raise RuntimeError("no")

        def refuse(upstream_states):
            raise Shy

        assert type(ended(refuse)) is TriggerFailed

    def test_a_signal_is_adopted(self):
        def skip(upstream_states):
            raise SKIP("not today")

        state = ended(skip)
        assert state.is_skipped()
        assert state.message == "not today"

    def test_a_refusal_is_a_failure_for_tasks_further_down(self):
        with Flow("f") as flow:
            refused = task(lambda: 1, trigger=all_failed, name="refused")(upstream_tasks=[fine()])
            cleanup = task(lambda: 2, trigger=any_failed, name="cleanup")(upstream_tasks=[refused])
        assert flow.run().result[cleanup].result == 2

    def test_a_skip_wins_over_every_trigger(self):
        def skip():
            raise SKIP("no")

        with Flow("f") as flow:
            result = task(lambda: 1, trigger=always_run)(upstream_tasks=[task(skip)()])
        assert flow.run().result[result].is_skipped()

    def test_unless_the_task_does_not_mind(self):
        def skip():
            raise SKIP("no")

        with Flow("f") as flow:
            result = task(lambda: 1, trigger=always_run, skip_on_upstream_skip=False)(upstream_tasks=[task(skip)()])
        assert flow.run().result[result].result == 1


class TestWhoVotes:
    def test_a_constant_argument_has_no_vote(self):
        with Flow("f") as flow:
            result = task(lambda x: x, trigger=all_failed)(5, upstream_tasks=[broken()])
        assert flow.run().result[result].result == 5

    def test_a_constant_upstream_task_has_no_vote(self):
        with Flow("f") as flow:
            result = task(lambda: 5, trigger=all_failed)(upstream_tasks=[broken(), 7])
        assert flow.run().result[result].result == 5

    def test_a_mapped_constant_has_no_vote(self):
        with Flow("f") as flow:
            result = task(lambda x: x, trigger=all_failed).map([1, 2], upstream_tasks=[broken()])
        assert flow.run().result[result].result == [1, 2]

    def test_a_parameter_has_a_vote(self):
        with Flow("f") as flow:
            result = task(lambda x: x, trigger=all_failed)(Parameter("n", default=1), upstream_tasks=[broken()])
        assert type(flow.run().result[result]) is TriggerFailed

    def test_a_task_that_feeds_two_arguments_counts_twice(self):
        with Flow("f") as flow:
            one = fine()
            result = task(lambda x, y: x + y, trigger=some_successful(at_least=2))(one, one)
        assert flow.run().result[result].result == 2

    def test_a_mapped_task_asks_for_each_child(self):
        with Flow("f") as flow:
            halves = task(lambda x: 1 // x, name="divide").map([0, 1, 0])
            result = task(lambda x: "failed", trigger=all_failed).map(halves)
        states = flow.run().result[result].map_states
        assert [type(state) for state in states] == [Success, TriggerFailed, Success]
