"""The children of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from headrace_plugins.processes.children import children, end_sessions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def start(**options):
    return subprocess.Popen(["sleep", "60"], **options)


def test_a_child_that_another_thread_has_started_is_found():
    started = []
    inspected, both = threading.Event(), threading.Barrier(2)

    def run():
        started.append(start())
        both.wait(10)
        inspected.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    both.wait(10)
    try:
        assert started[0].pid in children()
    finally:
        inspected.set()
        thread.join()
        started[0].kill()
        started[0].wait()


def test_only_what_has_left_the_group_is_asked_to_end():
    asked = set(children())
    inside, outside = start(), start(start_new_session=True)
    try:
        end_sessions(os.getpgrp(), asked)
        assert outside.pid in asked
        assert inside.pid not in asked
        assert outside.wait(10) == -signal.SIGTERM
        assert inside.poll() is None
    finally:
        for child in (inside, outside):
            child.kill()
            child.wait()


def test_what_was_asked_before_is_left_alone():
    child = start(start_new_session=True)
    try:
        end_sessions(os.getpgrp(), set(children()))
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
    finally:
        child.kill()
        child.wait()
