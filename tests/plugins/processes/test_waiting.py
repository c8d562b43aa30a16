"""Jobs that wait, and the resources that they share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.remote import Part
from headrace_plugins.processes.jobs import Job
from headrace_plugins.processes.waiting import Waiting


def keys(jobs) -> list[int]:
    return [job.work.key for job in jobs]


def begin_all(waiting: Waiting) -> list:
    begun = []
    while (job := waiting.next()) is not None:
        waiting.take(job)
        begun.append(job)
    return begun


def test_jobs_begin_in_the_order_in_which_they_came(new_job):
    waiting = Waiting({})
    for key in range(3):
        waiting.add(new_job(key))
    assert keys(begin_all(waiting)) == [0, 1, 2]


def test_what_was_taken_back_begins_first_and_in_order(new_job):
    waiting = Waiting({})
    waiting.add(new_job(3))
    waiting.put_back([new_job(1), new_job(2)])
    assert keys(begin_all(waiting)) == [1, 2, 3]


def test_jobs_never_use_more_than_there_is(new_job):
    waiting = Waiting({"gpu": 2})
    for key in range(3):
        waiting.add(new_job(key, needs={"gpu": 1}))
    first, second = begin_all(waiting)
    waiting.release(first)
    waiting.release(second)
    assert keys(begin_all(waiting)) == [2]


def test_a_job_that_lacks_something_lets_those_pass_that_do_not_need_it(new_job):
    waiting = Waiting({"gpu": 1})
    for key, needs in enumerate([{"gpu": 1}, {"gpu": 1}, {}]):
        waiting.add(new_job(key, needs=needs))
    assert keys(begin_all(waiting)) == [0, 2]


def test_a_job_that_needs_much_is_not_overtaken_for_ever_by_those_that_need_little(new_job):
    waiting = Waiting({"gpu": 2})
    little = new_job(0, needs={"gpu": 1})
    for job in (little, new_job(1, needs={"gpu": 2}), new_job(2, needs={"gpu": 1})):
        waiting.add(job)
    assert keys(begin_all(waiting)) == [0]
    waiting.release(little)
    assert keys(begin_all(waiting)) == [1]


def test_fractions_add_up(new_job):
    """Ten times a tenth is one, although it is not for floating-point numbers."""
    waiting = Waiting({"gpu": 1})
    for key in range(10):
        waiting.add(new_job(key, needs={"gpu": 0.1}))
    begun = begin_all(waiting)
    assert len(begun) == 10
    for job in begun:
        waiting.release(job)
    waiting.add(new_job(10, needs={"gpu": 1}))
    assert keys(begin_all(waiting)) == [10]


def test_what_is_taken_back_frees_what_it_needed(new_job):
    waiting = Waiting({"gpu": 1})
    waiting.add(new_job(0, needs={"gpu": 1}))
    waiting.put_back(begin_all(waiting))
    assert keys(begin_all(waiting)) == [0]


def test_a_job_that_is_dropped_does_not_begin_and_occupies_nothing(new_job):
    waiting = Waiting({"gpu": 1})
    dropped = new_job(0, needs={"gpu": 1})
    waiting.add(dropped)
    waiting.add(new_job(1, needs={"gpu": 1}))
    waiting.drop(dropped)
    assert keys(begin_all(waiting)) == [1]


def test_clearing_returns_all_that_has_not_begun(new_job):
    waiting = Waiting({"gpu": 1})
    for key in range(3):
        waiting.add(new_job(key, needs={"gpu": 1}))
    begin_all(waiting)
    assert keys(waiting.clear()) == [1, 2]
    assert waiting.next() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.randoms(use_true_random=False))
def test_everything_begins_some_time_and_never_more_at_once_than_there_is(needs, random):
    waiting, amounts = Waiting({"a": 3, "b": 2}), {"a": 3, "b": 2}
    jobs = [
        Job(work=None, needs={"a": a, "b": b}, deliver=print, parts=(Part("", b""),) * 2, data=b"", buffers=[])  # type: ignore[arg-type]
        for a, b in needs
    ]
    for job in jobs:
        waiting.add(job)
    running: list[Job] = []
    begun = 0
    while begun < len(jobs) or running:
        new = begin_all(waiting)
        begun += len(new)
        running += new
        for name, amount in amounts.items():
            assert sum(job.needs[name] for job in running) <= amount
        assert running, "what waits can never begin"
        waiting.release(running.pop(random.randrange(len(running))))
