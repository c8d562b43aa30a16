"""Which worker gets which job, and what becomes of jobs whose worker is stopped or dies. The tests play the workers."""

from __future__ import annotations

import errno
import os
import pickle
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError
from headrace.remote import Levels
from headrace.states import Cancelled, Crashed, Success
from headrace_plugins.processes.pace import LONGEST_QUEUE
from headrace_plugins.processes.pool import Pool
from headrace_plugins.processes.protocol import Kind
from headrace_plugins.processes.supervisor import Setup

SETUP = Setup(os.getpid(), Levels({}, 0))


class Desk:
    """A pool whose workers are played, and what it delivers."""

    def __init__(self, supervisors: list[Any], new_job: Callable[..., Any], size: int, options: dict[str, Any]) -> None:
        self.supervisors = supervisors
        self.new_job = new_job
        self.outcomes: list[Outcome] = []
        self.more = threading.Condition()
        self.made = 0
        self.pool = Pool(SETUP, size, new_supervisor=self.next_supervisor, **options)
        self.closed = False

    def next_supervisor(self, _setup: Setup) -> Any:
        if self.made == len(self.supervisors):
            raise ExecutorError("There is no other supervisor.")
        self.made += 1
        return self.supervisors[self.made - 1]

    @property
    def supervisor(self) -> Any:
        return self.supervisors[self.made - 1]

    def append(self, outcome: Outcome) -> None:
        with self.more:
            self.outcomes.append(outcome)
            self.more.notify_all()

    def submit(self, *keys: int, **options: Any) -> None:
        for key in keys:
            self.pool.submit(self.new_job(key, self, **options))

    def wait(self, count: int, seconds: float = 10.0) -> dict[int, Any]:
        """Return the states of the first ``count`` jobs that were delivered, by their keys."""
        with self.more:
            assert self.more.wait_for(lambda: len(self.outcomes) >= count, seconds), f"delivered: {self.outcomes}"
        return {outcome.key: outcome.state for outcome in self.outcomes}

    def worker(self, number: int = 0) -> Any:
        """Return one of the workers that live, once there is one."""
        until(lambda: len(self.supervisor.workers) > number)
        return list(self.supervisor.workers.values())[number]

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.pool.close()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.002)


@pytest.fixture
def desk(supervisor, new_job) -> Iterator[Callable[..., Desk]]:
    """Return a function that makes a pool of played workers. Each serves itself if ``serve`` is given."""
    desks = []

    def make(size: int = 1, *, serve: Any = None, supervisors: list[Any] | None = None, **options: Any) -> Desk:
        found = supervisors or [supervisor]
        for each in found:
            each.on_start = serve and (lambda worker, id_, each=each: start(serve, each, worker, id_))
        made = Desk(found, new_job, size, {"kill_grace": 0.2} | options)
        desks.append(made)
        made.pool.start(size)
        return made

    yield make
    for each in desks:
        each.close()


def start(serve: Callable[..., Any], supervisor: Any, worker: Any, id_: int) -> None:
    """Let a worker take calls in a thread, and ``serve`` say what comes of them."""

    def run() -> None:
        try:
            while True:
                number, key = worker.call()
                if not worker.page.begin(number):
                    worker.channel.send(Kind.PASSED, pickle.dumps((number,)))
                    continue
                worker.page.start()
                if serve(key) == "die":
                    supervisor.end(id_, signal.SIGSEGV)
                    return
                worker.answer(number, key, key)
        except (EOFError, OSError, ValueError):  # it was killed
            pass

    threading.Thread(target=run, daemon=True).start()


# -- assigning -----------------------------------------------------------------------------------------------------


def test_a_job_is_delivered_with_what_its_worker_answers(desk):
    it = desk()
    it.submit(5)
    it.worker().answer(*it.worker().call(), "result")
    state = it.wait(1)[5]
    assert isinstance(state, Success)
    assert state.result == "result"


def test_each_worker_gets_one_job_at_a_time(desk):
    it = desk(2)
    it.submit(0, 1, 2)
    calls = [it.worker(number).call() for number in (0, 1)]
    assert [key for _, key in calls] == [0, 1]
    it.worker(1).answer(*calls[1])
    assert it.worker(1).call()[1] == 2


def test_workers_that_the_first_jobs_do_not_need_are_made_when_others_need_them(desk):
    it = desk(3)
    it.submit(0)
    it.worker().call()
    assert len(it.supervisor.workers) == 3
    it.supervisor.end(2, 0)
    it.supervisor.end(3, 0)
    it.submit(1)
    assert it.worker(1).call()[1] == 1


