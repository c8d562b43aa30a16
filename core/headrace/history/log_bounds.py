"""How much of what task runs log is kept: the beginning of each, and the end.

The beginning goes into the journal like everything else. What is beyond goes into files beside it, the last two of
which are kept for each task run: when one is full, the next begins. So the last of what was said is there at every
moment, and survives the death of the process, without taking more room the more there is. When the task run has
finished, or whoever sweeps finds its run dead, the end is appended to the journal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from headrace.history.encoding import encode_logged, entries
from headrace.history.journal_files import end_of_entries, unwritable
from headrace.history.records import NO_TASK, UNMAPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headrace.history.journal_files import JournalFile

__all__ = ["PER_RUN", "PER_TASK_RUN", "LogBounds", "append_tails", "remove_tails", "shortened"]

PER_TASK_RUN: Final = 1 << 20
PER_RUN: Final = 64 << 20

_SUFFIX: Final = ".tail"
# How much each of the two files takes, in bytes.
_HALF: Final = 65_536
# How many characters of one text are kept.
_LONGEST_TEXT: Final = 32_768
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_Key: TypeAlias = "tuple[int, int]"
# What stands for all task runs together.
_ALL: Final[_Key] = (NO_TASK, UNMAPPED - 1)


def shortened(text: str) -> str:
    """Return ``text`` without its middle, if it is too long."""
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out here ...\n{text[-half:]}"


class LogBounds:
    """Decides what of the entries about logs goes into the journal. May be used from any thread.

    ``write`` puts an entry into the journal.
    """

    def __init__(self, file: JournalFile, write: Callable[[bytes], object]) -> None:
        self._file = file
        self._write = write
        self._lock = threading.RLock()
        self._bounds = PER_TASK_RUN, PER_RUN
        self._kept: dict[_Key, int] = {}
        self._total = 0
        self._tails: dict[_Key, _Tail] = {}
        self._files = 0

    def set(self, per_task_run: int, per_run: int) -> None:
        """Keep so many bytes."""
        self._bounds = per_task_run, per_run

    def add(self, node: int, map_index: int, entry: bytes) -> None:
        """Keep an entry at the beginning, or for the time being at the end."""
        key, size = (node, map_index), len(entry)
        with self._lock:
            if key not in self._tails and _ALL not in self._tails:
                kept = self._kept.get(key, 0) + size
                if kept <= self._bounds[0] - 2 * _HALF and self._total + size <= self._bounds[1]:
                    self._kept[key] = kept
                    self._total += size
                    self._write(entry)
                    return
                self._begin_tail(key, self._total + size > self._bounds[1])
            tail = self._tails.get(_ALL) or self._tails[key]
            tail.add(entry)

    def _begin_tail(self, key: _Key, is_all: bool) -> None:
        bound, whose = (self._bounds[1], "This run") if is_all else (self._bounds[0], "This task run")
        node, map_index = (NO_TASK, UNMAPPED) if is_all else key
        said = f"{whose} logs more than {_size(bound)}: what follows is not kept, but for the last {_size(_HALF)}."
        self._write(encode_logged(node, map_index, 0, time.time(), logging.WARNING, "headrace", f"... {said}"))
        self._tails[_ALL if is_all else key] = _Tail(self._next_path)

    def _next_path(self) -> Path:
        # In the order in which they are begun, for those who find them.
        self._files += 1
        return self._file.path.with_name(f"{self._file.run_id}.{self._files:08d}{_SUFFIX}")

    def finish(self, node: int, map_index: int) -> None:
        """Put the end of what a task run has logged into the journal: there is nothing more to come."""
        if not self._kept and not self._tails:
            return
        key = node, map_index
        with self._lock:
            self._kept.pop(key, None)
            if key in self._tails:
                self._put(self._tails.pop(key))

    def finish_all(self) -> None:
        """Put all that is not in the journal yet into it."""
        if not self._tails:
            return
        with self._lock:
            for key in sorted(self._tails, reverse=True):
                self._put(self._tails.pop(key))

    def _put(self, tail: _Tail) -> None:
        data = tail.data()
        if data:
            self._total += len(data)
            self._write(data)
        tail.discard()

    def close(self) -> None:
        """Leave the files for whoever sweeps."""
        with self._lock:
            for tail in self._tails.values():
                tail.close()
            self._tails.clear()


class _Tail:
    """The last entries of many, in up to two files."""

    def __init__(self, next_path: Callable[[], Path]) -> None:
        self._next_path = next_path
        self._paths: list[Path] = []
        self._descriptor = -1
        self._size = 0

    def add(self, entry: bytes) -> None:
        if self._descriptor < 0 or self._size >= _HALF:
            self._turn()
        try:
            os.write(self._descriptor, entry)
        except OSError as error:
            raise unwritable(self._paths[-1], error) from error
        self._size += len(entry)

    def _turn(self) -> None:
        self.close()
        path = self._next_path()
        try:
            self._descriptor = os.open(path, _FLAGS, 0o600)
            self._paths.append(path)
            if len(self._paths) > 2:
                self._paths.pop(0).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        self._size = 0

    def data(self) -> bytes:
        return b"".join(_whole_entries(self._paths))

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def discard(self) -> None:
        self.close()
        _remove(self._paths)


def append_tails(file: JournalFile) -> None:
    """Append what the dead owner of a journal has left in other files, after the last whole entry.

    ``file`` is one that this process has claimed.
    """
    try:
        paths = _left_by(file)
        data = b"".join(_whole_entries(paths))
        if data:
            end = end_of_entries(file)
            if end is None:
                return
            file.cut(end)
            file.append(data)
    except OSError as error:
        raise unwritable(file.path, error) from error
    _remove(paths)


def remove_tails(file: JournalFile) -> None:
    """Remove what the dead owner of a journal has left in other files, because its run is gone."""
    with contextlib.suppress(OSError):
        _remove(_left_by(file))


def _left_by(file: JournalFile) -> list[Path]:
    found = file.path.parent.iterdir()
    return sorted(path for path in found if path.suffix == _SUFFIX and path.name.startswith(f"{file.run_id}."))


def _whole_entries(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            yield data[: max((end for kind, end, _ in entries(data) if kind), default=0)]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _size(count: int) -> str:
    return f"{count / 1024:g} kB" if count < 1 << 20 else f"{count / (1 << 20):g} MB"
