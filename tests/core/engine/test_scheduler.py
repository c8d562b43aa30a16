"""The pure scheduler, driven by a simulation, and the whole engine against the reference interpreter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings, strategies
from tests.core.engine.reference import Script, assert_upstream_first, build, expect, told
from tests.core.engine.scripts import map_scripts, scripts
from tests.core.engine.simulation import Simulation

from headrace import Flow, mapped, task, unmapped
from headrace.engine.scheduler import Scheduler
from headrace.states import Cancelled, Mapped, Paused, Pending, Queued, Resume, Retrying, Scheduled, State, Success
from headrace_plugins.threads import ThreadsExecutor

quick = settings(max_examples=100, deadline=None)


def ends(run: Callable[[Flow], object], script: Script) -> None:
    """Run the flow of ``script`` and compare with the reference: ends, results, calls, and their order."""
    flow, tasks, journal = build(script)
    expected = expect(script)
    states = run(flow)
    found = states.states(*tasks) if isinstance(states, Simulation) else [states.result[t] for t in tasks]  # type: ignore[attr-defined]
    assert [told(state) for state in found] == [end.told() for end in expected.ends]
    assert journal.calls == expected.calls
    assert_upstream_first(script, journal)


@quick
@given(scripts())
def test_local_ends_like_the_reference(script):
    ends(lambda flow: flow.run(executor="local"), script)


@settings(max_examples=50, deadline=None)
@given(scripts())
def test_threads_end_like_the_reference(script):
    ends(lambda flow: flow.run(executor=ThreadsExecutor(3)), script)


@settings(max_examples=150, deadline=None)
@given(scripts(), strategies.integers(1, 6), strategies.randoms(use_true_random=False))
def test_completions_in_any_order_end_like_the_reference(script, capacity, random: Random):
    ends(lambda flow: Simulation(flow, random.randrange, capacity).run(), script)


@settings(max_examples=150, deadline=None)
@given(map_scripts(), strategies.integers(1, 6), strategies.randoms(use_true_random=False))
def test_maps_over_maps_in_any_order_end_like_the_reference(script, capacity, random: Random):
    ends(lambda flow: Simulation(flow, random.randrange, capacity).run(), script)


@settings(max_examples=150, deadline=None)
@given(
    scripts() | map_scripts(),
    strategies.integers(1, 20),
    strategies.integers(1, 6),
    strategies.randoms(use_true_random=False),
)
def test_a_cancelled_run_begins_nothing_and_finishes_everything(script, cancel_after, capacity, random: Random):
    flow, _, _ = build(script)
    simulation = Simulation(flow, random.randrange, capacity, cancel_after).run()
    assert simulation.began_after_cancel == []
    assert simulation.scheduler.unfinished == 0
    assert list(simulation.scheduler.live_children()) == []
    for run in simulation.scheduler.runs:
        states = run.state.map_states if isinstance(run.state, Mapped) else [run.state]
        assert all(state.is_finished() and not state.is_looped() for state in states)


@settings(max_examples=150, deadline=None)
@given(scripts() | map_scripts(), strategies.data(), strategies.integers(1, 6))
def test_states_brought_along_from_an_earlier_run_lead_to_the_same_end(script, data, capacity):
    flow, tasks, journal = build(script)
    first = Simulation(flow).run().states(*tasks)
    journal.entries.clear()
    kept = data.draw(strategies.sets(strategies.sampled_from(range(len(script)))))
    order = flow.plan().index
    again = Simulation(flow, capacity=capacity).run({order[tasks[number]]: first[number] for number in kept})
    expected = expect(script)
    assert [told(state) for state in again.states(*tasks)] == [end.told() for end in expected.ends]
    assert journal.calls == {call: count for call, count in expected.calls.items() if call[0] not in kept}


@settings(max_examples=50, deadline=None)
@given(scripts() | map_scripts(), strategies.integers(1, 6), strategies.integers())
def test_the_same_completions_make_the_same_order(script, capacity, seed):
    def order() -> list[str]:
        return Simulation(build(script)[0], Random(seed).randrange, capacity).run().began

    assert order() == order()


@task
def number() -> int:
    return 1


@task
def follow(x):
    return x


@task
def numbers() -> list[int]:
    return [0, 1, 2]


def began(flow: Flow, capacity: int = 1) -> list[str]:
    return Simulation(flow, capacity=capacity).run().began


def test_independent_tasks_run_in_the_order_they_were_added():
    with Flow("independent") as flow:
        for i in range(5):
            number(task_args={"name": f"n{i}"})
    assert began(flow) == ["n0", "n1", "n2", "n3", "n4"]


def test_insertion_order_breaks_ties_though_edges_came_in_another():
    flow = Flow("ties")
    first, second, last = (number.copy(name=name) for name in ("first", "second", "last"))
    for each in (first, last, second):
        flow.add_task(each)
    flow.add_edge(first, second)
    flow.add_edge(first, last)
    assert began(flow) == ["first", "last", "second"]


def test_maps_over_maps_go_depth_first():
    with Flow("deep") as flow:
        follow.map(follow.map(numbers(), task_args={"name": "a"}), task_args={"name": "b"})
    assert began(flow) == ["numbers", "a[0]", "b[0]", "a[1]", "b[1]", "a[2]", "b[2]"]


def test_a_child_with_a_free_slot_begins_before_its_older_siblings_followers_are_free():
    with Flow("wide") as flow:
        follow.map(follow.map(numbers(), task_args={"name": "a"}), task_args={"name": "b"})
    assert began(flow, capacity=3) == ["numbers", "a[0]", "a[1]", "a[2]", "b[0]", "b[1]", "b[2]"]


def test_children_are_made_only_when_there_is_room_for_them():
    with Flow("lazy") as flow:
        follow.map(list(range(1000)))
    scheduler = Scheduler(flow.plan())
    scheduler.start()
    while (decision := scheduler.next()) is not None and decision[0].map_index < 0:
        run, state = decision
        assert state is not None
        scheduler.settle(run, state)
    assert len(list(scheduler.live_children())) == 1


def test_a_child_of_two_maps_waits_for_both_though_one_of_them_gives_it_two_arguments():
    @task
    def combine(x, y, z):
        return x, y, z

    with Flow("twice") as flow:
        fast = follow.map(numbers())
        slow = follow.map(follow.map(follow.map(numbers())))
        combined = combine.map(fast, fast, slow)
    simulation = Simulation(flow, capacity=10).run()
    assert simulation.states(combined)[0].result == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]


def test_a_map_without_elements_ends_at_once_and_so_do_those_over_it():
    with Flow("empty") as flow:
        outer = follow.map(follow.map([]))
        whole = follow(outer)
    simulation = Simulation(flow).run()
    assert [state.result for state in simulation.states(outer, whole)] == [[], []]


# -- one event at a time -------------------------------------------------------------------------------------------


class Desk:
    """A scheduler for a flow, and short words for what a test does with it."""

    def __init__(self, flow: Flow, **states: State) -> None:
        self.scheduler = Scheduler(flow.plan())
        slugs = {node.slug: node.index for node in flow.plan().nodes}
        self.scheduler.start({slugs[f"{name}-1"]: state for name, state in states.items()})

    def next(self) -> tuple[str, type[State] | None] | None:
        decision = self.scheduler.next()
        if decision is None:
            return None
        self.run, self.verdict = decision
        return self.run.node.task.name, None if self.verdict is None else type(self.verdict)

    def answer(self, state: State | None = None) -> None:
        self.scheduler.settle(self.run, state or self.verdict or Success())


def chain() -> Flow:
    with Flow("chain") as flow:
        follow(number())
    return flow


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_downstream_task_is_not_given_out_before_its_upstream_task_is_settled():
    desk = Desk(chain())
    assert desk.next() == ("number", None)
    assert desk.next() is None
    desk.answer(Success(result=1))
    assert desk.next() == ("follow", None)


def test_a_run_is_given_out_once():
    desk = Desk(chain())
    assert desk.next() == ("number", None)
    desk.answer()
    assert desk.next() == ("follow", None)
    desk.answer()
    assert desk.next() is None
    assert desk.scheduler.unfinished == 0


def test_a_retrying_run_sleeps_until_its_moment():
    desk = Desk(chain())
    desk.next()
    desk.answer(Retrying(start_time=at(100)))
    assert (desk.next(), desk.scheduler.sleeping, desk.scheduler.next_wake) == (None, True, 100)
    desk.scheduler.wake(99.9)
    assert desk.next() is None
    desk.scheduler.wake(100)
    assert desk.next() == ("number", None)


@pytest.mark.parametrize("state", [Retrying(), Resume(), Scheduled(), Queued()])
def test_a_state_that_names_no_moment_means_now_whatever_the_clock_says(state):
    desk = Desk(chain())
    desk.next()
    desk.answer(state)
    assert (desk.scheduler.sleeping, desk.next()) == (False, ("number", None))


def test_sleepers_wake_in_the_order_of_their_moments():
    with Flow("sleepers") as flow:
        for name in ("late", "soon"):
            number(task_args={"name": name})
    desk = Desk(flow)
    for moment in (200, 100):
        desk.next()
        desk.answer(Retrying(start_time=at(moment)))
    desk.scheduler.wake(300)
    assert [desk.next(), desk.next()] == [("soon", None), ("late", None)]


def test_a_run_paused_for_ever_is_not_waited_for():
    desk = Desk(chain())
    desk.next()
    desk.answer(Paused())
    assert (desk.next(), desk.scheduler.sleeping) == (None, False)
    assert [run.node.task.name for run in desk.scheduler.paused()] == ["number"]


def test_a_pause_that_is_over_counts_as_resumed():
    desk = Desk(chain())
    desk.next()
    desk.answer(Paused(start_time=at(10)))
    desk.scheduler.wake(10)
    desk.next()
    assert desk.run.resumed


def test_a_retry_does_not_count_as_resumed():
    desk = Desk(chain())
    desk.next()
    desk.answer(Retrying(start_time=at(10)))
    desk.scheduler.wake(10)
    desk.next()
    assert not desk.run.resumed


def test_a_finished_state_that_was_brought_along_is_kept():
    desk = Desk(chain(), number=Success(result=7))
    assert desk.next() == ("number", Success)
    desk.answer()
    assert desk.next() == ("follow", None)
    assert desk.scheduler.arguments(desk.run) == {"x": 7}


def test_a_finished_state_is_taken_without_waiting_for_upstream_tasks():
    desk = Desk(chain(), follow=Success(result=7))
    assert desk.next() == ("number", None)
    assert desk.next() == ("follow", Success)


def test_a_retrying_state_that_was_brought_along_goes_on_with_the_next_attempt():
    desk = Desk(chain(), number=Retrying(start_time=at(50), run_count=2))
    assert desk.next() == ("number", Retrying)
    desk.answer()
    assert desk.scheduler.next_wake == 50
    desk.scheduler.wake(50)
    assert desk.next() == ("number", None)
    assert desk.run.attempt == 3


def test_a_scheduled_state_that_was_brought_along_waits_for_upstream_tasks_too():
    desk = Desk(chain(), follow=Scheduled(start_time=at(50)))
    assert desk.next() == ("number", None)
    assert desk.next() is None


def test_a_resumed_task_runs_and_says_so():
    desk = Desk(chain(), number=Resume())
    assert desk.next() == ("number", None)
    assert desk.run.resumed


def test_a_mapped_state_that_was_brought_along_is_mapped_over():
    with Flow("brought") as flow:
        below = follow.map(follow.map(numbers(), task_args={"name": "above"}), task_args={"name": "below"})
    above = next(node.index for node in flow.plan().nodes if node.task.name == "above")
    brought = Mapped(map_states=[Success(result=5), Success(result=6)])
    assert Simulation(flow).run({above: brought}).states(below)[0].result == [5, 6]


def test_cancel_ends_sleeping_and_paused_runs():
    with Flow("waiting") as flow:
        for name in ("sleeps", "pauses"):
            number(task_args={"name": name})
    desk = Desk(flow)
    for state in (Retrying(start_time=at(100)), Paused()):
        desk.next()
        desk.answer(state)
    desk.scheduler.cancel(Cancelled())
    for name in ("sleeps", "pauses"):
        assert desk.next() == (name, Cancelled)
        desk.answer()
    assert desk.scheduler.unfinished == 0


@pytest.mark.parametrize("state", [Retrying(start_time=at(10**9)), Paused(), Scheduled(start_time=at(10**9))])
def test_what_wants_to_wait_after_cancel_is_cancelled(state):
    desk = Desk(chain())
    desk.next()
    desk.scheduler.cancel(Cancelled())
    desk.answer(state)
    assert desk.next() == ("number", Cancelled)


def test_cancel_keeps_what_was_finished_before():
    desk = Desk(chain(), number=Success(result=7))
    desk.scheduler.cancel(Cancelled())
    assert desk.next() == ("number", Success)


def test_a_task_downstream_of_a_cancelled_one_is_cancelled_too():
    desk = Desk(chain())
    desk.scheduler.cancel(Cancelled())
    assert desk.next() == ("number", Cancelled)
    desk.answer()
    assert desk.next() == ("follow", Cancelled)


def test_a_value_is_consumed_when_its_last_reader_has_finished():
    with Flow("readers") as flow:
        source = number()
        follow(source)
        follow(source)
    desk = Desk(flow)
    desk.next()
    value = Success(result=[1])
    desk.answer(value)
    desk.next()
    desk.answer()
    assert desk.scheduler.consumed == []
    desk.next()
    desk.answer()
    assert desk.scheduler.consumed == [value]


def test_a_value_is_not_consumed_while_its_reader_is_to_be_retried():
    desk = Desk(chain())
    desk.next()
    desk.answer()
    desk.next()
    desk.answer(Retrying(start_time=at(1)))
    assert desk.scheduler.consumed == []


def test_a_childs_value_is_consumed_as_soon_as_the_child_that_follows_it_has_finished():
    with Flow("pairs") as flow:
        follow.map(follow.map([10, 20]))
    desk = Desk(flow)
    consumed: list[object] = []
    while desk.next() is not None:
        desk.answer(desk.verdict or Success(result=desk.scheduler.arguments(desk.run)["x"]))
        if desk.run.map_index == 0:
            consumed.append([state.result for state in desk.scheduler.consumed])
    assert consumed == [[], [10]]


def test_what_nobody_reads_is_never_consumed():
    with Flow("alone") as flow:
        number()
    desk = Desk(flow)
    desk.next()
    desk.answer()
    assert desk.scheduler.consumed == []


def test_an_unmapped_argument_is_given_whole_to_each_child():
    with Flow("whole") as flow:

        @task
        def pair(x, y):
            return x, y

        pairs = pair.map(mapped([1, 2]), unmapped([3, 4]))
    assert Simulation(flow).run().states(pairs)[0].result == [(1, [3, 4]), (2, [3, 4])]


def test_pending_runs_say_so():
    desk = Desk(chain())
    assert all(isinstance(run.state, Pending) for run in desk.scheduler.runs)


def test_a_chain_of_50_000_runs_needs_no_recursion():
    with Flow("long") as flow:
        last = number()
        for _ in range(49_999):
            last = follow(last)
    assert Simulation(flow).run().states(last)[0].result == 1


def test_a_chain_of_maps_needs_no_recursion():
    with Flow("long") as flow:
        last = numbers()
        for _ in range(2_000):
            last = follow.map(last)
    assert Simulation(flow).run().states(last)[0].result == [0, 1, 2]
