"""What the three kinds of processes say to each other.

The driver talks to its supervisor over a control socket, in records of fixed size, and to each worker over a `Channel`.
"""

from __future__ import annotations

import mmap
import os
import time
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from headrace_plugins.processes import descriptors

if TYPE_CHECKING:
    import socket

__all__ = ["Command", "End", "Kind", "Order", "Page", "receive_record", "send_record"]


class Kind(IntEnum):
    """Messages of a `Channel`."""

    PART = 1
    """To a worker: something that several calls need."""
    CALL = 2
    """To a worker: one piece of work."""
    OUTCOME = 3
    """From a worker: what came of the call."""
    RECORD = 4
    """From a worker: a log record."""
    PASSED = 5
    """From a worker: the number of a call that it has not run, because it was wanted back."""
    PRINT = 6
    """From a worker: text for a standard stream, where that of the driver does not lead to its process's."""
    RETIRE = 7
    """To a worker: end when what the tasks have started has ended."""
    SECRETS = 8
    """From a worker: secrets that it has found, which are not to be kept where its output is."""


class Command(IntEnum):
    """What the driver asks of the supervisor."""

    START = 1
    """Start the worker; its socket and its page are sent along."""
    SIGNAL = 2
    """Send the worker's process group a signal."""
    KILL = 3
    """Kill the worker and everything it has started."""


class Order(NamedTuple):
    """A command to the supervisor; ``number`` is the signal, if it is about one."""

    command: int
    worker: int
    number: int = 0


class End(NamedTuple):
    """The supervisor's word that a worker has ended.

    ``status`` is that of ``os.wait``, or -1 if the worker could not be started, with the errno in ``peak``. ``peak`` is
    the most memory it used, in bytes; ``out_of_memory`` is how many processes the kernel has killed for want of memory
    while it lived.
    """

    worker: int
    status: int
    peak: int
    out_of_memory: int


# More than one worker is ever sent.
_CALLS: Final = 1 << 32

ORDER: Final = Struct("<III")
END: Final = Struct("<IiQI")


def send_record(
    control: socket.socket, layout: Struct, record: tuple[int, ...], files: list[int] | None = None
) -> None:
    """Send a record, with descriptors; raise OSError if nobody listens."""
    data = layout.pack(*record)
    if files:
        descriptors.send(control, data, files)
    else:
        control.sendall(data)


def receive_record(control: socket.socket, layout: Struct) -> tuple[tuple[int, ...], list[int]] | None:
    """Return the next record and the descriptors that came with it, or None when nothing more will come."""
    data, files = b"", list[int]()
    while len(data) < layout.size:
        try:
            more, found, _ = descriptors.receive(control, layout.size - len(data))
        except ConnectionResetError:
            return None
        if not more:
            return None
        data += more
        files += found
    return layout.unpack(data), files


class Page:
    """Memory that a worker shares with the driver, and that survives it.

    The worker writes which call it has begun, and when, before it runs the call, so that it is known what it died from.
    The driver writes which calls it wants back; the worker passes over those. Calls are numbered from 1.

    The two agree without a lock: the worker writes what it is about to begin before it looks what is wanted back, and
    the driver looks what that is a while after it wrote what it wants back. What is later than that never begins.
    """

    # Cells of eight bytes, each of which is written at once. What the two write is not in one line of a cache.
    _BEGUN: Final = 0
    _BEGUN_AT: Final = 1
    _STARTED_AT: Final = 2
    _PID: Final = 3
    _RECALLED: Final = 8
    _SIZE: Final = 128

    def __init__(self, file: int) -> None:
        """Take over the descriptor ``file``."""
        self._cells = descriptors.mapped(file, self._SIZE, mmap.MAP_SHARED).cast("Q")

    @classmethod
    def create(cls) -> tuple[Page, int]:
        """Return a new page and a descriptor to send."""
        file = descriptors.nameless_file()
        try:
            os.truncate(file, cls._SIZE)
            return cls(os.dup(file)), file
        except BaseException:
            os.close(file)
            raise

    def sign(self) -> None:
        """Note that this process is the worker."""
        self._cells[self._PID] = os.getpid()

    @property
    def pid(self) -> int:
        """The number of the worker's process, or 0 before it has signed."""
        return self._cells[self._PID]

    def begin(self, number: int) -> bool:
        """Note that call ``number`` begins now; return False if it is wanted back, and must not."""
        # The number last: whoever finds it finds what belongs to it.
        self._cells[self._STARTED_AT] = 0
        self._cells[self._BEGUN_AT] = time.monotonic_ns()
        self._cells[self._BEGUN] = number
        first, last = self.recalled()
        return not first <= number <= last

    def start(self) -> None:
        """Note that all that the call needs has been read, and the task starts now."""
        self._cells[self._STARTED_AT] = time.monotonic_ns()

    def begun(self) -> int:
        """Return the number of the call that was begun last, or 0."""
        return self._cells[self._BEGUN]

    def begun_at(self) -> float:
        """Return when that was, by ``time.monotonic``, which is one for all processes."""
        return self._cells[self._BEGUN_AT] / 1e9

    def started_at(self) -> float | None:
        """Return when its task was started, or None if it has not been."""
        return self._cells[self._STARTED_AT] / 1e9 or None

    def recall(self, first: int, last: int) -> None:
        """Want the calls from ``first`` to ``last`` back, as far as they have not begun."""
        # One number, so that it is written at once.
        self._cells[self._RECALLED] = first * _CALLS + last

    def recalled(self) -> tuple[int, int]:
        """Return what `recall` was called with last."""
        return divmod(self._cells[self._RECALLED], _CALLS)

    def close(self) -> None:
        """Unmap the memory."""
        self._cells.release()
