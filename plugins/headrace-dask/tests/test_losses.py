"""Workers, schedulers and links that are lost."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any

import dask
import pytest
from distributed import Client

from headrace import Flow, context, task
from headrace.exceptions import ExecutorError, ResultError, WorkerCrashedError
from headrace.states import Crashed
from headrace_dask import DaskExecutor

Make = Callable[..., DaskExecutor]


def _big(number: int) -> bytes:
    return bytes([number]) * 100_000


def _length(data: bytes) -> int:
    return len(data)


def _signal(pid: int, number: int) -> None:
    os.kill(pid, number)
    # What comes next must not get through before the signal does.
    time.sleep(60)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _kill_who_has(client: Client, name: str) -> int:
    """Kill the workers that have results of a task; return how many."""
    pids = client.run(os.getpid)
    owners = {worker for key, workers in client.who_has().items() if name in str(key) for worker in workers}
    for worker in owners:
        os.kill(pids[worker], signal.SIGKILL)
    return len(owners)


class _KillingHere(DaskExecutor):
    """Runs the task that does the killing in this process."""

    def submit(self, work: Any, deliver: Any) -> None:
        if work.task.name == "kill":
            deliver(work())
        else:
            super().submit(work, deliver)


def test_work_that_a_lost_worker_had_not_begun_goes_to_another(executor: Make, tmp_path: Path) -> None:
    """Each piece of work begins once, but for the one that kills its worker, whatever else was there."""

    def note(number: int) -> int:
        with (tmp_path / str(number)).open("a") as file:
            file.write("begun\n")
        if number == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return number

    with Flow("one dies") as flow:
        children = task(note, name="note").map(list(range(60)))
    states = flow.run(executor=executor(), keep_results="all").result[children].map_states
    assert [number for number, state in enumerate(states) if not state.is_successful()] == [20]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"begun\n"}


def test_finished_work_is_not_done_again_when_its_results_are_lost(
    executor: Make, client: Client, tmp_path: Path
) -> None:
    """A task that needs a lost result fails and says whose it is; the task that made it does not run again."""

    def make(number: int) -> bytes:
        (tmp_path / f"made {number} {time.monotonic()}").touch()
        return _big(number)

    def lose(_made: list[bytes]) -> int:
        return 1

    @task
    def kill() -> int:
        time.sleep(0.5)
        return _kill_who_has(client, "make")

    with Flow("lost results") as flow:
        made = task(make, name="make").map([1, 2])
        killed = kill(upstream_tasks=[made])
        read = task(lose, name="read")(made, upstream_tasks=[killed])
        other = task(_big, name="other")(3, upstream_tasks=[killed])
    states = flow.run(executor=_KillingHere(address=client.scheduler.address)).result
    assert states[killed].result >= 1
    assert isinstance(states[read].result, ResultError)
    assert "result of task 'make[" in str(states[read].result)
    assert states[other].is_successful()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_sent_together_with_what_needs_a_lost_result_is_run(client: Client) -> None:
    """Dask refuses all that is sent at once, if some of it needs what is gone, which nobody here may know yet."""

    def nobody_left(dask_scheduler: Any) -> bool:
        return not any("make" in str(key) for key in dask_scheduler.tasks)

    class Slow(_KillingHere):
        """Hears of nothing for two seconds while the task runs that does the killing."""

        def submit(self, work: Any, deliver: Any) -> None:
            if work.task.name == "kill":
                assert self._session is not None
                self._session.client.loop.add_callback(time.sleep, 2)
            super().submit(work, deliver)

    @task
    def kill() -> None:
        _kill_who_has(client, "make")
        while not client.run_on_scheduler(nobody_left):
            time.sleep(0.05)

    with Flow("sent together") as flow:
        made = task(_big, name="make")(1)
        killed = kill(upstream_tasks=[made])
        measure = task(_length, name="measure")
        short, lost, long = [measure(data, upstream_tasks=[killed]) for data in (b"12", made, b"1234")]
    states = flow.run(executor=Slow(address=client.scheduler.address)).result
    assert [states[short].result, states[long].result] == [2, 4]
    assert isinstance(states[lost].result, ResultError)


def test_a_lost_result_that_a_store_has_is_read_back(executor: Make, client: Client, tmp_path: Path) -> None:
    """With a result store nothing fails when a worker takes results with it."""

    @task
    def kill() -> int:
        time.sleep(0.5)
        return _kill_who_has(client, "make")

    with Flow("stored results") as flow:
        made = task(_big, name="make").map([1, 2])
        killed = kill(upstream_tasks=[made])
        lengths = task(_length, name="measure").map(made, upstream_tasks=[killed])
    states = flow.run(executor=_KillingHere(address=client.scheduler.address), results=f"file:{tmp_path}").result
    assert states[killed].result >= 1
    assert states[lengths].result == [100_000, 100_000]


def test_a_poison_task_is_given_up(executor: Make, tmp_path: Path) -> None:
    """However many attempts it has, a task gets no more workers than it may take along."""

    def poison() -> None:
        (tmp_path / str(time.monotonic())).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    with Flow("poison") as flow:
        last = task(poison, name="poison", max_retries=5, retry_delay=0)()
        other = task(_big, name="other")(1)
    states = flow.run(executor=executor(max_worker_deaths=2)).result
    assert isinstance(states[last], Crashed)
    assert "2 workers were lost" in str(states[last].result)
    assert len(list(tmp_path.iterdir())) == 2
    assert states[other].is_successful()


@pytest.mark.parametrize(
    ("blow", "options", "told"),
    [(signal.SIGKILL, {}, "the link to its scheduler broke"), (signal.SIGSTOP, {"link_timeout": 1}, "not answered")],
)
def test_a_run_ends_when_its_scheduler_does_not_answer(
    own_cluster: Callable[..., Any], blow: int, options: dict[str, Any], told: str
) -> None:
    """What was on its way is Crashed, with an error that names the cluster; what comes later does not wait either."""
    cluster = own_cluster()
    with Flow("headless") as flow:
        hit = task(_signal, name="hit", max_retries=1, retry_delay=0)(cluster.pid, blow)
        long = task(_sleep, name="sleep").map([60] * 4)
    began = time.monotonic()
    states = flow.run(executor=DaskExecutor(address=cluster.address, **options)).result
    assert time.monotonic() - began < 50
    for state in (states[hit], *states[long].map_states):
        assert isinstance(state, Crashed)
        assert isinstance(state.result, ExecutorError)
        assert cluster.address in str(state.result)
        assert told in str(state.result)


@pytest.mark.parametrize("debug", [False, True])
def test_dask_says_nothing_of_a_lost_scheduler_unless_asked(own_cluster: Callable[..., Any], debug: bool) -> None:
    """The run has said it, with what to do next."""
    said: list[logging.LogRecord] = []
    handler = QueueHandler(SimpleQueue())
    handler.enqueue = said.append  # type: ignore[method-assign]
    logger = logging.getLogger("distributed.client")
    cluster = own_cluster(n_workers=1)
    with Flow("headless") as flow:
        hit = task(_signal, name="hit")(cluster.pid, signal.SIGKILL)
    logger.addHandler(handler)
    try:
        state = flow.run(executor=DaskExecutor(address=cluster.address, debug=debug)).result[hit]
    finally:
        logger.removeHandler(handler)
    assert "Start its scheduler again" in str(state.result)
    assert "headrace resume" in str(state.result)
    assert bool(said) == debug


def test_workers_of_this_machine_come_back_however_often_they_die() -> None:
    """Dask closes for good what is starting anew at a certain moment after it was lost, here while that takes place."""

    def second_time() -> int:
        if context.task_run_count == 1:
            os._exit(1)
        return 2

    with Flow("come back") as flow:
        # By then it would have been closed.
        last = task(second_time, name="second_time", max_retries=1, retry_delay=3)()
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "100 ms"}):
        state = flow.run(executor=DaskExecutor(cluster_kwargs=options, worker_timeout=20)).result[last]
    assert state.result == 2


def test_errors_of_lost_workers_can_be_retried_on(executor: Make) -> None:
    """``retry_on=WorkerCrashedError`` is enough."""

    def once(marker: str) -> str:
        path = Path(marker)
        if not path.exists():
            path.touch()
            os._exit(1)
        return "alive"

    with Flow("retried") as flow:
        last = task(once, max_retries=1, retry_delay=0, retry_on=WorkerCrashedError)(f"/tmp/headrace-{os.getpid()}")
    try:
        assert flow.run(executor=executor()).result[last].result == "alive"
    finally:
        Path(f"/tmp/headrace-{os.getpid()}").unlink(missing_ok=True)


def test_a_run_ends_when_somebody_closes_its_client(own_cluster: Callable[..., Any]) -> None:
    # What runs then goes on in its worker, where it would be in the way of other tests.
    client = Client(own_cluster(n_workers=1).address, set_as_default=False)
    with Flow("closed") as flow:
        long = task(_sleep, name="sleep")(60)
    Timer(1.0, client.close).start()
    began = time.monotonic()
    state = flow.run(executor=DaskExecutor(client=client)).result[long]
    assert time.monotonic() - began < 20
    assert isinstance(state, Crashed)
    assert "Dask cluster" in str(state.result)
