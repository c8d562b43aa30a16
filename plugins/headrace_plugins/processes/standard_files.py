"""The standard files of a worker: a task that closes one lets the next file that is opened take its place."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, Any

__all__ = ["StandardFile"]


class StandardFile:
    """A standard descriptor, and Python's stream that is called ``name``, as they were when this was made."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._stream: IO[Any] | None = getattr(sys, name)
        # A spare, which programs that a task starts do not get; None if it was closed from the beginning.
        self._spare: int | None = None
        with contextlib.suppress(OSError):
            self._spare = os.dup(number)
            found = os.fstat(number)
            self._device, self._inode = found.st_dev, found.st_ino

    def restore(self) -> None:
        """Open it again if it was closed, or closed and replaced by another."""
        if self._spare is not None and not self._is_what_it_was():
            with contextlib.suppress(OSError):  # a task has closed all there is
                os.dup2(self._spare, self._number)
        stream = self._stream
        if stream is None:
            return
        if stream.closed:
            stream = self._stream = self._opened_again(stream)
        if getattr(sys, self._name) is not stream:
            setattr(sys, self._name, stream)

    def _opened_again(self, stream: IO[Any]) -> IO[Any]:
        encoding = getattr(stream, "encoding", None)
        return open(self._number, "r" if self._number == 0 else "w", encoding=encoding, closefd=False)

    def _is_what_it_was(self) -> bool:
        try:
            found = os.fstat(self._number)
        except OSError:
            return False
        return found.st_ino == self._inode and found.st_dev == self._device
