"""Where a journal's entries go: into memory that is a file, or by a call of the operating system for each.

Either way an entry outlives the process as soon as `Space.write` returns. Memory is several times as fast, above all
beside other threads: a call to the operating system lets go of the interpreter, and has to wait until it gets it back.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import Final, Protocol

__all__ = ["MappedSpace", "Space", "WrittenSpace", "space_for"]

# How much more of the disk is taken at a time, in bytes: as much as there is already, within these bounds.
_SMALLEST: Final = 1 << 16
_LARGEST: Final = 1 << 22


class Space(Protocol):
    """The end of a file to which entries are appended, by one thread at a time."""

    def write(self, entry: bytes) -> None:
        """Append all of ``entry``; or raise OSError, and append nothing."""
        ...

    def trim(self) -> None:
        """Give back what is behind the last entry."""
        ...

    def close(self) -> None:
        """Give up the memory, but not the file."""
        ...


def space_for(descriptor: int, end: int, *, mapped: bool) -> Space:
    """Return the space behind the first ``end`` bytes of a file that was opened to be appended to.

    It is memory if ``mapped`` says so and the system can do it. Raises OSError.
    """
    if mapped and hasattr(os, "posix_fallocate"):
        try:
            return MappedSpace(descriptor, end)
        except OSError as error:
            if not _is_lack_of_room(error):
                os.ftruncate(descriptor, end)
                return WrittenSpace(descriptor, end)
            raise
    return WrittenSpace(descriptor, end)


class MappedSpace:
    """Memory that is the file, which the operating system keeps when the process is killed.

    The room is taken from the disk before, since memory cannot say that the disk is full. What is not written yet is
    zeros, and so is what is behind an entry that a kill cut short.
    """

    __slots__ = ("_descriptor", "_memory", "_size")

    def __init__(self, descriptor: int, end: int) -> None:
        self._descriptor = descriptor
        self._size = _grown(descriptor, end, 1)
        self._memory = _memory(descriptor, self._size, end)

    def write(self, entry: bytes) -> None:
        """See `Space.write`."""
        try:
            # One call, that no other thread and no signal handler can come between.
            self._memory.write(entry)
        except ValueError:
            self._grow(len(entry))
            self._memory.write(entry)

    def _grow(self, needed: int) -> None:
        end = self._memory.tell()
        self._size = _grown(self._descriptor, self._size, end + needed - self._size)
        # Not `mmap.resize`, which some systems have not.
        before, self._memory = self._memory, _memory(self._descriptor, self._size, end)
        before.close()

    def trim(self) -> None:
        """See `Space.trim`."""
        os.ftruncate(self._descriptor, self._memory.tell())

    def close(self) -> None:
        """See `Space.close`."""
        self._memory.close()


class WrittenSpace:
    """The file itself."""

    __slots__ = ("_descriptor", "_end")

    def __init__(self, descriptor: int, end: int) -> None:
        self._descriptor = descriptor
        self._end = end

    def write(self, entry: bytes) -> None:
        """See `Space.write`."""
        written = os.write(self._descriptor, entry)
        if written != len(entry):
            self._complete(entry, written)
        self._end += len(entry)

    def _complete(self, entry: bytes, written: int) -> None:
        """Write the rest of an entry that the disk did not take at once, or take back what it took."""
        try:
            while written < len(entry):
                written += os.write(self._descriptor, entry[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise

    def trim(self) -> None:
        """See `Space.trim`."""

    def close(self) -> None:
        """See `Space.close`."""


def _memory(descriptor: int, size: int, end: int) -> mmap.mmap:
    memory = mmap.mmap(descriptor, size)
    memory.seek(end)
    return memory


def _grown(descriptor: int, size: int, least: int) -> int:
    """Make a file of ``size`` bytes larger, by ``least`` bytes if the disk has no room for more; return its size."""
    wanted = max(least, _SMALLEST, min(size, _LARGEST))
    try:
        os.posix_fallocate(descriptor, size, wanted)
    except OSError as error:
        if not _is_lack_of_room(error):
            raise
        # What it may have taken of the disk meanwhile is wanted for this.
        os.ftruncate(descriptor, size)
        os.posix_fallocate(descriptor, size, least)
        wanted = least
    return size + wanted


def _is_lack_of_room(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
