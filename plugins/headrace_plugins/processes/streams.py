"""Standard streams of a worker whose text goes to the driver, because the driver's do not lead to its process's.

That is so in notebooks, under test runners, and while the driver shows progress on the terminal.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForwardedStream", "replaced_streams", "write"]

# So that a piece fits into a message that is sent whole or not at all.
_LONGEST_PIECE: Final = 8_000


def replaced_streams() -> tuple[str, ...]:
    """Return the names of the standard streams of this process that somebody has put something else in place of."""
    return tuple(name for name in ("stdout", "stderr") if getattr(sys, name) is not getattr(sys, f"__{name}__"))


class ForwardedStream(io.TextIOBase):
    """Hands lines to ``send``, and what is written without an end of line when it is flushed.

    A process that was forked from this one writes to ``original``.
    """

    def __init__(self, send: Callable[[bytes], object], name: str) -> None:
        self.name = f"<{name}>"
        self._send = send
        self._stream = name
        self._original = getattr(sys, name)
        self._pid = os.getpid()
        self._parts: list[str] = []
        self._length = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Return the descriptor that programs write to."""
        return self._original.fileno()  # type: ignore[no-any-return]

    def write(self, text: str) -> int:
        if self._is_inherited():
            return self._original.write(text)  # type: ignore[no-any-return]
        if not isinstance(cast("object", text), str):
            raise TypeError(f"write() takes a string, not {type(text).__name__}.")
        self._parts.append(text)
        self._length += len(text)
        if "\n" in text or self._length > _LONGEST_PIECE:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._is_inherited():
            self._original.flush()
            return
        if not self._parts:
            return
        text = "".join(self._parts)
        self._parts.clear()
        self._length = 0
        for start in range(0, len(text), _LONGEST_PIECE):
            self._send(pickle.dumps((self._stream, text[start : start + _LONGEST_PIECE])))

    def close(self) -> None:
        """Stay open: it is there for the tasks after this one, too."""
        self.flush()

    def _is_inherited(self) -> bool:
        return os.getpid() != self._pid


def write(name: str, text: str) -> None:
    """Write what a `ForwardedStream` sent."""
    stream = getattr(sys, name)
    with contextlib.suppress(Exception):  # it is anybody's, and may be closed: no reason for the run to end
        stream.write(text)
        stream.flush()
