"""The executor ``processes``, as flows see it."""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import re
import signal
import threading
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

import numpy
import pytest

from headrace import Flow, config, task, unmapped
from headrace.abc import ExecutorContext
from headrace.exceptions import ExecutorError, PluginOptionError, TaskTimeoutError, WorkerCrashedError
from headrace.states import Cancelled, Crashed, TimedOut
from headrace_plugins.processes.executor import ProcessesExecutor

CONTEXT = ExecutorContext(flow_name="flow", flow_run_id="run", task_count=1)


# -- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": "two"},
        {"workers": 2.5},
        {"workers": True},
        {"memory_limit": 0},
        {"memory_limit": 1000},
        {"max_tasks_per_worker": 0},
        {"kill_grace": -1},
        {"kill_grace": "5"},
        {"kill_grace": None},
        {"kill_grace": float("inf")},
        {"kill_grace": float("nan")},
        {"preload": 5},
        {"preload": [1]},
        {"preload": [""]},
        {"resources": ["gpu"]},
        {"resources": {1: 1}},
        {"resources": {"gpu": -1}},
        {"resources": {"gpu": "one"}},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_and_named(options):
    (name,) = options
    with pytest.raises(PluginOptionError, match=name):
        ProcessesExecutor(**options)


@pytest.mark.parametrize("amount", ["x", None, True, -1, float("nan"), float("inf")])
def test_an_amount_that_is_no_number_is_named(amount):
    with pytest.raises(PluginOptionError, match=r'finite number of at least 0 for resources\["gpu"\]'):
        ProcessesExecutor(resources={"gpu": amount})


def test_a_memory_limit_that_no_worker_could_live_with_says_so():
    with pytest.raises(PluginOptionError, match="at least 64000000 for memory_limit, and got 1000") as caught:
        ProcessesExecutor(memory_limit=1000)
    assert "bytes" in str(caught.value.hint)


def test_a_worker_lives_with_the_least_memory_that_is_accepted(states_of):
    (state,) = states_of(os.getpid, executor=ProcessesExecutor(workers=1, memory_limit=64_000_000))
    assert state.is_successful()


def test_by_default_there_is_a_worker_for_each_core_that_the_process_may_use():
    assert ProcessesExecutor().workers == len(os.sched_getaffinity(0))


def test_a_single_module_to_import_needs_no_list():
    assert ProcessesExecutor(preload="json").preload == ("json",)


def test_an_executor_that_serves_one_run_refuses_another_at_the_same_time():
    executor = ProcessesExecutor(workers=1)
    with ExitStack() as stack:
        executor.start(CONTEXT, stack)
        with pytest.raises(ExecutorError, match="another run"), ExitStack() as second:
            executor.start(CONTEXT, second)
    with ExitStack() as stack:
        executor.start(CONTEXT, stack)


def test_an_executor_can_be_sent_to_a_worker_although_it_is_in_use():
    executor = ProcessesExecutor(workers=3, resources={"gpu": 1})
    with ExitStack() as stack:
        executor.start(CONTEXT, stack)
        copy = pickle.loads(pickle.dumps(executor))
    assert (copy.workers, copy.resources) == (3, {"gpu": 1})
    with ExitStack() as stack:
        copy.start(CONTEXT, stack)


def test_a_flow_inside_of_a_task_has_processes_of_its_own():
    executor = ProcessesExecutor(workers=2)
    with Flow("inner", executor=executor) as inner:
        task(os.getpid, name="pid")()
    with Flow("outer", executor=executor) as outer:
        pid = task(os.getpid, name="pid")()
        found = inner()
    states = outer.run().result
    assert states[found].is_successful(), states[found]
    assert states[pid].result != os.getpid()


# -- crashes -------------------------------------------------------------------------------------------------------


def leave():
    os._exit(3)


def fault():
    ctypes.string_at(0)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def abort():
    os.abort()


DEATHS = {leave: (3, None), fault: (None, "SIGSEGV"), kill: (None, "SIGKILL"), abort: (None, "SIGABRT")}


def sibling(number):
    time.sleep(0.05)
    return number


