from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.history import Owner
from headrace.history.owners import has_restarted, looks_alive, this_process

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are not listed in files here")
HERE = Owner(pid=10, started="500", boot="monday", namespace="pid:[1]", host="alpha")


def owner_of(process: subprocess.Popen[bytes]) -> Owner:
    """Return what a process would say of itself."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return replace(this_process(), pid=process.pid, started=fields[19])


def test_this_process_is_alive():
    here = this_process()
    assert here.pid == os.getpid()
    assert here.host
    assert looks_alive(here, here) in {True, None}


@linux
def test_this_process_says_all_there_is_to_say():
    here = this_process()
    assert None not in {here.started, here.boot, here.namespace}
    assert looks_alive(here, here) is True


@linux
def test_a_process_is_alive_until_it_ends():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = owner_of(process)
        assert looks_alive(owner, this_process()) is True
        process.kill()
        process.wait()
        assert looks_alive(owner, this_process()) is False


@linux
def test_a_process_is_dead_although_its_parent_has_not_noticed():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = owner_of(process)
        process.kill()
        deadline = time.monotonic() + 10
        while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8"):
            assert time.monotonic() < deadline
        assert looks_alive(owner, this_process()) is False


@linux
def test_a_later_process_with_the_same_id_is_another_one():
    here = this_process()
    assert looks_alive(replace(here, started="1"), here) is False


def test_after_a_restart_nobody_is_alive():
    owner = replace(HERE, boot="sunday")
    assert has_restarted(owner, HERE)
    assert looks_alive(owner, HERE) is False


@pytest.mark.parametrize(
    "owner",
    [
        replace(HERE, boot="sunday", host="beta"),
        replace(HERE, host="beta"),
        replace(HERE, namespace="pid:[2]"),
        replace(HERE, started=None),
    ],
    ids=["another machine", "another container", "other process ids", "no start time"],
)
def test_of_others_there_is_no_telling(owner):
    assert looks_alive(owner, HERE) is None
    assert not has_restarted(owner, HERE)


def test_without_an_id_of_the_boot_nothing_was_restarted():
    unknown = replace(HERE, boot=None)
    assert not has_restarted(unknown, HERE)
    assert not has_restarted(HERE, unknown)
