"""What a worker process does with calls."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, context, task
from headrace.exceptions import TransferError
from headrace.states import Cancelled, Crashed, Failed, TimedOut
from headrace_plugins.processes.executor import ProcessesExecutor

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def in_a_line(*functions, **options):
    """Run functions one after the other in the same process; return their states."""
    with Flow("line") as flow:
        tasks: list[Any] = []
        for function in functions:
            made = task(function, name=function.__name__, trigger=lambda _states: True, **options)
            tasks.append(made(upstream_tasks=tasks[-1:]))
    states = flow.run(executor=ProcessesExecutor(workers=1, kill_grace=0.2)).result
    return [states[each] for each in tasks]


def fine():
    return "fine"


# -- how tasks end -------------------------------------------------------------------------------------------------


def test_a_task_that_exits_has_failed_and_its_process_goes_on(states_of):
    def leave():
        sys.exit(5)

    left, after = in_a_line(leave, fine)
    assert isinstance(left, Failed)
    assert not isinstance(left, Crashed)
    assert after.result == "fine"


@pytest.mark.parametrize("error", [GeneratorExit, StopIteration, RecursionError, BaseException])
def test_whatever_a_task_raises_is_its_failure(error):
    def fail():
        raise error("on purpose")

    failed, after = in_a_line(fail, fine)
    assert isinstance(failed, Failed)
    assert not isinstance(failed, Crashed)
    assert isinstance(failed.result, error)
    assert after.result == "fine"


def test_a_task_that_is_asked_to_end_from_outside_has_crashed():
    def end():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    ended, after = in_a_line(end, fine)
    assert isinstance(ended, Crashed)
    assert ended.result.signal == "SIGTERM"
    assert after.result == "fine"


def test_a_task_that_closes_all_files_has_crashed_and_says_why():
    def close():
        os.closerange(3, 500)
        time.sleep(30)

    closed, after = in_a_line(close, fine)
    assert isinstance(closed, Crashed)
    assert "closed its connection" in str(closed.message)
    assert after.result == "fine"


def test_a_copy_of_the_process_that_forgets_to_exit_answers_nothing(tmp_path):
    """A task that forks and returns in both processes has one result, that of the process that was there before."""

    def fork_and_return():
        pid = os.fork()
        (tmp_path / f"{'child' if pid == 0 else 'parent'}").touch()
        if pid:
            os.waitpid(pid, 0)
        return pid > 0

    forked, after = in_a_line(fork_and_return, fine)
    assert forked.result is True
    assert after.result == "fine"
    assert {path.name for path in tmp_path.iterdir()} == {"child", "parent"}


def test_what_a_copy_of_the_process_logs_does_not_get_between_messages():
    def log_in_many_processes():
        pids = []
        for number in range(4):
            pid = os.fork()
            if pid == 0:
                for _ in range(200):
                    logging.getLogger("forked").warning("x" * 1000)
                os._exit(0)
            pids.append(pid)
            context.logger.info("number %d", number)
        for pid in pids:
            os.waitpid(pid, 0)
        return "done"

    logged, after = in_a_line(log_in_many_processes, fine)
    assert (logged.result, after.result) == ("done", "fine")


@pytest.mark.parametrize("handled", [False, True])
def test_a_copy_of_the_process_dies_of_sigterm_whatever_it_waits_for_unless_its_task_handles_that(handled):
    """A handler in Python would not run in a process that waits in C code, as the workers of a pool may."""

    def in_a_copy():
        if handled:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    (state,) = in_a_line(in_a_copy)
    assert state.result == int(handled)


# -- what is sent --------------------------------------------------------------------------------------------------


class ReadableIn:
    """Can be read in the process that made it, and in no other."""

    def __reduce__(self):
        return _refuse_elsewhere, (os.getpid(),)


def _refuse_elsewhere(pid):
    if os.getpid() != pid:
        raise RuntimeError("not here")
    return ReadableIn()


def test_every_run_of_a_task_that_the_worker_cannot_read_fails_with_the_reason():
    """Not the first one only: the worker does not read the task again for each run."""
    held = ReadableIn()
    with Flow("unreadable") as flow:
        runs = task(lambda number: (held, number), name="unreadable").map([1, 2, 3])
        other = task(fine)()
    states = flow.run(executor=ProcessesExecutor(workers=1)).result
    for state in states[runs].map_states:
        assert isinstance(state.result, TransferError)
        assert "not here" in str(state.result)
    assert states[other].result == "fine"


@linux
def test_memory_that_a_call_came_in_is_free_while_the_task_runs():
    """What a task is called with is there once, as what it was pickled from is not kept."""

    def look(value):
        return len(value), Path("/proc/self/maps").read_text().count("memfd:headrace")

    with Flow("large") as flow:
        seen = task(look)(os.urandom(1_000_000))
    length, mapped = flow.run(executor=ProcessesExecutor(workers=1)).result[seen].result
    # One is what the worker shares with the driver.
    assert (length, mapped) == (1_000_000, 1)


@linux
def test_a_worker_keeps_nothing_of_the_values_of_tasks_that_have_ended():
    def peak_after(value):
        return len(value)

    def look():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    with Flow("large") as flow:
        before = task(look)()
        lengths = [task(peak_after)(bytes(30_000_000), upstream_tasks=[before]) for _ in range(3)]
        after = task(look)(upstream_tasks=lengths)
    states = flow.run(executor=ProcessesExecutor(workers=1)).result
    assert states[after].result - states[before].result < 30_000_000


def test_records_that_are_interrupted_do_not_spoil_those_after_them(caplog):
    """A timeout and a cancel may hit in the middle of sending a long line."""

    def chatter():
        while True:
            context.logger.info("x" * 150_000)

    def say():
        context.logger.info("still here")

    with caplog.at_level(logging.INFO, logger="headrace"):
        for _ in range(3):
            late, said = in_a_line(chatter, say, timeout=0.15)
            assert isinstance(late, TimedOut)
            assert said.is_successful()
    assert caplog.messages.count("still here") == 3
    assert {len(text) for text in caplog.messages if text.startswith("x")} == {150_000}


def test_records_of_many_threads_arrive_whole(caplog):
    def chatter():
        def log(letter):
            for _ in range(20):
                logging.getLogger("headrace.threads").info(letter * 40_000)

        threads = [threading.Thread(target=log, args=(letter,)) for letter in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with caplog.at_level(logging.INFO, logger="headrace"):
        (state,) = in_a_line(chatter)
    assert state.is_successful()
    found = [message for message in caplog.messages if len(message) == 40_000]
    assert sorted(message[0] for message in found) == sorted("abcd" * 20)
    assert all(len(set(message)) == 1 for message in found)


def test_a_task_that_configures_logging_does_not_silence_those_after_it(caplog):
    def configure():
        logging.basicConfig(force=True, level=logging.CRITICAL)

    def say():
        context.logger.warning("still here")

    in_a_line(configure, say)
    assert "still here" in caplog.messages


def test_what_was_logged_before_a_crash_is_there(caplog):
    def say_and_die():
        for number in range(100):
            context.logger.warning("line %d", number)
        os.kill(os.getpid(), signal.SIGKILL)

    in_a_line(say_and_die)
    assert [text for text in caplog.messages if text.startswith("line")] == [f"line {number}" for number in range(100)]


def test_what_was_printed_before_a_crash_is_there(capfd):
    def print_and_die():
        print("before the end", flush=True)
        os.write(1, b"and by the descriptor\n")
        os.kill(os.getpid(), signal.SIGKILL)

    in_a_line(print_and_die)
    printed = capfd.readouterr().out
    assert "before the end\n" in printed
    assert "and by the descriptor\n" in printed


def test_prints_reach_the_standard_output_that_the_driver_has_at_the_time(capsys):
    """As in a notebook, where ``sys.stdout`` leads elsewhere than the file of the process."""

    def say():
        print("to the driver")
        print("and its errors", file=sys.stderr)

    in_a_line(say)
    printed = capsys.readouterr()
    assert printed.out == "to the driver\n"
    assert "and its errors\n" in printed.err


def test_prints_are_there_before_the_task_has_ended(capsys):
    seen = []

    def say():
        print("first")

    def look(_task, _old, new):
        seen.append((new.is_finished(), capsys.readouterr().out))

    with Flow("printing") as flow:
        task(say, state_handlers=[look])()
    flow.run(executor=ProcessesExecutor(workers=1))
    assert (True, "first\n") in seen


def test_prints_are_logged_where_the_task_asks_for_it(caplog, capsys):
    def say():
        print("a line")

    with caplog.at_level(logging.INFO, logger="headrace"):
        in_a_line(say, log_stdout=True)
    assert "a line" in caplog.messages
    assert "a line" not in capsys.readouterr().out


# -- limits --------------------------------------------------------------------------------------------------------

_LIMIT = 600_000_000


def limited(function, *args):
    with Flow("limited") as flow:
        only = task(function, name="limited")(*args)
        after = task(fine)()
    states = flow.run(executor=ProcessesExecutor(workers=1, memory_limit=_LIMIT)).result
    assert states[after].result == "fine"
    return states[only]


@linux
def test_a_task_that_wants_more_memory_than_it_may_have_fails():
    def want():
        return len(bytes(2 * _LIMIT))

    state = limited(want)
    assert isinstance(state.result, MemoryError)
    assert not isinstance(state, Crashed)


@linux
def test_a_call_that_is_larger_than_the_memory_a_worker_may_have_fails_with_the_reason():
    def take(value):
        return len(value)

    state = limited(take, bytes(_LIMIT))
    assert isinstance(state.result, TransferError)
    assert not isinstance(state, Crashed)


@linux
def test_a_result_that_there_is_no_memory_to_pickle_fails_with_the_reason():
    def make():
        return bytes(int(_LIMIT * 0.6))

    state = limited(make)
    assert isinstance(state.result, TransferError)
    assert not isinstance(state, Crashed)


# -- signals -------------------------------------------------------------------------------------------------------


def cancelled(function, tmp_path, *, grace=3.0):
    """Run a task until it has written to a file, cancel the run, and return the state it ended in."""
    found = {}

    def interrupt():
        deadline = time.monotonic() + 20
        while not (tmp_path / "began").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        raise KeyboardInterrupt

    with Flow("cancelled", terminal_state_handler=lambda _flow, _state, states: found.update(states)) as flow:
        long = task(function, name="long")(tmp_path)
        task(interrupt, name="interrupt")()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=ProcessesExecutor(workers=2, kill_grace=grace))
    return found[long], time.monotonic() - began


def test_a_task_that_is_cancelled_can_clean_up(tmp_path):
    def wait(path):
        try:
            (path / "began").touch()
            time.sleep(60)
        finally:
            (path / "cleaned up").touch()

    state, took = cancelled(wait, tmp_path)
    assert isinstance(state, Cancelled)
    assert took < 30
    assert (tmp_path / "cleaned up").exists()


def test_programs_that_a_cancelled_task_has_started_can_clean_up(tmp_path):
    """They hear Ctrl-C together with the task, as at a terminal, and get time to end."""
    program = """
import pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
def end(*_):
    time.sleep(0.3)
    (path / "cleaned up").touch()
    sys.exit()
signal.signal(signal.SIGINT, end)
(path / "began").touch()
time.sleep(60)
"""

    def run(path):
        child = subprocess.Popen([sys.executable, "-c", program, str(path)])
        while True:
            time.sleep(1)
        child.wait()

    state, took = cancelled(run, tmp_path, grace=10.0)
    assert isinstance(state, Cancelled)
    assert (tmp_path / "cleaned up").exists()
    assert took < 8


@linux
def test_programs_that_a_late_task_has_started_can_clean_up(tmp_path):
    program = """
import pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
def end(*_):
    time.sleep(0.3)
    (path / "cleaned up").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
(path / "began").touch()
time.sleep(60)
"""

    def run():
        child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        while not (tmp_path / "began").exists():
            time.sleep(0.005)
        child.wait()

    with Flow("late") as flow:
        late = task(run, timeout=1.5)()
    began = time.monotonic()
    state = flow.run(executor=ProcessesExecutor(workers=1, kill_grace=10.0))
    assert isinstance(state.result[late], TimedOut)
    assert (tmp_path / "cleaned up").exists()
    assert time.monotonic() - began < 9


_CLEANS_UP = """
import pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
def end(*_):
    (path / "cleaned up").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