@pytest.mark.parametrize("death", DEATHS)
def test_a_crash_takes_one_task_and_no_other(death, capfd):
    with Flow("crash") as flow:
        before = task(sibling).map(list(range(4)))
        dead = task(death)()
        after = task(sibling).map(list(range(4, 8)))
    states = flow.run(executor=ProcessesExecutor(workers=2)).result
    state = states[dead]
    assert isinstance(state, Crashed)
    assert isinstance(state.result, WorkerCrashedError)
    assert (state.result.exit_code, state.result.signal) == DEATHS[death]
    assert (states[before].result, states[after].result) == ([0, 1, 2, 3], [4, 5, 6, 7])


def test_a_crash_can_be_retried(tmp_path):
    def die_once():
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return "alive"

    with Flow("retried") as flow:
        retried = task(die_once, max_retries=2, retry_delay=0, retry_on=WorkerCrashedError)()
    state = flow.run(executor=ProcessesExecutor(workers=1)).result[retried]
    assert state.result == "alive"
    assert [type(attempt) for attempt in state.attempts] == [Crashed]


def test_a_crash_knows_when_the_task_began():
    def live_for_a_while():
        time.sleep(0.2)
        os._exit(1)

    with Flow("timed") as flow:
        crashed = task(live_for_a_while)()
    duration = flow.run(executor=ProcessesExecutor(workers=1)).result[crashed].duration
    assert 0.2 <= duration < 10


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at /proc")
def test_nothing_is_left_of_a_hundred_crashes(is_gone):
    before = descriptors(), threading.active_count()
    with Flow("crashes") as flow:
        tasks = task(lambda number: os._exit(number % 2) if number % 2 else number, name="die").map(list(range(200)))
        supervisor = task(os.getppid, name="look")()
    states = flow.run(executor=ProcessesExecutor(workers=2)).result
    crashed = [isinstance(state, Crashed) for state in states[tasks].map_states]
    assert crashed == [False, True] * 100
    assert (descriptors(), threading.active_count()) == before
    assert is_gone(states[supervisor].result)
    assert Path("/proc/self/maps").read_text().count("memfd:headrace") == 0


# -- timeouts ------------------------------------------------------------------------------------------------------

GRACE = 0.3


def sleep():
    time.sleep(60)


def one_long_c_call():
    return sum(range(10**10))


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def mask_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)


def backtrack():
    return re.match(r"(a*)*b", "a" * 100)


def swallow():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def wait_in_c():
    # Holds the interpreter's lock.
    ctypes.PyDLL(None).sleep(60)


HANGS = [sleep, one_long_c_call, ignore_signals, mask_signals, backtrack, swallow, wait_in_c]


def test_tasks_that_are_out_of_time_are_gone(tmp_path, is_gone, pid_in):
    """Whatever they do, and although the two that compute keep both cores busy."""

    def run(hang):
        (tmp_path / hang.__name__).write_text(f"{os.getpid()}\n")
        return hang()

    with Flow("late") as flow:
        late = task(run, name="late", timeout=1).map(HANGS)
        good = task(sibling)(1)
    states = flow.run(executor=ProcessesExecutor(workers=1 + len(HANGS), kill_grace=GRACE)).result
    assert states[good].result == 1
    for hang, state in zip(HANGS, states[late].map_states, strict=True):
        assert isinstance(state, TimedOut), hang
        assert isinstance(state.result, TaskTimeoutError)
        assert is_gone(pid_in(tmp_path / hang.__name__), 0), hang
        # Half a second is for a machine that has nothing else to do.
        took = state.timestamp - (tmp_path / hang.__name__).stat().st_mtime
        assert took < 1 + GRACE + 0.5 + 2.0, hang