def make_quick(it: Desk, *keys: int) -> None:
    """Let the pool see that the task is quick."""
    for key in keys:
        it.submit(key)
        it.wait(key + 1)


def test_quick_jobs_wait_at_a_worker(desk):
    begin = threading.Event()
    it = desk(serve=lambda key: key < 2 or begin.wait(10))
    make_quick(it, 0, 1)
    it.submit(*range(2, 10))
    time.sleep(0.005)
    assert it.pool.withdraw() == []
    begin.set()
    it.wait(10)


def test_jobs_that_may_be_slow_do_not_wait_at_a_worker(desk):
    it = desk()
    it.submit(0, 1, 2)
    it.worker().call()
    assert [work.key for work in it.pool.withdraw()] == [1, 2]


def test_no_worker_gets_more_jobs_than_a_queue_holds(desk):
    go_on = threading.Event()
    it = desk(serve=lambda key: key < 2 or go_on.wait(10))
    make_quick(it, 0, 1)
    it.submit(*range(2, 2 + 3 * LONGEST_QUEUE))
    assert len(it.pool.withdraw()) >= 2 * LONGEST_QUEUE
    go_on.set()


def test_what_waits_behind_a_job_that_turns_out_slow_runs_elsewhere(desk):
    slow_began, go_on = threading.Event(), threading.Event()

    def serve(key: int) -> None:
        if key == 10:
            slow_began.set()
            go_on.wait(10)

    it = desk(2, serve=serve)
    make_quick(it, 0, 1, 2, 3)
    it.submit(*range(10, 20))
    assert slow_began.wait(10)
    states = it.wait(4 + 9)
    assert 10 not in states
    go_on.set()
    assert set(it.wait(4 + 10)) == {0, 1, 2, 3, *range(10, 20)}
    assert len(it.outcomes) == 14


def test_nothing_waits_behind_a_job_once_it_has_turned_out_slow(desk):
    go_on = threading.Event()
    it = desk(1, serve=lambda key: key != 10 or go_on.wait(10))
    make_quick(it, 0, 1, 2, 3)
    it.submit(10, 11)
    until(lambda: [work.key for work in it.pool.withdraw()] == [11])
    it.submit(12)
    assert [work.key for work in it.pool.withdraw()] == [12]
    go_on.set()


def test_jobs_share_resources(desk):
    running: list[int] = []
    most = []

    def serve(key: int) -> None:
        running.append(key)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(key)

    it = desk(4, serve=serve, amounts={"gpu": 2})
    it.submit(*range(12), needs={"gpu": 1})
    it.wait(12)
    assert max(most) <= 2


def test_a_worker_is_replaced_after_so_many_jobs(desk):
    it = desk(most_calls=2)
    it.submit(*range(5))
    for _ in range(2):
        worker = it.worker()
        for _ in range(2):
            worker.answer(*worker.call())
        with pytest.raises(EOFError):
            worker.call()
        it.supervisor.end(min(it.supervisor.workers), 0)
    it.worker().answer(*it.worker().call())
    assert len(it.wait(5)) == 5


def test_submitting_never_waits_for_a_worker(desk):
    """Not even where workers do not read what they are sent, as while they run something slow."""
    it = desk(2)
    for worker in (it.worker(0), it.worker(1)):
        it.submit(worker is it.worker(1), data=b"x" * 30_000)
        worker.answer(*worker.call())
    it.wait(2)
    began = time.monotonic()
    it.submit(*range(2, 2 + LONGEST_QUEUE), data=b"x" * 30_000)
    assert time.monotonic() - began < 5


def test_what_could_not_be_sent_at_once_is_sent_later(desk):
    go_on = threading.Event()
    it = desk(1, serve=lambda key: key != 2 or go_on.wait(10))
    make_quick(it, 0, 1)
    it.submit(*range(2, 40), data=b"x" * 30_000)
    go_on.set()
    assert len(it.wait(40)) == 40


# -- deaths --------------------------------------------------------------------------------------------------------


def test_a_job_whose_worker_dies_has_crashed_and_another_worker_goes_on(desk):
    it = desk(serve=lambda key: "die" if key == 1 else None)
    it.submit(0, 1, 2)
    states = it.wait(3)
    assert [type(states[key]) for key in (0, 1, 2)] == [Success, Crashed, Success]
    assert states[1].result.signal == "SIGSEGV"


def test_jobs_that_wait_at_a_worker_that_dies_run_elsewhere(desk):
    begun = []

    def serve(key: int) -> str | None:
        begun.append(key)
        return "die" if key == 5 else None

    it = desk(1, serve=serve)
    make_quick(it, 0, 1, 2, 3)
    it.submit(*range(4, 20))
    states = it.wait(20)
    assert [key for key, state in states.items() if isinstance(state, Crashed)] == [5]
    assert sorted(begun) == list(range(20))


