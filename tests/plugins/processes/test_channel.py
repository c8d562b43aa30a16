"""Messages between the driver and a worker."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import pickle
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace_plugins.processes.channel import Channel, Message, NonBlockingChannel
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.sharing import SharedBuffer

SIZES = st.one_of(st.integers(0, 100), st.sampled_from([32_767, 32_768, 32_769, 70_000]))


def receive(channel: Channel) -> Message:
    while (message := channel.take()) is None:
        assert channel.read(), "the connection has ended"
    return message


def read_all(channel: Channel) -> list[Message]:
    found = []
    while channel.read():
        while (message := channel.take()) is not None:
            found.append(message)
    return found


def memory_files() -> int:
    """Return how many nameless files this process has open or mapped."""
    gc.collect()
    opened = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            opened += "headrace" in str(entry.readlink())
        except FileNotFoundError:  # the folder itself, which was open
            continue
    return opened + Path("/proc/self/maps").read_text().count("memfd:headrace")


def test_a_message_arrives_as_it_was_sent(channels):
    _, worker = channels
    worker.send(7, b"head", b"body")
    assert receive(channels[0]) == Message(7, b"head", b"body", [])


def test_a_channel_says_whether_reading_would_wait(channels):
    """Also where a file comes along, which is still there afterwards; and at the end."""
    other, one = channels
    assert not other.is_ready()
    one.send(1, b"head", b"x" * 100_000)
    assert other.is_ready()
    assert receive(other).body == b"x" * 100_000
    assert not other.is_ready()
    one.close()
    assert other.is_ready()
    assert not other.read()


def test_several_messages_that_arrive_at_once_are_told_apart(channels):
    driver, worker = channels
    for number in range(5):
        driver.send(number, b"h" * number, b"b" * number)
    driver.flush()
    assert [receive(worker) for _ in range(5)] == [Message(n, b"h" * n, b"b" * n, []) for n in range(5)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(SIZES, SIZES, st.lists(SIZES, max_size=3)), max_size=6))
def test_messages_of_any_size_arrive_in_order_and_whole(messages):
    ours, theirs = socket.socketpair()
    driver, worker = NonBlockingChannel(ours), Channel(theirs)
    expected = []
    for number, (head, body, buffers) in enumerate(messages):
        contents = [os.urandom(size) for size in (head, body, *buffers)]
        worker.send(number, contents[0], contents[1], [pickle.PickleBuffer(each) for each in contents[2:]])
        expected.append((number, *contents))
        found = receive(driver)
        assert (found.kind, found.head, bytes(found.body), *map(bytes, found.buffers)) == expected[-1]
        driver.send(number, contents[0], contents[1], [pickle.PickleBuffer(each) for each in contents[2:]])
    reader = threading.Thread(target=lambda: results.extend(read_all(worker)))
    results: list[Message] = []
    reader.start()
    while driver.has_unsent:
        driver.flush()
        time.sleep(0.001)
    driver.hang_up()
    reader.join(10)
    assert [(m.kind, m.head, bytes(m.body), *map(bytes, m.buffers)) for m in results] == expected
    driver.close()
    worker.close()


def test_buffers_that_were_received_can_be_written_to_without_anybody_noticing(channels):
    driver, worker = channels
    original = bytearray(b"a" * 100_000)
    worker.send(1, b"", b"", [pickle.PickleBuffer(original)])
    (view,) = receive(driver).buffers
    view[:5] = b"bbbbb"
    assert (bytes(view[:6]), bytes(original[:6])) == (b"bbbbba", b"aaaaaa")


def test_buffers_are_aligned(channels):
    """So that arrays of any type, and instructions for vectors, can use them."""
    driver, worker = channels
    worker.send(1, b"", b"", [pickle.PickleBuffer(b"x" * size) for size in (3, 5, 70_000)])
    found = receive(driver).buffers
    assert [len(view) for view in found] == [3, 5, 70_000]
    addresses = [ctypes.addressof(ctypes.c_char.from_buffer(view)) for view in found]
    assert [address % 64 for address in addresses] == [0, 0, 0]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="looks for memory files, which are Linux's")
def test_what_is_mapped_needs_no_descriptor(channels):
    """A process can hold many more values than it can have descriptors."""
    driver, worker = channels
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    messages = []
    for _ in range(20):
        worker.send(1, b"", b"x" * 40_000)
        messages.append(receive(driver))
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="looks for memory files, which are Linux's")
def test_memory_is_freed_with_the_last_view_and_not_before(channels):
    driver, worker = channels
    before = memory_files()
    worker.send(1, b"", b"x" * 100_000, [pickle.PickleBuffer(b"y" * 100_000)])
    message = receive(driver)
    kept = message.buffers[0]
    del message
    assert bytes(kept[:2]) == b"yy"
    assert memory_files() == before + 1
    del kept
    assert memory_files() == before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="looks for memory files, which are Linux's")
def test_what_was_sent_and_never_taken_is_freed_when_the_channel_is_closed(channels):
    driver, worker = channels
    before = memory_files()
    worker.send(1, b"", b"x" * 100_000)
    driver.read()
    driver.send(1, b"", b"x" * 100_000)
    assert memory_files() > before
    driver.close()
    worker.close()
    assert memory_files() == before


def test_the_end_of_the_connection_is_noticed(channels):
    driver, worker = channels
    worker.send(1, b"last words")
    worker.close()
    assert [message.head for message in read_all(driver)] == [b"last words"]


def test_an_end_that_hangs_up_still_hears_the_other(channels):
    driver, worker = channels
    driver.send(1, b"last words")
    driver.flush()
    driver.hang_up()
    assert [message.head for message in read_all(worker)] == [b"last words"]
    worker.send(2, b"answer")
    assert receive(driver).head == b"answer"


def test_closing_ends_the_connection_for_processes_that_were_forked_meanwhile(channels):
    """A child that holds a copy of the socket does not keep the other end from noticing."""
    driver, worker = channels
    copy = os.dup(driver.fileno())
    driver.close()
    assert not worker.read()
    os.close(copy)


def test_sending_to_nobody_raises(channels):
    driver, worker = channels
    driver.close()
    with pytest.raises(ConnectionError):
        worker.send(1, b"anybody there?")


def test_an_end_that_must_not_wait_does_not(channels):
    """However much is sent while nobody reads, `send` and `flush` return; it all arrives in the end."""
    driver, worker = channels
    for number in range(100):
        driver.send(1, b"%d" % number, b"x" * 30_000)
        driver.flush()
    assert driver.has_unsent
    heads: list[bytes] = []
    while len(heads) < 100:
        heads.append(receive(worker).head)
        driver.flush()
    assert heads == [b"%d" % number for number in range(100)]
    assert not driver.has_unsent


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOMEM, errno.EMFILE])
def test_sending_what_there_is_no_memory_for_raises_and_sends_nothing(code):
    def refuse() -> int:
        raise OSError(code, os.strerror(code))

    ours, theirs = socket.socketpair()
    channel, other = Channel(ours, refuse), Channel(theirs)
    with pytest.raises(OSError, match=os.strerror(code)):
        channel.send(1, b"", b"x" * 100_000)
    channel.send(2, b"small things still pass")
    assert receive(other).kind == 2
    channel.close()
    other.close()


def test_no_descriptor_is_left_of_a_file_that_could_not_be_written(tmp_path):
    """As on a full disk: the file can be opened, and not be written to."""
    opened = []

    def read_only() -> int:
        opened.append(os.open(__file__, os.O_RDONLY))
        return opened[0]

    ours, theirs = socket.socketpair()
    channel = Channel(ours, read_only)
    with theirs, pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        channel.send(1, b"", b"x" * 100_000)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(opened[0])
    channel.close()


def test_a_file_that_cannot_be_read_spoils_its_message_alone(channels):
    """Neither does the receiver fail, nor do later messages get the wrong memory."""
    driver, worker = channels
    worker.send(1, b"bad", b"x" * 100_000)
    driver.read()
    # As it is when the process has no descriptor left for it.
    os.close(driver._files.popleft())
    driver._files.append(-1)
    worker.send(2, b"good", b"y" * 100_000)
    bad, good = receive(driver), receive(driver)
    assert (bad.head, bad.body, bad.error and bad.error.errno) == (b"bad", b"", errno.EMFILE)
    assert (good.head, bytes(good.body)) == (b"good", b"y" * 100_000)


def test_nameless_files_are_what_large_things_go_through():
    made = []

    def new_file() -> int:
        made.append(nameless_file())
        return made[-1]

    ours, theirs = socket.socketpair()
    channel = Channel(ours, new_file)
    channel.send(1, b"", b"x" * 32_768)
    assert made == []
    channel.send(1, b"", b"x" * 32_769)
    assert len(made) == 1
    channel.close()
    theirs.close()


# -- buffers that several messages have ----------------------------------------------------------------------------


def shared(content: bytes, users: int = 2) -> SharedBuffer:
    made = SharedBuffer(pickle.PickleBuffer(content))
    made.users = users
    return made


class Files:
    """Makes nameless files, and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> int:
        self.made += 1
        return nameless_file()


