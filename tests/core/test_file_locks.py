from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from headrace.file_locks import try_lock

HOLD = """
import os, sys
from headrace.file_locks import try_lock
descriptor = os.open(sys.argv[1], os.O_RDWR)
print(try_lock(descriptor), flush=True)
sys.stdin.readline()
"""


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_one_of_two_who_have_a_file_open_can_lock_it(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "a"), opened(tmp_path / "a")
    assert try_lock(one) is True
    assert try_lock(two) is False
    os.close(one)
    assert try_lock(two) is True
    os.close(two)


def test_it_keeps_other_processes_out_until_its_own_dies(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "a")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert try_lock(descriptor) is False
        process.kill()
        process.wait()
        assert try_lock(descriptor) is True
    os.close(descriptor)


def test_the_file_can_be_read_and_written_meanwhile(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "a")
    try_lock(descriptor)
    os.write(descriptor, b"said")
    assert (tmp_path / "a").read_bytes() == b"said"
    os.close(descriptor)
