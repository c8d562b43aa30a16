"""What the pool remembers of jobs and workers."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.exceptions import TaskTimeoutError, WorkerCrashedError
from headrace.states import Cancelled, Crashed, TimedOut
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.jobs import WorkerHandle
from headrace_plugins.processes.pace import LONGEST_QUEUE
from headrace_plugins.processes.protocol import End, Kind, Page

EXITED = End(1, 3 << 8, 0, 0)
KILLED = End(1, signal.SIGKILL, 0, 0)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# -- jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_whose_worker_dies_has_crashed(new_job):
    state = new_job().fate(EXITED)
    assert isinstance(state, Crashed)
    assert isinstance(state.result, WorkerCrashedError)
    assert state.result.exit_code == 3


def test_a_job_that_was_killed_because_it_took_too_long_is_timed_out(new_job):
    job = new_job(timeout=2)
    job.overdue = True
    state = job.fate(KILLED)
    assert isinstance(state, TimedOut)
    assert isinstance(state.result, TaskTimeoutError)


def test_a_job_that_was_killed_because_the_run_was_cancelled_is_cancelled(new_job):
    job = new_job()
    job.cancelled = True
    assert isinstance(job.fate(KILLED), Cancelled)


def test_a_job_whose_worker_hung_up_says_so(new_job):
    assert "closed its connection" in str(new_job().fate(KILLED, hung_up=True).result)


def test_a_job_whose_worker_died_by_itself_after_it_hung_up_says_how(new_job):
    assert "exit code 3" in str(new_job().fate(EXITED, hung_up=True).result)


def test_jobs_that_are_large_share_resources_or_have_a_timeout_do_not_wait_at_a_worker(new_job):
    assert new_job().waits_well
    others = [
        new_job(timeout=1),
        new_job(needs={"gpu": 1}),
        new_job(data=b"x" * 40_000),
        new_job(buffers=[b"x"]),
    ]
    assert not any(job.waits_well for job in others)


# -- workers -------------------------------------------------------------------------------------------------------


def send(handle, *jobs, is_quick=True):
    for job in jobs:
        handle.send(job, is_quick=is_quick)
    handle.channel.flush()


def test_a_worker_gets_each_part_once(supervisor, handle, new_job):
    """What all runs of a task share is sent with the first of them, not with every child of a map."""
    send(handle, new_job(0), new_job(1), new_job(2, task_id="other"), new_job(3))
    played = supervisor.workers[1]
    for _ in range(4):
        played.call()
    parts = [message.head for message in played.messages if message.kind == Kind.PART]
    assert parts == [b"run", b"task", b"other"]


def test_a_worker_that_cannot_be_asked_for_leaves_no_descriptors(supervisor):
    supervisor.refuses = BrokenPipeError(errno.EPIPE, "gone")
    before = open_descriptors()
    with pytest.raises(BrokenPipeError):
        WorkerHandle(7, supervisor, nameless_file)
    assert open_descriptors() == before


def test_only_quick_jobs_wait_behind_quick_jobs(supervisor, handle, new_job):
    send(handle, new_job(0))
    assert handle.takes_another
    send(handle, new_job(1), is_quick=False)
    assert not handle.takes_another
    handle.answered(1)
    handle.answered(2)
    send(handle, new_job(2))
    assert handle.takes_another


def test_a_full_queue_is_filled_again_when_it_is_half_empty(handle, new_job):
    send(handle, *map(new_job, range(LONGEST_QUEUE)))
    taken = []
    for number in range(1, LONGEST_QUEUE + 1):
        taken.append(handle.takes_another)
        handle.answered(number)
    assert taken == [False] * (LONGEST_QUEUE // 2) + [True] * (LONGEST_QUEUE // 2)


def test_a_job_is_late_when_it_has_taken_longer_than_its_timeout(supervisor, handle, new_job):
    send(handle, new_job(0, timeout=0.01))
    page = supervisor.workers[1].page
    page.begin(1)
    page.start()
    time.sleep(0.02)
    assert handle.answered(1)[1]


def test_reading_what_a_job_is_called_with_does_not_use_up_its_time(supervisor, handle, new_job):
    job = new_job(0, timeout=0.01)
    send(handle, job)
    supervisor.workers[1].page.begin(1)
    time.sleep(0.02)
    assert handle.time_left(job, time.monotonic()) > 1
    assert not handle.answered(1)[1]


def test_time_does_not_pass_for_a_job_that_has_not_begun(handle, new_job):
    job = new_job(0, timeout=5)
    send(handle, job)
    assert handle.time_left(job, time.monotonic() + 100) == 5


def test_the_job_that_a_dead_worker_had_begun_is_lost_and_others_are_free(supervisor, handle, new_job):
    jobs = [new_job(key) for key in range(3)]
    send(handle, *jobs)
    supervisor.workers[1].page.begin(1)
    handle.end = EXITED
    free, lost = handle.losses()
    assert free == jobs[1:]
    ((job, state),) = lost
    assert job is jobs[0]
    assert isinstance(state, Crashed)
    assert state.started is not None
    assert abs(time.time() - state.started) < 5


def test_an_answered_job_is_not_lost_with_its_worker(supervisor, handle, new_job):
    jobs = [new_job(0), new_job(1)]
    send(handle, *jobs)
    supervisor.workers[1].page.begin(1)
    handle.answered(1)
    handle.end = EXITED
    assert handle.losses() == ([jobs[1]], [])


def test_a_job_that_nobody_lives_to_begin_is_given_up(supervisor, new_job):
    job = new_job()
    lost: list[Any] = []
    for id_ in (1, 2, 3):
        handle = WorkerHandle(id_, supervisor, nameless_file)
        send(handle, job)
        handle.end = EXITED
        free, lost = handle.losses()
        handle.close()
    assert free == []
    assert "end before they do anything" in str(lost[0][1].result)


def test_a_job_is_not_given_up_because_there_was_no_process_for_it_as_long_as_others_live(supervisor, new_job):
    job = new_job()
    for id_ in range(5):
        handle = WorkerHandle(id_, supervisor, nameless_file)
        send(handle, job)
        handle.end = End(id_, -1, errno.EAGAIN, 0)
        assert handle.losses(others_live=True) == ([job], [])
        handle.close()


def test_cancelled_jobs_that_have_not_begun_are_cancelled_with_their_worker(handle, new_job):
    job = new_job()
    job.cancelled = True
    send(handle, job)
    handle.end = KILLED
    ((_, state),) = handle.losses()[1]
    assert isinstance(state, Cancelled)


def test_what_may_have_outlived_the_supervisor_is_killed(handle):
    """On systems without a death signal, and for what the worker has forked."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        time.sleep(60)
        os._exit(0)
    handle.page._cells[handle.page._PID] = pid
    deadline = time.monotonic() + 5
    while os.getpgid(pid) != pid and time.monotonic() < deadline:
        time.sleep(0.005)
    handle.abandon()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert handle.retired