(path / "began").touch()
time.sleep(60)
"""
_SESSIONS = {
    "a child": [sys.executable, "-c", _CLEANS_UP],
    # Its parent ends when it is asked to.
    "an orphan": ["sh", "-c", 'setsid "$0" -c "$1" "$2" & wait', sys.executable, _CLEANS_UP],
}


@linux
@pytest.mark.parametrize("which", _SESSIONS)
def test_a_session_that_a_late_task_has_started_is_asked_to_end_too(tmp_path, which):
    def run():
        child = subprocess.Popen([*_SESSIONS[which], str(tmp_path)], start_new_session=which == "a child")
        while not (tmp_path / "began").exists():
            time.sleep(0.005)
        child.wait()

    with Flow("late") as flow:
        late = task(run, timeout=1.5)()
    state = flow.run(executor=ProcessesExecutor(workers=1, kill_grace=6.0))
    assert isinstance(state.result[late], TimedOut)
    assert (tmp_path / "cleaned up").exists()


@linux
def test_a_session_that_a_cancelled_task_has_started_is_asked_to_end_too(tmp_path):
    def run(path):
        child = subprocess.Popen([*_SESSIONS["a child"], str(path)], start_new_session=True)
        child.wait()

    state, _ = cancelled(run, tmp_path, grace=6.0)
    assert isinstance(state, Cancelled)
    assert (tmp_path / "cleaned up").exists()


# -- itself --------------------------------------------------------------------------------------------------------


def test_workers_draw_different_random_numbers():
    def draw(_):
        import random

        time.sleep(0.05)
        return os.getpid(), random.random()

    with Flow("random") as flow:
        drawn = task(draw).map([1, 2, 3, 4])
    found = flow.run(executor=ProcessesExecutor(workers=2)).result[drawn].result
    assert len({number for _, number in found}) == 4
    assert len({pid for pid, _ in found}) == 2


def test_a_fault_in_c_code_shows_where_python_was(capfd):
    def fault_of_this_test():
        ctypes.string_at(0)

    (state,) = in_a_line(fault_of_this_test)
    assert isinstance(state, Crashed)
    assert state.result.signal == "SIGSEGV"
    assert "fault_of_this_test" in capfd.readouterr().err


def test_a_worker_is_small():
    def loaded():
        return sorted({"headrace.engine.driver", "networkx", "pendulum", "rich", "click"} & set(sys.modules))

    (state,) = in_a_line(loaded)
    assert state.result == []
