"""A worker that dies takes one task with it, which is Crashed, and no more."""

from __future__ import annotations

import os
import signal
import time

import pytest
from ray import exceptions

from headrace import Flow, context, task
from headrace.exceptions import ExecutorError, WorkerCrashedError
from headrace.states import Crashed, Failed
from headrace_ray import faults


def test_one_death_among_twenty_hurts_nobody_else():
    @task
    def maybe(number):
        if number == 7:
            os._exit(3)
        return number

    with Flow("one of twenty") as flow:
        children = maybe.map(list(range(20)))
    states = flow.run(executor="ray", keep_results="all").result[children].map_states
    assert [number for number, state in enumerate(states) if isinstance(state, Crashed)] == [7]
    assert [state.result for number, state in enumerate(states) if number != 7] == [*range(7), *range(8, 20)]


def test_a_killed_worker_is_an_error_that_says_where_its_last_words_are(desk):
    (state,) = desk.outcomes(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert isinstance(state, Crashed)
    assert isinstance(state.result, WorkerCrashedError)
    assert "died" in str(state.result)
    assert "logs" in str(state.result)


def test_ray_does_not_try_again_and_headrace_does_if_it_is_asked_to(tmp_path):
    attempts = tmp_path / "attempts"

    @task(max_retries=2, retry_delay=0, retry_on=WorkerCrashedError)
    def third_time():
        with attempts.open("a") as file:
            file.write(f"{context.task_run_count} ")
        if context.task_run_count < 3:
            os._exit(1)
        return "at last"

    with Flow("retried") as flow:
        last = third_time()
    assert flow.run(executor="ray").result[last].result == "at last"
    assert attempts.read_text() == "1 2 3 "


def test_results_of_a_worker_that_dies_later_are_not_lost_with_it(desk):
    (made,) = desk.outcomes(lambda: (os.getpid(), b"x" * 100_000))
    pid = made.result[0]
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)  # Ray has to notice first, or gives the next task to the dead worker, too
    (length,) = desk.outcomes(lambda pair: len(pair[1]), pair=made._result)
    assert length.result == 100_000


def test_memory_that_runs_out_is_said_to_be_the_reason():
    error = faults.translated(exceptions.OutOfMemoryError("Memory on the node is 23/24 GB\nmore"), "hungry")
    assert isinstance(error, WorkerCrashedError)
    assert "'hungry', since its node ran out of memory: Memory on the node is 23/24 GB" in str(error)
    assert "ray-resource:memory" in str(error.hint)


@pytest.mark.parametrize("cause", [exceptions.NodeDiedError("gone"), exceptions.LocalRayletDiedError()])
def test_a_node_that_dies_is_a_crash(cause):
    error = faults.translated(cause, "far")
    assert isinstance(error, WorkerCrashedError)
    assert "node that ran task 'far' died" in str(error)


def test_what_ray_cannot_do_is_an_error_of_the_executor():
    error = faults.translated(exceptions.RuntimeEnvSetupError("no such package"), "needy")
    assert isinstance(error, ExecutorError)
    assert not isinstance(error, WorkerCrashedError)
    assert "runtime environment for task 'needy'" in str(error)
    assert "no such package" in str(error)


def test_a_runtime_environment_that_cannot_be_made_fails_the_run_at_its_start(tmp_path):
    from headrace_ray import RayExecutor

    missing = str(tmp_path / "missing.zip")
    with Flow("needy") as flow:
        task(lambda: 1, name="one")()
    with pytest.raises(ExecutorError, match=r"environment|missing\.zip"):
        flow.run(executor=RayExecutor(runtime_env={"working_dir": missing}))


def test_what_headrace_says_about_a_task_in_the_worker_is_the_tasks_failure(desk):
    (state,) = desk.outcomes(lambda value: value, value=Unreadable())
    assert isinstance(state, Failed)
    assert not isinstance(state, Crashed)
    assert "cannot be read" in str(state.result)


class Unreadable:
    def __reduce__(self):
        return spring, ()


def spring():
    raise RuntimeError("this cannot be read")