@pytest.fixture
def counted():
    """Return two ends of a connection, and what makes the files of the first."""
    ours, theirs = socket.socketpair()
    files = Files()
    one, other = NonBlockingChannel(ours, files), Channel(theirs)
    yield one, other, files
    one.close()
    other.close()


def test_a_shared_buffer_is_written_once_for_all_messages(counted):
    one, other, files = counted
    buffer = shared(b"s" * 100_000)
    for number in range(5):
        one.send(number, b"", b"", [buffer])
        one.flush()
        assert bytes(receive(other).buffers[0]) == b"s" * 100_000
    assert files.made == 1


def test_a_buffer_that_one_message_has_goes_with_the_others(counted):
    one, other, files = counted
    one.send(1, b"", b"", [shared(b"s" * 100, users=1), pickle.PickleBuffer(b"o" * 100)])
    one.flush()
    assert [bytes(view) for view in receive(other).buffers] == [b"s" * 100, b"o" * 100]
    assert files.made == 1


@pytest.mark.parametrize("body", [b"small", b"x" * 100_000])
def test_shared_buffers_arrive_in_their_places(counted, body):
    one, other, _ = counted
    names = [b"a", b"B", b"c", b"D", b"E", b"f"]
    buffers = [shared(name * 70_000) if name.isupper() else pickle.PickleBuffer(name * 70_000) for name in names]
    one.send(1, b"head", body, buffers)
    one.send(2, b"next", b"x" * 100_000)
    one.flush()
    first, second = receive(other), receive(other)
    assert (first.head, bytes(first.body)) == (b"head", body)
    assert [bytes(view) for view in first.buffers] == [name * 70_000 for name in names]
    assert (second.head, bytes(second.body)) == (b"next", b"x" * 100_000)