def test_a_worker_that_dies_without_a_job_harms_nobody(desk):
    it = desk(1)
    it.worker()
    it.supervisor.end(1, signal.SIGKILL)
    it.submit(0)
    until(lambda: list(it.supervisor.workers) == [2])
    it.worker().answer(*it.worker().call())
    assert isinstance(it.wait(1)[0], Success)


def test_the_last_words_of_a_worker_are_heard(desk):
    """What it answered before it died is not lost, in whichever order the pool hears of it."""
    it = desk(1)
    for key in range(30):
        it.submit(key)
        worker, id_ = it.worker(), min(it.supervisor.workers)
        call = worker.call()
        worker.page.begin(call[0])
        worker.answer(*call)
        it.supervisor.end(id_, 0)
    assert {type(state) for state in it.wait(30).values()} == {Success}


def test_a_worker_whose_connection_somebody_keeps_open_is_over_a_while_after_its_end(desk):
    """As when a grandchild holds a copy of the socket."""
    it = desk(1)
    it.submit(0)
    worker = it.worker()
    worker.page.begin(worker.call()[0])
    copy = os.dup(worker.channel.fileno())
    worker.channel._socket.detach()
    it.supervisor.end(1, signal.SIGKILL)
    assert isinstance(it.wait(1)[0], Crashed)
    os.close(copy)


def test_a_worker_that_hangs_up_and_lives_on_is_killed(desk):
    it = desk(1)
    it.submit(0)
    worker = it.worker()
    worker.page.begin(worker.call()[0])
    worker.channel.close()
    assert "closed its connection" in str(it.wait(1)[0].result)
    assert it.supervisor.kills == [1]


def test_a_job_is_given_up_when_no_worker_lives_to_begin_it(desk):
    it = desk(1)
    it.supervisor.on_start = lambda _worker, id_: it.supervisor.end(id_, 1 << 8)
    it.supervisor.end(1, 1 << 8)
    it.submit(0)
    assert "end before they do anything" in str(it.wait(1)[0].result)


def test_a_machine_that_refuses_all_processes_ends_in_a_clear_error(desk):
    it = desk(2)
    it.supervisor.on_start = lambda _worker, id_: it.supervisor.end(id_, -1, errno.EAGAIN)
    for id_ in (1, 2):
        it.supervisor.end(id_, -1, errno.EAGAIN)
    it.submit(0, 1)
    for state in it.wait(2).values():
        assert isinstance(state, Crashed)
        assert os.strerror(errno.EAGAIN) in str(state.result)


def test_a_machine_that_refuses_another_process_has_to_do_with_those_there_are(desk, caplog):
    it = desk(2, serve=lambda _key: None)
    it.supervisor.on_start = lambda _worker, id_: it.supervisor.end(id_, -1, errno.EAGAIN)
    it.supervisor.end(2, -1, errno.EAGAIN)
    it.submit(*range(20))
    assert {type(state) for state in it.wait(20).values()} == {Success}
    assert "goes on with workers=1" in caplog.text


def test_a_driver_without_descriptors_says_so(desk):
    it = desk(1)
    it.supervisor.end(1, 0)
    it.supervisor.refuses = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    it.submit(0)
    assert os.strerror(errno.EMFILE) in str(it.wait(1)[0].result)


def test_a_driver_without_descriptors_for_more_workers_uses_those_there_are(desk):
    it = desk(2, serve=lambda _key: time.sleep(0.001))
    it.supervisor.end(1, 0)
    it.supervisor.refuses = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    it.submit(*range(10))
    assert {type(state) for state in it.wait(10).values()} == {Success}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOMEM])
def test_a_job_that_there_is_no_memory_to_send_fails_alone(desk, code):
    def refuse() -> int:
        raise OSError(code, os.strerror(code))

    it = desk(1, serve=lambda _key: None, new_file=refuse)
    it.submit(0)
    it.submit(1, data=b"x" * 100_000)
    it.submit(2)
    states = it.wait(3)
    assert [type(states[key]) for key in (0, 1, 2)] == [Success, Crashed, Success]
    assert os.strerror(code) in str(states[1].result)


# -- supervisors ---------------------------------------------------------------------------------------------------


@pytest.fixture
def several(supervisor) -> Iterator[list[Any]]:
    made = [supervisor, *(type(supervisor)() for _ in range(5))]
    yield made
    for each in made:
        each.close()


