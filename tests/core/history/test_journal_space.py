from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.history.journal_space import MappedSpace, WrittenSpace, space_for

HEAD = b"head\n"

# Writes for as long as it lives, and says how much it has written before each entry.
WRITE = """
import os, sys
from headrace.history.journal_space import space_for
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_APPEND)
space = space_for(descriptor, 0, mapped=True)
for number in range(10**9):
    space.write(b"%010d" % number)
    os.write(1, b"%010d" % number)
"""


@pytest.fixture
def descriptor(tmp_path: Path):
    found = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.write(found, HEAD)
    yield found
    os.close(found)


@pytest.fixture(params=[True, False], ids=["mapped", "written"])
def space(request, descriptor):
    found = space_for(descriptor, len(HEAD), mapped=request.param)
    yield found
    found.close()


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 24, 0)


def test_memory_is_used_where_there_is_any(descriptor):
    found = space_for(descriptor, len(HEAD), mapped=True)
    assert isinstance(found, MappedSpace if hasattr(os, "posix_fallocate") else WrittenSpace)
    found.close()
    assert isinstance(space_for(descriptor, len(HEAD), mapped=False), WrittenSpace)


def test_what_is_written_is_in_the_file_at_once(space, descriptor):
    space.write(b"one")
    assert content(descriptor).rstrip(b"\0") == HEAD + b"one"
    space.write(b"two")
    assert content(descriptor).rstrip(b"\0") == HEAD + b"onetwo"


def test_it_grows_with_what_is_written(space, descriptor):
    entries = [bytes([1 + number % 200]) * (1 + 997 * number) for number in range(100)]
    for entry in entries:
        space.write(entry)
    space.trim()
    assert content(descriptor) == HEAD + b"".join(entries)


def test_one_entry_may_be_larger_than_the_room_that_is_taken_at_a_time(space, descriptor):
    large = b"x" * (9 << 20)
    space.write(large)
    space.write(b"y")
    space.trim()
    assert content(descriptor) == HEAD + large + b"y"


def test_trimmed_it_ends_with_the_last_entry(space, descriptor):
    space.write(b"one\0")
    space.trim()
    assert content(descriptor) == HEAD + b"one\0"


def test_nothing_can_be_written_once_the_file_is_closed():
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        WrittenSpace(-1, 0).write(b"one")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files cannot be given room there")
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENODEV])
def test_a_file_system_that_cannot_do_it_is_written_to(descriptor, monkeypatch, code):
    monkeypatch.setattr(os, "posix_fallocate", _failing(code))
    found = space_for(descriptor, len(HEAD), mapped=True)
    found.write(b"one")
    assert isinstance(found, WrittenSpace)
    assert content(descriptor) == HEAD + b"one"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files cannot be given room there")
def test_a_full_disk_is_not_written_to_in_another_way(descriptor, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", _failing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        space_for(descriptor, len(HEAD), mapped=True)
    assert content(descriptor) == HEAD


def _failing(code: int):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such kill")
def test_a_kill_loses_nothing_that_was_written(tmp_path):
    path = tmp_path / "file"
    with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read(100_000)
        process.kill()
        last = int((said + process.stdout.read())[-10:])
    data = path.read_bytes()
    assert [int(data[10 * number : 10 * number + 10]) for number in range(last + 1)] == list(range(last + 1))
