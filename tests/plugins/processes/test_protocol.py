"""Records, and the page that a worker shares with the driver."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from headrace_plugins.processes.protocol import ORDER, Command, Order, Page, receive_record, send_record


@pytest.fixture
def pages():
    """The same page, as the driver and a worker have it."""
    ours, file = Page.create()
    theirs = Page(file)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_records_arrive_with_their_descriptors():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_record(ours, ORDER, Order(Command.START, 5), [ours.fileno(), theirs.fileno()])
        send_record(ours, ORDER, Order(Command.SIGNAL, 6, 15))
        first, second = receive_record(theirs, ORDER), receive_record(theirs, ORDER)
    assert first is not None
    assert (first[0], len(first[1])) == ((Command.START, 5, 0), 2)
    assert second == ((Command.SIGNAL, 6, 15), [])
    for file in first[1]:
        os.close(file)


def test_a_record_that_arrives_in_pieces_is_put_together():
    ours, theirs = socket.socketpair()
    with theirs:
        data = ORDER.pack(*Order(Command.KILL, 7))
        ours.sendall(data[:5])
        ours.sendall(data[5:])
        assert receive_record(theirs, ORDER) == ((Command.KILL, 7, 0), [])
        ours.close()


@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_the_end_of_the_connection_is_no_record(sent):
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(sent)
        ours.close()
        assert receive_record(theirs, ORDER) is None


def test_the_driver_sees_what_the_worker_has_begun(pages):
    driver, worker = pages
    assert driver.begun() == 0
    before = time.monotonic()
    assert worker.begin(3)
    assert driver.begun() == 3
    assert before <= driver.begun_at() <= time.monotonic()


def test_a_call_that_has_begun_has_not_started_before_the_worker_says_so(pages):
    driver, worker = pages
    worker.begin(1)
    worker.start()
    started = driver.started_at()
    assert started is not None
    assert started >= driver.begun_at()
    worker.begin(2)
    assert driver.started_at() is None


def test_what_is_wanted_back_does_not_begin(pages):
    driver, worker = pages
    driver.recall(2, 4)
    assert [worker.begin(number) for number in range(1, 6)] == [True, False, False, False, True]


def test_large_numbers_of_calls_are_kept_apart(pages):
    driver, _ = pages
    driver.recall(2**31, 2**32 - 1)
    assert driver.recalled() == (2**31, 2**32 - 1)


def test_the_driver_knows_the_process_of_a_worker_that_has_signed(pages):
    driver, worker = pages
    assert driver.pid == 0
    worker.sign()
    assert driver.pid == os.getpid()


def test_a_page_survives_the_worker():
    """What a worker had begun is known after it was killed."""
    page, file = Page.create()
    pid = os.fork()
    if pid == 0:
        Page(file).begin(42)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(file)
    os.waitpid(pid, 0)
    assert page.begun() == 42
    page.close()


def test_the_two_agree_while_both_run():
    """A worker that races through calls and a driver that wants them back: no call is both begun and taken back."""
    page, file = Page.create()
    number_of_calls = 200_000
    ran = os.memfd_create("ran") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    pid = os.fork()
    if pid == 0:
        worker = Page(file)
        started = [number for number in range(1, number_of_calls + 1) if worker.begin(number)]
        os.pwrite(ran, b" ".join(b"%d" % number for number in started), 0)
        os._exit(0)
    os.close(file)
    taken: set[int] = set()
    first = last = 0
    while (begun := page.begun()) < number_of_calls:
        # As long as nothing has begun that is later, the last recall may not have been heeded yet.
        first = begun + 1 if begun > last or not first else first
        last = min(begun + 500, number_of_calls)
        page.recall(first, last)
        time.sleep(0.002)
        taken.update(range(max(page.begun(), begun) + 1, last + 1))
    os.waitpid(pid, 0)
    if hasattr(os, "memfd_create"):
        size = os.fstat(ran).st_size
        assert taken.isdisjoint(map(int, os.pread(ran, size, 0).split()))
    os.close(ran)
    page.close()
