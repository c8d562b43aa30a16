"""The workers of a pool."""

from __future__ import annotations

import errno
import os
import selectors
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.exceptions import ExecutorError
from headrace.remote import Levels
from headrace_plugins.processes.crew import Crew
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.protocol import End
from headrace_plugins.processes.supervisor import Setup

SETUP = Setup(os.getpid(), Levels({}, 0))


@pytest.fixture
def crew(supervisor) -> Iterator[Crew]:
    with selectors.DefaultSelector() as selector:
        made = Crew(SETUP, 2, selector, lambda _: supervisor, nameless_file)
        yield made
        made.close()


def free(crew: Crew) -> Any:
    worker = crew.free()
    assert worker is not None
    return worker


def test_there_are_no_more_workers_than_were_asked_for(crew):
    crew.prepare(5)
    assert len(list(crew)) == 2
    free(crew), free(crew)
    assert crew.free() is None


def test_a_worker_that_rests_is_free_again(crew):
    worker = free(crew)
    crew.rest(worker)
    assert crew.free() is worker


def test_a_worker_that_ends_makes_room_for_another(crew):
    first, second = free(crew), free(crew)
    first.retire(at_once=True)
    third = free(crew)
    assert third not in {first, second}


def test_a_worker_that_has_hung_up_is_not_free(crew):
    worker = free(crew)
    crew.rest(worker)
    crew.listen_no_more(worker)
    assert crew.free() is not worker


def test_the_worker_with_the_fewest_jobs_takes_another(crew, new_job):
    first, second = free(crew), free(crew)
    for worker, jobs in ((first, 2), (second, 1)):
        for key in range(jobs):
            worker.send(new_job(key), is_quick=True)
    assert crew.busy() is second


def test_with_a_process_refused_there_are_fewer_from_then_on(crew):
    first, second = free(crew), free(crew)
    crew.listen_no_more(second)
    second.end = End(second.id, -1, errno.EAGAIN, 0)
    crew.remove(second)
    assert crew.free() is None
    assert list(crew) == [first]


def test_without_any_worker_a_refusal_is_raised(crew, supervisor):
    supervisor.refuses = OSError(errno.EMFILE, "no")
    with pytest.raises(OSError, match="no"):
        crew.free()


def test_with_another_worker_a_refusal_means_to_wait_for_that(crew, supervisor):
    free(crew)
    supervisor.refuses = OSError(errno.EMFILE, "no")
    assert crew.free() is None


def test_workers_do_not_survive_their_supervisor(crew, supervisor):
    worker = free(crew)
    crew.abandon()
    assert (worker.orphaned, worker.retired) == (True, True)


def test_supervisors_are_replaced_a_few_times(supervisor):
    others = [supervisor, *(type(supervisor)() for _ in range(9))]
    made: list[Any] = []

    def next_supervisor(_setup: Setup) -> Any:
        made.append(others[len(made)])
        return made[-1]

    with selectors.DefaultSelector() as selector:
        crew = Crew(SETUP, 1, selector, next_supervisor, nameless_file)
        with pytest.raises(ExecutorError, match="dies again and again"):
            for _ in others:
                crew.abandon()
                crew.replace_supervisor()
        crew.close()
    assert 1 < len(made) < len(others)
    for each in others:
        each.close()