def test_the_run_goes_on_when_the_supervisor_has_died(desk, several):
    it = desk(2, supervisors=several)
    it.submit(0, 1, 2, 3)
    worker = it.worker(0)
    worker.page.begin(worker.call()[0])
    it.supervisor.die()
    until(lambda: it.made == 2)
    for _ in range(3):
        until(lambda: len(several[1].workers) > 0)
    threads = [threading.Thread(target=answer_all, args=(each,), daemon=True) for each in several[1].workers.values()]
    for thread in threads:
        thread.start()
    states = it.wait(4)
    assert [type(states[key]) for key in range(4)] == [Crashed, Success, Success, Success]
    assert "gone, together with its supervisor" in str(states[0].result)


def answer_all(worker: Any) -> None:
    try:
        while True:
            worker.answer(*worker.call())
    except (EOFError, OSError):
        pass


def test_a_supervisor_that_dies_again_and_again_ends_in_a_clear_error(desk, several):
    it = desk(1, supervisors=several)
    for each in several:
        each.on_start = lambda _worker, _id, each=each: each.die()
    several[0].die()
    it.submit(0, 1)
    assert {type(state) for state in it.wait(2).values()} == {Crashed}
    it.submit(2, 3)
    assert "dies again and again" in str(it.wait(4)[3].result)


def test_no_supervisor_leaves_nothing_behind():
    def refuse(_setup: Setup) -> Any:
        raise ExecutorError("no supervisor")

    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    with pytest.raises(ExecutorError, match="no supervisor"):
        Pool(SETUP, 1, new_supervisor=refuse)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


# -- timeouts and cancelling ---------------------------------------------------------------------------------------


def test_a_job_that_is_out_of_time_is_asked_to_end_and_then_killed(desk):
    it = desk(1)
    it.submit(0, timeout=0.05)
    worker = it.worker()
    worker.page.begin(worker.call()[0])
    worker.page.start()
    began = time.monotonic()
    state = it.wait(1)[0]
    assert type(state).__name__ == "TimedOut"
    assert it.supervisor.signals == [(1, signal.SIGTERM)]
    assert it.supervisor.kills == [1]
    assert 0.25 <= time.monotonic() - began < 0.25 + 0.5


def test_a_job_that_is_late_is_kept_and_its_worker_is_not(desk):
    """What the task has started may still run there."""
    it = desk(1)
    it.submit(0, timeout=0.01)
    worker = it.worker()
    call = worker.call()
    worker.page.begin(call[0])
    worker.page.start()
    time.sleep(0.02)
    worker.answer(*call)
    assert isinstance(it.wait(1)[0], Success)
    it.submit(1)
    until(lambda: 2 in it.supervisor.workers)
    assert it.supervisor.workers[2].call()[1] == 1
    until(lambda: it.supervisor.kills == [1])


def test_a_job_without_a_timeout_is_not_killed_for_one_before_it(desk):
    it = desk(1)
    it.submit(0, timeout=0.05)
    it.worker().answer(*it.worker().call())
    it.wait(1)
    it.submit(1)
    call = it.worker().call()
    it.worker().page.begin(call[0])
    time.sleep(0.5)
    it.worker().answer(*call)
    assert isinstance(it.wait(2)[1], Success)


def test_what_has_begun_is_asked_to_end_and_what_waits_behind_it_comes_back(desk):
    began, go_on = threading.Event(), threading.Event()

    def serve(key: int) -> None:
        if key == 2:
            began.set()
            go_on.wait(10)

    it = desk(1, serve=serve)
    make_quick(it, 0, 1)
    it.submit(2, 3, 4)
    assert began.wait(10)
    it.pool.cancel(force=False)
    until(lambda: (1, signal.SIGINT) in it.supervisor.signals)
    it.wait(4)
    go_on.set()
    states = it.wait(5)
    assert [type(states[key]) for key in (2, 3, 4)] == [Success, Cancelled, Cancelled]


def test_a_worker_that_was_told_to_stop_gets_no_other_job(desk):
    """Not even if it had not begun the one it was to stop: the signal may reach it only with the next."""
    it = desk(1)
    it.submit(0)
    it.worker().call()
    it.pool.cancel(force=False)
    assert isinstance(it.wait(1)[0], Cancelled)
    it.submit(1)
    until(lambda: 2 in it.supervisor.workers)
    assert it.supervisor.workers[2].call()[1] == 1