def test_the_time_of_a_task_begins_when_what_it_needs_has_been_read(tmp_path, monkeypatch):
    """Neither the start of the process nor an import that takes long uses it up."""
    (tmp_path / "slow_module_of_test.py").write_text("import time\ntime.sleep(0.7)\ndef one(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    slow_module = importlib.import_module("slow_module_of_test")
    with Flow("slow import") as flow:
        quick = task(slow_module.one, timeout=0.5)()
    state = flow.run(executor=ProcessesExecutor(workers=1, kill_grace=0.1)).result[quick]
    assert state.result == 1


# -- resources -----------------------------------------------------------------------------------------------------


def busy(path):
    (path / f"{os.getpid()}").touch()
    together = len(list(path.iterdir()))
    time.sleep(0.03)
    (path / f"{os.getpid()}").unlink()
    return together


def test_tasks_share_resources(tmp_path):
    with Flow("shared") as flow:
        together = task(busy, resources={"gpu": 1}).map([tmp_path] * 8)
    states = flow.run(executor=ProcessesExecutor(workers=3, resources={"gpu": 1})).result
    assert states[together].result == [1] * 8


def test_tasks_that_need_nothing_do_not_wait_for_those_that_do(tmp_path):
    def wait(path):
        deadline = time.monotonic() + 20
        while not (path / "other").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return (path / "other").exists()

    with Flow("mixed") as flow:
        needy = task(wait, resources={"gpu": 1}).map([tmp_path] * 20)
        task((tmp_path / "other").touch, name="other")()
    states = flow.run(executor=ProcessesExecutor(workers=2, resources={"gpu": 1})).result
    assert states[needy].result == [True] * 20


@pytest.mark.parametrize(("has", "says"), [({}, "0"), ({"gpus": 5}, "gpus"), ({"gpu": 1}, "has 1")])
def test_a_task_that_needs_more_than_there_is_fails_and_says_so(has, says):
    """Instead of waiting for ever."""
    with Flow("too much") as flow:
        needy = task(sibling, resources={"gpu": 2})(1)
        good = task(sibling)(2)
    states = flow.run(executor=ProcessesExecutor(workers=1, resources=has)).result
    assert isinstance(states[needy].result, PluginOptionError)
    assert says in str(states[needy].message)
    assert states[good].result == 2


# -- values --------------------------------------------------------------------------------------------------------


def test_arrays_arrive_whole_and_can_be_written_to():
    def change(array):
        array[0] = 7
        return array

    array = numpy.arange(1_250_000, dtype="f8")
    with Flow("arrays") as flow:
        changed = task(change)(array)
        again = task(change)(changed)
    states = flow.run(executor=ProcessesExecutor(workers=2)).result
    found = states[again].result
    assert found[0] == 7
    assert numpy.array_equal(found[1:], array[1:])
    assert array[0] == 0
    found[1] = 5


def memory_behind(array):
    """Return which file an array lies in."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, _, _, inode, *_ = line.split()
        first, last = (int(each, 16) for each in place.split("-"))
        if first <= address < last:
            return int(inode)
    raise LookupError(address)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at /proc")
def test_children_of_a_map_share_the_memory_of_what_they_have_in_common():
    def look(number, array):
        time.sleep(0.05)
        return memory_behind(array)

    with Flow("shared") as flow:
        places = task(look).map(list(range(12)), unmapped(numpy.zeros(200_000)))
    found = flow.run(executor=ProcessesExecutor(workers=2)).result[places].result
    assert 0 not in found
    assert len(set(found)) < 6


def test_children_of_a_map_do_not_see_what_others_write_to_what_they_have_in_common():
    def write(number, array):
        before = float(array.sum())
        array[:] = number + 1
        return before

    array = numpy.zeros(200_000)
    with Flow("shared") as flow:
        sums = task(write).map(list(range(12)), unmapped(array))
    found = flow.run(executor=ProcessesExecutor(workers=2)).result[sums].result
    assert found == [0.0] * 12
    assert not array.any()


def test_many_arrays_are_held_at_once():
    """More than a process can have files open."""
    import resource

    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(200, most), hard))
    try:
        with Flow("many") as flow:
            made = task(lambda number: numpy.full(5_000, number), name="make").map(list(range(400)))
            total = task(lambda arrays: sum(int(array[0]) for array in arrays), name="total")(made)
        assert flow.run(executor=ProcessesExecutor(workers=2)).result[total].result == sum(range(400))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def test_two_hundred_megabytes_are_passed_on():
    with Flow("large") as flow:
        made = task(lambda size: bytes(size), name="make")(200_000_000)
        length = task(lambda value: (len(value), value[-1]), name="look")(made)
    state = flow.run(executor=ProcessesExecutor(workers=2), keep_results="auto")
    assert state.result[length].result == (200_000_000, 0)


def test_a_worker_gets_what_a_map_has_in_common_once(tmp_path):
    """The function, and what it takes along, is read once in each worker, not for every child."""
    held = Noted(tmp_path)
    with Flow("map") as flow:
        pids = task(lambda _number: (str(held), os.getpid())[1], name="use").map(list(range(200)))
    found = set(flow.run(executor=ProcessesExecutor(workers=2)).result[pids].result)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{pid}-1" for pid in found)


class Noted:
    """Leaves a file behind each time that it is read from a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return _note, (self.path,)


def _note(path):
    count = len(list(path.glob(f"{os.getpid()}-*"))) + 1
    (path / f"{os.getpid()}-{count}").touch()
    return path


def test_what_has_been_delivered_is_not_kept():
    """A large value lives as long as somebody needs it."""
    from headrace.engine.worker import Outcome, Work

    delivered: list[Outcome] = []
    done = threading.Event()
    executor = ProcessesExecutor(workers=1)
    with ExitStack() as stack:
        executor.start(CONTEXT, stack)
        value = numpy.zeros(100_000)
        gone = weakref.ref(value)
        work = Work(1, task(lambda array: array, name="same"), "same", {"array": value}, -1, 1, None, False, None, None)

        def deliver(outcome: Outcome) -> None:
            delivered.append(outcome)
            done.set()

        executor.submit(work, deliver)
        assert done.wait(20)
        del value, work
        result = weakref.ref(delivered[0].state.result)
        delivered.clear()
        deadline = time.monotonic() + 5
        while (gone() is not None or result() is not None) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gone() is None
        assert result() is None


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_may_be_driven_by_any_thread():
    results = []

    def run():
        with Flow("thread") as flow:
            done = task(sibling).map([1, 2, 3])
            task(leave)()
        results.append(flow.run(executor=ProcessesExecutor(workers=2)).result[done].result)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [[1, 2, 3]] * 2


def test_a_run_ends_quickly_although_its_process_was_forked_meanwhile():
    """A copy of the driver, which lives on, holds copies of all connections."""
    children = []

    def fork(_task, _old, new):
        if new.is_running():
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            children.append(pid)

    with Flow("forked") as flow:
        first = task(sibling, state_handlers=[fork])(1)
        second = task(sibling, state_handlers=[fork])(first)
    began = time.monotonic()
    try:
        assert flow.run(executor=ProcessesExecutor(workers=2)).result[second].result == 1
        assert time.monotonic() - began < 8
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_clean_up_after_a_cancel_runs_in_good_workers(tmp_path):
    """Not in one that is about to be interrupted, or to be killed."""
    from headrace import resource_manager

    class Folder:
        def setup(self):
            return tmp_path

        def cleanup(self, path):
            time.sleep(0.2)
            (path / "cleaned up").touch()

    def interrupt():
        time.sleep(0.1)
        raise KeyboardInterrupt

    folders = resource_manager(Folder)
    with Flow("cancelled") as flow, folders() as folder:
        task(interrupt)(upstream_tasks=[folder])
        task(sleep)(upstream_tasks=[folder])
    with config.set_temporary_config({"engine.cancel_grace": 5.0}), pytest.raises(KeyboardInterrupt):
        flow.run(executor=ProcessesExecutor(workers=2, kill_grace=GRACE))
    assert (tmp_path / "cleaned up").exists()


def test_thousands_of_jobs_that_have_not_begun_are_taken_back(tmp_path):
    found = {}

    def interrupt(number):
        if number == 500:
            raise KeyboardInterrupt
        return number

    with Flow("many", terminal_state_handler=lambda _flow, _state, states: found.update(states)) as flow:
        many = task(interrupt).map(list(range(3000)))
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=ProcessesExecutor(workers=2, kill_grace=GRACE))
    states = found[many].map_states
    assert isinstance(states[500], Cancelled)
    assert isinstance(states[-1], Cancelled)
    succeeded = [number for number, state in enumerate(states) if not isinstance(state, Cancelled)]
    assert [states[number].result for number in succeeded] == succeeded
    assert 400 < len(succeeded) < 1000


def test_every_worker_is_used_and_replaced_after_so_many_tasks():
    with Flow("replaced") as flow:
        pids = task(lambda _: os.getpid(), name="look").map(list(range(12)))
    found = flow.run(executor=ProcessesExecutor(workers=2, max_tasks_per_worker=3)).result[pids].result
    assert max(found.count(pid) for pid in found) <= 3
    assert len(set(found)) >= 4