def test_what_is_written_to_a_shared_buffer_is_seen_by_nobody_else(counted):
    one, other, _ = counted
    original = bytearray(b"a" * 100_000)
    buffer = SharedBuffer(pickle.PickleBuffer(original))
    buffer.users = 2
    one.send(1, b"", b"", [buffer])
    one.send(2, b"", b"", [buffer])
    one.flush()
    (first,), (second,) = receive(other).buffers, receive(other).buffers
    first[:1] = b"b"
    one.send(3, b"", b"", [buffer])
    one.flush()
    (third,) = receive(other).buffers
    assert [view[0] for view in (first, second, third, original)] == list(b"baaa")


def test_files_that_cannot_be_had_spoil_their_message_alone(counted):
    """All those of the message are gone, and none of another."""
    import resource

    one, other, _ = counted
    one.send(1, b"bad", b"", [shared(b"s" * 70_000) for _ in range(3)])
    one.flush()
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Room for one more.
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor() + 1, hard))
    try:
        other.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    one.send(2, b"good", b"", [shared(b"t" * 70_000), pickle.PickleBuffer(b"u" * 70_000)])
    one.flush()
    bad, good = receive(other), receive(other)
    assert (bad.head, bad.buffers, bad.error and bad.error.errno) == (b"bad", [], errno.EMFILE)
    assert [bytes(view[:1]) for view in good.buffers] == [b"t", b"u"]


def next_descriptor() -> int:
    with Path(os.devnull).open("rb") as file:
        return file.fileno()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="looks for memory files, which are Linux's")
def test_nothing_is_left_of_a_shared_buffer_that_nobody_needs(counted):
    one, other, _ = counted
    before = memory_files()
    buffer = shared(b"s" * 100_000)
    one.send(1, b"", b"", [buffer])
    one.flush()
    receive(other)
    assert memory_files() == before + 1
    del buffer
    assert memory_files() == before
