"""Standard files that a task closes are open again for the next task in the same process."""

from __future__ import annotations

import os
import sys

import pytest

from headrace import Flow, task
from headrace_plugins.processes.executor import ProcessesExecutor
from headrace_plugins.processes.standard_files import StandardFile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the executor needs POSIX")


@task
def look():
    found = [os.fstat(number) for number in range(3)]
    return os.getpid(), [(file.st_dev, file.st_ino) for file in found]


def close_descriptors():
    for number in range(3):
        os.close(number)


def let_another_file_have_the_number():
    os.close(1)
    os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("misdeed", [close_descriptors, let_another_file_have_the_number])
def test_the_next_task_finds_standard_files_as_they_were(misdeed):
    with Flow("closing") as flow:
        before = look()
        closed = task(misdeed)(upstream_tasks=[before])
        after = look(upstream_tasks=[closed])
    states = flow.run(executor=ProcessesExecutor(workers=1)).result
    assert states[after].result == states[before].result


def test_a_stream_that_was_closed_writes_to_the_same_file_again(tmp_path, monkeypatch):
    stream = (tmp_path / "out").open("w", encoding="utf-8")
    number = stream.fileno()
    monkeypatch.setattr(sys, "stdout", stream)
    file = StandardFile(number, "stdout")
    stream.close()
    file.restore()
    print("again", file=sys.stdout, flush=True)
    os.close(number)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "again\n"


def test_a_stream_that_was_taken_away_is_back(monkeypatch):
    monkeypatch.setattr(sys, "stdin", before := object.__new__(_Open))
    file = StandardFile(0, "stdin")
    sys.stdin = None
    file.restore()
    assert sys.stdin is before


class _Open:
    closed = False
