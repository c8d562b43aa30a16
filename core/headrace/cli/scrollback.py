"""What tasks print and log while a live display stands below: collected here, written above it a few times a second.

Redrawing the display for each line would make a task that prints much a hundred times slower.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from logging import StreamHandler, getLogger
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack
    from logging import Handler

__all__ = ["Scrollback"]

# Colours may stay; what moves the cursor or clears the screen would tear the display apart.
_MOVES: Final = re.compile(r"\x1b(?!\[[0-9;:]*m)(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)")
_COLORS: Final = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_RESET: Final = "\x1b[0m"


class Scrollback:
    """Gathers text from any thread; ``take`` hands over the lines that are complete."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors
        self._chunks: deque[str] = deque()
        self._rest = ""

    def redirect(self, stack: ExitStack) -> None:
        """Let what goes to the terminal through ``sys.stdout``, ``sys.stderr`` or logging come here, until the end."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or not stream.isatty():
                continue
            proxy = _Proxy(stream, self._chunks)
            setattr(sys, name, proxy)
            stack.callback(proxy.end, name)
            for handler in _handlers_of(stream):
                handler.setStream(cast("TextIO", proxy))
                stack.callback(handler.setStream, stream)

    def take(self, *, everything: bool = False) -> str:
        """Return what has come in up to the last line end, or, at the very end, ``everything`` and a line end."""
        text = self._rest
        while self._chunks:
            text += self._chunks.popleft()
        if not text:
            return ""
        cut = len(text) if everything else text.rfind("\n") + 1
        self._rest = text[cut:]
        found = text[:cut]
        if everything and not found.endswith("\n"):
            found += "\n"
        return self._harmless(found)

    def _harmless(self, text: str) -> str:
        if "\x1b" in text:
            text = _MOVES.sub("", text)
            text = text.replace("\n", f"{_RESET}\n") if self._colors else _COLORS.sub("", text)
        if "\r" in text:
            # A line that was drawn over shows what was drawn last.
            lines = text.replace("\r\n", "\n").split("\n")
            text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        return _CONTROLS.sub("", text)


class _Proxy:
    """Stands in for a text stream; everything that is not writing goes to the original."""

    def __init__(self, original: TextIO, chunks: deque[str]) -> None:
        self._original = original
        self._chunks: deque[str] | None = chunks

    def write(self, text: str) -> int:
        if not isinstance(cast("object", text), str):
            raise TypeError(f"write() takes a string, not {type(text).__name__}.")
        if self._chunks is None:
            return self._original.write(text)
        self._chunks.append(text)
        return len(text)

    def end(self, name: str) -> None:
        """Pass everything on from now, and put the original back unless somebody put something on top of this."""
        self._chunks = None
        if getattr(sys, name) is self:
            setattr(sys, name, self._original)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._chunks is None:
            self._original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _handlers_of(stream: TextIO) -> list[StreamHandler[TextIO]]:
    """Return the logging handlers that write to a stream of their own choice, as ``basicConfig`` makes them."""
    loggers = [getLogger(), *(logger for logger in getLogger().manager.loggerDict.values())]
    found: dict[int, Handler] = {id(h): h for logger in loggers for h in getattr(logger, "handlers", ())}
    return [h for h in found.values() if isinstance(h, StreamHandler) and getattr(h, "stream", None) is stream]
