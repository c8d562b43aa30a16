"""Descriptors and nameless files."""

from __future__ import annotations

import os
import resource
import socket

import pytest

from headrace_plugins.processes import descriptors


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_nameless_file_holds_what_is_written_to_it():
    file = descriptors.nameless_file()
    os.write(file, b"abc")
    assert os.pread(file, 10, 0) == b"abc"
    os.close(file)


def test_descriptors_arrive_with_the_data(pair):
    file = descriptors.nameless_file()
    os.write(file, b"abc")
    assert descriptors.send(pair[0], b"data", [file]) == 4
    os.close(file)
    data, (received,), lost = descriptors.receive(pair[1], 100)
    assert (data, os.pread(received, 10, 0), lost) == (b"data", b"abc", False)
    os.close(received)


def test_programs_do_not_inherit_descriptors_that_were_received(pair):
    file = descriptors.nameless_file()
    descriptors.send(pair[0], b"data", [file])
    os.close(file)
    _, (received,), _ = descriptors.receive(pair[1], 100)
    assert not os.get_inheritable(received)
    os.close(received)


def test_flags_are_heeded(pair):
    with pytest.raises(BlockingIOError):
        while True:
            descriptors.send(pair[0], b"x" * 100_000, [], socket.MSG_DONTWAIT)


def test_the_receiver_is_told_when_it_can_have_no_more_descriptors(pair):
    file = descriptors.nameless_file()
    descriptors.send(pair[0], b"data", [file])
    os.close(file)
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        assert descriptors.receive(pair[1], 100) == (b"data", [], True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
