"""Short work travels together, and each piece of it has the promises that it has alone."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import cloudpickle
import pytest
import ray

from headrace import Flow, task
from headrace.exceptions import TransferError, WorkerCrashedError
from headrace.states import Cancelled, Crashed, Failed

# Enough for some to travel together, also on a busy machine.
_MANY = 600


@pytest.fixture(scope="module", autouse=True)
def _helpers_travel():
    """Let workers have the functions of this file, which they cannot import."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def call_in_task():
    """Return how many calls there were in this Ray task, this one included."""
    here = ray.get_runtime_context().get_task_id()
    name, _, count = os.environ.get("HEADRACE_TEST_CALLS", "").partition(" ")
    found = int(count) + 1 if name == here else 1
    os.environ["HEADRACE_TEST_CALLS"] = f"{here} {found}"
    return found


def is_chosen(folder):
    """Tell whether this is the one call that is to be special: the first that is the second of its Ray task."""
    return call_in_task() == 2 and is_first(folder)


def is_first(folder):
    """Tell whether nobody has called this before."""
    try:
        (folder / "chosen").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def note(folder, number):
    """Note that a call was made."""
    with (folder / "calls").open("a") as file:
        file.write(f"{number}\n")


def noted(folder):
    """Return how often each call was made."""
    return Counter(int(line) for line in (folder / "calls").read_text().split())


def in_a_map(function, **options):
    """Call ``function`` with many numbers, mapped, and return the states."""
    with Flow("many") as flow:
        children = task(function, name="child", **options).map(list(range(_MANY)))
    return flow.run(executor="ray", keep_results="all").result[children].map_states


def test_short_work_travels_together_and_comes_back_in_its_own_place():
    states = in_a_map(lambda number: (number, ray.get_runtime_context().get_task_id()))
    assert [state.result[0] for state in states] == list(range(_MANY))
    assert len({state.result[1] for state in states}) < _MANY / 2


@pytest.mark.parametrize("options", [{"timeout": 60}, {"max_retries": 1, "retry_delay": 0, "timeout": 60}])
def test_what_has_a_timeout_travels_alone(options):
    made = task(lambda number: (number, ray.get_runtime_context().get_task_id()), name="timed", **options)
    with Flow("timed") as flow:
        children = made.map(list(range(60)))
    states = flow.run(executor="ray", keep_results="all").result[children].map_states
    assert len({state.result[1] for state in states}) == 60


def test_what_takes_its_time_travels_alone():
    made = task(lambda _: time.sleep(0.02) or ray.get_runtime_context().get_task_id(), name="slow")
    with Flow("slow") as flow:
        children = made.map(list(range(60)))
    states = flow.run(executor="ray", keep_results="all").result[children].map_states
    assert len({state.result for state in states}) == 60


def test_a_death_in_company_takes_nobody_along(tmp_path):
    def child(number):
        note(tmp_path, number)
        if is_chosen(tmp_path):
            os._exit(3)
        return number

    states = in_a_map(child)
    dead = [number for number, state in enumerate(states) if not state.is_successful()]
    assert (tmp_path / "chosen").exists()
    assert len(dead) == 1
    assert isinstance(states[dead[0]], Crashed)
    assert isinstance(states[dead[0]].result, WorkerCrashedError)
    assert set(noted(tmp_path).values()) == {1}, "what had ended was not run again"


def test_a_death_in_company_may_be_tried_again(tmp_path):
    def child(number):
        note(tmp_path, number)
        if is_chosen(tmp_path):
            os._exit(3)
        return number

    states = in_a_map(child, max_retries=1, retry_delay=0, retry_on=WorkerCrashedError)
    assert [state.result for state in states] == list(range(_MANY))
    assert sorted(noted(tmp_path).values()) == [*[1] * (_MANY - 1), 2]


def test_one_that_takes_long_does_not_hold_the_others_up(tmp_path):
    def child(number):
        if is_chosen(tmp_path):
            deadline = time.monotonic() + 60
            while len(noted(tmp_path)) < _MANY - 1 and time.monotonic() < deadline:
                time.sleep(0.05)
            return len(noted(tmp_path))
        note(tmp_path, number)
        return None

    states = in_a_map(child)
    assert [state.result for state in states if state.result is not None] == [_MANY - 1]
    assert set(noted(tmp_path).values()) == {1}


def test_an_error_is_that_of_one(tmp_path):
    def child(number):
        note(tmp_path, number)
        if is_chosen(tmp_path):
            raise ValueError(f"I am {number}")
        return number

    states = in_a_map(child)
    ((number, state),) = [(number, state) for number, state in enumerate(states) if not state.is_successful()]
    assert isinstance(state.result, ValueError)
    assert str(state.result) == f"I am {number}"
    assert set(noted(tmp_path).values()) == {1}