def test_a_worker_that_passes_over_a_job_is_free_once(desk):
    """What comes after it is not sent two jobs at once."""
    it = desk(1)
    began = threading.Event()
    make = it.supervisor.workers[1]
    for key in (0, 1):
        it.submit(key)
        make.answer(*make.call())
        it.wait(key + 1)
    it.submit(2, 3)
    call = make.call()
    make.page.begin(call[0])
    until(lambda: [work.key for work in it.pool.withdraw()] == [3])
    make.answer(*call)
    it.wait(3)
    passed = make.call()[0]
    assert not make.page.begin(passed)
    make.channel.send(Kind.PASSED, pickle.dumps((passed,)))
    it.submit(4, timeout=9)
    assert make.call()[1] == 4
    it.submit(5, timeout=9)
    assert [work.key for work in it.pool.withdraw()] == [5]
    began.set()


def test_what_does_not_end_is_killed(desk):
    it = desk(1)
    it.submit(0)
    worker = it.worker()
    worker.page.begin(worker.call()[0])
    it.pool.cancel(force=False)
    it.pool.cancel(force=True)
    assert isinstance(it.wait(1)[0], Cancelled)


@pytest.mark.parametrize("timeout", [30 * 86400.0, 1e300])
def test_a_timeout_that_no_wait_of_the_system_can_last_harms_nobody(desk, timeout):
    it = desk(2)
    it.submit(0, timeout=timeout)
    late = it.worker().call()
    it.submit(1)
    it.worker(1).answer(*it.worker(1).call())
    assert isinstance(it.wait(1)[1], Success)
    it.worker().answer(*late)
    assert isinstance(it.wait(2)[0], Success)


def test_a_grace_that_no_wait_of_the_system_can_last_harms_nobody(desk):
    it = desk(kill_grace=1e300, serve=lambda _: None)
    it.submit(0)
    assert isinstance(it.wait(1)[0], Success)
    it.close()


# -- the end -------------------------------------------------------------------------------------------------------


def test_nothing_waits_for_a_thread_that_has_failed(desk):
    """If the pool's own thread dies of an unexpected error, every job is delivered with that error."""
    it = desk(2, amounts={"gpu": 1})

    def refuse(_outcome: Outcome) -> None:
        raise KeyError("unexpected")

    bad = it.new_job(0)
    bad.deliver = refuse
    it.pool.submit(bad)
    it.submit(1)
    it.submit(2, needs={"gpu": 1})
    it.submit(3, needs={"gpu": 1})
    it.worker().answer(*it.worker().call())
    for state in it.wait(3).values():
        assert isinstance(state, Crashed)
        assert "KeyError" in str(state.result)
    it.submit(4, needs={"gpu": 1})
    assert isinstance(it.wait(4)[4], Crashed)


def test_closing_kills_what_runs(desk):
    it = desk(2)
    it.submit(0, 1, 2)
    it.worker().page.begin(it.worker().call()[0])
    it.close()
    assert it.supervisor.kills == [1, 2]


def test_closing_waits_for_what_a_stopped_task_has_started_and_kills_it_then(desk):
    it = desk(1)
    it.submit(0, timeout=0.01)
    worker = it.worker()
    call = worker.call()
    worker.page.begin(call[0])
    worker.page.start()
    time.sleep(0.02)
    worker.answer(*call)
    it.wait(1)
    began = time.monotonic()
    it.close()
    assert it.supervisor.kills == [1]
    assert 0.1 < time.monotonic() - began < 5


def test_a_pool_that_was_never_started_can_be_closed(supervisor):
    Pool(SETUP, 1, new_supervisor=lambda _: supervisor).close()


@pytest.mark.parametrize("seed", range(3))
def test_every_job_is_delivered_once_and_begun_once_whatever_happens(desk, seed):
    """Quick and slow jobs and workers that die, in any order: only what had begun where a worker died is lost."""
    chance = random.Random(seed)
    fates = [chance.choices(["", "slow", "die"], [30, 2, 1])[0] for _ in range(400)]
    begun = []

    def serve(key: int) -> str:
        begun.append(key)
        if fates[key] == "slow":
            time.sleep(0.03)
        return fates[key]

    it = desk(3, serve=serve)
    sent = 0
    while sent < len(fates):
        if sent - len(it.outcomes) < 3 * it.pool.depth:
            it.submit(sent, task_id=chance.choice("ab"))
            sent += 1
        else:
            time.sleep(0.0005)
    states = it.wait(len(fates), 30)
    assert len(it.outcomes) == len(states) == len(fates)
    assert sorted(begun) == list(range(len(fates)))
    crashed = [key for key, state in sorted(states.items()) if isinstance(state, Crashed)]
    assert crashed == [key for key, fate in enumerate(fates) if fate == "die"]
