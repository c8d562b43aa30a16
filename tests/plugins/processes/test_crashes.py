"""What the end of a worker means."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from headrace_plugins.processes.crashes import crash_error, hung_up_error, start_error
from headrace_plugins.processes.protocol import End


def end(status: int, peak: int = 0, out_of_memory: int = 0) -> End:
    return End(1, status, peak, out_of_memory)


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_an_exit_code_is_named(code):
    error = crash_error("t", end(code << 8))
    assert (error.exit_code, error.signal) == (code, None)
    assert f"exit code {code}" in str(error)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGTERM, signal.SIGXCPU])
def test_a_signal_is_named(number):
    error = crash_error("t", end(number))
    assert (error.exit_code, error.signal) == (None, number.name)
    assert f"killed by {number.name}" in str(error)


def test_a_core_dump_does_not_change_the_signal():
    assert crash_error("t", end(signal.SIGSEGV | 0x80)).signal == "SIGSEGV"


def test_a_signal_without_a_name_is_numbered():
    assert "signal 40" in str(crash_error("t", end(40)))


def test_the_task_is_named():
    assert "'load[3]'" in str(crash_error("load[3]", end(9)))


def test_the_kernel_out_of_memory_is_told_from_other_kills():
    error = crash_error("t", end(signal.SIGKILL, 3_400_000_000, 1))
    assert error.signal == "SIGKILL"
    assert "ran out of memory" in str(error)
    assert "3.4 GB" in str(error)
    assert "ran out of memory" not in str(crash_error("t", end(signal.SIGKILL)))


def test_without_a_supervisor_nobody_knows():
    error = crash_error("t", None)
    assert (error.exit_code, error.signal) == (None, None)
    assert "supervisor" in str(error)


def test_a_process_that_could_not_be_made_says_why():
    assert os.strerror(errno.EAGAIN) in str(start_error(end(-1, errno.EAGAIN)))


def test_workers_that_end_at_once_say_how():
    text = str(start_error(end(1 << 8)))
    assert "exit code 1" in text
    assert "Standard error" in text


def test_a_worker_that_hung_up_says_so():
    assert "'t' has closed its connection" in str(hung_up_error("t"))