def test_a_result_that_cannot_be_sent_fails_one(tmp_path):
    def child(number):
        note(tmp_path, number)
        return threading.Lock() if is_chosen(tmp_path) else number

    states = in_a_map(child)
    (state,) = [state for state in states if not state.is_successful()]
    assert isinstance(state, Failed)
    assert isinstance(state.result, TransferError)
    assert set(noted(tmp_path).values()) == {1}


def test_an_argument_that_cannot_be_read_fails_one():
    with Flow("unreadable") as flow:
        items = [Unreadable() if number == 300 else number for number in range(_MANY)]
        children = task(lambda number: number, name="child").map(items)
    states = flow.run(executor="ray", keep_results="all").result[children].map_states
    assert [number for number, state in enumerate(states) if not state.is_successful()] == [300]
    assert isinstance(states[300].result, TransferError)
    assert not isinstance(states[300], Crashed)


class Unreadable:
    def __reduce__(self):
        return spring, ()


def spring():
    raise RuntimeError("this cannot be read")


def test_a_large_result_is_kept_like_any_other(tmp_path):
    def child(number):
        note(tmp_path, number)
        return bytes([number % 256]) * 20_000 if is_chosen(tmp_path) else number

    states = in_a_map(child)
    ((number, large),) = [(number, each.result) for number, each in enumerate(states) if each.result != number]
    assert large == bytes([number % 256]) * 20_000
    assert set(noted(tmp_path).values()) == {1}


def test_results_of_others_come_along():
    with Flow("two maps") as flow:
        first = task(lambda number: [number] * 3, name="first").map(list(range(_MANY)))
        last = task(lambda numbers: sum(numbers), name="last").map(first)
    state = flow.run(executor="ray", keep_results="all").result[last]
    assert state.result == [3 * number for number in range(_MANY)]


def test_what_one_does_to_a_shared_argument_the_others_do_not_see():
    shared = task(lambda: [list(range(10)) for _ in range(1000)], name="shared")

    def child(number, values):
        values.append(number)
        return len(values)

    from headrace import unmapped

    with Flow("shared") as flow:
        children = task(child).map(list(range(300)), unmapped(shared()))
    assert set(flow.run(executor="ray", keep_results="all").result[children].result) == {1001}


def test_each_line_that_is_logged_arrives_once(caplog):
    in_a_map(lambda number: logging.getLogger("of.the.test").warning("line %d", number))
    lines = [message for message in caplog.messages if message.startswith("line ")]
    assert sorted(lines) == sorted(f"line {number}" for number in range(_MANY))


def test_cancelling_ends_one_and_begins_none_of_those_behind_it(desk, tmp_path):
    def child(number):
        if is_chosen(tmp_path):
            while True:
                time.sleep(0.05)
        note(tmp_path, number)

    made = task(child)
    for number in range(_MANY):
        desk.submit(made, number=number)
    _wait_for(tmp_path / "chosen")
    desk.executor.cancel(force=False)
    states = desk.collect(_MANY)
    done = {number for number, state in enumerate(states) if state.is_successful()}
    assert all(isinstance(state, Cancelled) for number, state in enumerate(states) if number not in done)
    assert done == set(noted(tmp_path))
    (state,) = desk.outcomes(lambda: "works")
    assert state.result == "works"


def test_after_an_interruption_nothing_more_of_a_batch_begins(desk, tmp_path):
    def child(number):
        here = f"{ray.get_runtime_context().get_task_id()}-{call_in_task()}"
        (tmp_path / here).touch()
        if here.endswith("-2") and is_first(tmp_path):
            (tmp_path / "interrupted").write_text(here)
            raise KeyboardInterrupt
        return number

    made = task(child)
    for number in range(_MANY):
        desk.submit(made, number=number)
    states = desk.collect(_MANY)
    assert [type(state) for state in states if not state.is_successful()] == [Cancelled]
    interrupted = (tmp_path / "interrupted").read_text()
    assert not (tmp_path / f"{interrupted.removesuffix('-2')}-3").exists()


def test_a_worker_that_is_killed_from_outside_takes_one_along_at_most(tmp_path):
    def child(number):
        note(tmp_path, number)
        (tmp_path / f"pid-{os.getpid()}").touch()
        return number

    with Flow("killed") as flow:
        children = task(child).map(list(range(5 * _MANY)))
    killer = threading.Thread(target=_kill_one, args=(tmp_path,))
    killer.start()
    states = flow.run(executor="ray", keep_results="all").result[children].map_states
    killer.join()
    assert sum(isinstance(state, Crashed) for state in states) <= 1
    assert sum(state.is_successful() for state in states) >= 5 * _MANY - 1
    assert set(noted(tmp_path).values()) == {1}


def _kill_one(folder):
    while len(list(folder.glob("pid-*"))) < 1 or len(noted(folder)) < _MANY:
        time.sleep(0.005)
    os.kill(int(next(folder.glob("pid-*")).name.removeprefix("pid-")), 9)


def test_nothing_is_left_in_the_folder_for_temporary_files():
    import tempfile

    in_a_map(lambda number: number)
    assert not list(Path(tempfile.gettempdir()).glob("headrace-ledger-*"))


def _wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