# -- the recall ----------------------------------------------------------------------------------------------------


def test_what_has_not_begun_is_taken_back(supervisor, handle, new_job):
    jobs = [new_job(key) for key in range(4)]
    send(handle, *jobs)
    page = supervisor.workers[1].page
    page.begin(1)
    handle.recall()
    assert handle.take_back() == jobs[1:]
    assert [page.begin(number) for number in (2, 3, 4)] == [False] * 3
    assert list(handle.jobs) == [1]


def test_a_worker_that_was_recalled_takes_later_jobs(supervisor, handle, new_job):
    send(handle, new_job(0), new_job(1))
    page = supervisor.workers[1].page
    page.begin(1)
    handle.recall()
    handle.take_back()
    send(handle, new_job(2))
    assert not page.begin(2)
    assert page.begin(3)


def test_an_earlier_recall_that_was_not_heeded_yet_stays_in_force(supervisor, handle, new_job):
    send(handle, new_job(0), new_job(1))
    page = supervisor.workers[1].page
    page.begin(1)
    handle.recall()
    handle.take_back()
    send(handle, new_job(2))
    handle.recall()
    handle.take_back()
    assert [page.begin(number) for number in (2, 3)] == [False, False]


class InterruptedPage(Page):
    """The worker's page, on which the driver acts between the moments when the worker writes and when it reads."""

    def __init__(self, file: int, between) -> None:
        super().__init__(file)
        self._between = between

    def recalled(self) -> tuple[int, int]:
        self._between()
        return super().recalled()


class Simulation:
    """One worker and the driver, one step at a time. A job's key says which it is."""

    def __init__(self, data, new_job) -> None:
        self.data, self.new_job = data, new_job
        self.page_file = -1
        self.handle = WorkerHandle(1, self, nameless_file)  # type: ignore[arg-type]
        self.page = InterruptedPage(self.page_file, self.some_driver_steps)
        self.sent: list[int] = []
        self.run: list[int] = []
        self.taken_back: list[int] = []
        # What the worker has said and the driver has not heard: numbers, and whether it passed over the call.
        self.said: list[tuple[int, bool]] = []
        self.next_call = 1

    def start(self, _worker: int, _connection: socket.socket, page: int) -> None:
        self.page_file = os.dup(page)

    def some_driver_steps(self) -> None:
        for step in self.data.draw(st.lists(st.sampled_from(["send", "recall", "take back", "hear"]), max_size=4)):
            self.driver_step(step)

    def driver_step(self, step: str) -> None:
        handle = self.handle
        if step == "send" and not handle.recalling:
            job = self.new_job(len(self.sent))
            self.sent.append(job.work.key)
            handle.send(job, is_quick=True)
        elif step == "recall" and handle.jobs and not handle.recalling:
            handle.recall()
        elif step == "take back" and handle.recalling:
            self.taken_back += [job.work.key for job in handle.take_back()]
        elif step == "hear" and self.said:
            number, passed = self.said.pop(0)
            if number in handle.jobs:
                job, _ = handle.answered(number)
                if passed:
                    self.taken_back.append(job.work.key)

    def worker_step(self) -> None:
        if self.next_call <= self.handle.calls:
            number = self.next_call
            self.next_call += 1
            key = self.sent[number - 1]
            begins = self.page.begin(number)
            if begins:
                self.run.append(key)
            self.said.append((number, not begins))

    def finish(self) -> None:
        """Let everything settle: what is wanted back comes back, and what is said is heard."""
        while self.next_call <= self.handle.calls or self.said or self.handle.recalling:
            self.driver_step("take back")
            self.worker_step()
            self.driver_step("hear")

    def close(self) -> None:
        self.handle.close()
        self.page.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_is_lost_and_nothing_runs_twice_however_worker_and_driver_interleave(data, new_job):
    with closing(Simulation(data, new_job)) as simulation:
        for _ in range(data.draw(st.integers(1, 12))):
            simulation.some_driver_steps()
            simulation.worker_step()
        simulation.finish()
    assert sorted(simulation.run + simulation.taken_back) == simulation.sent
