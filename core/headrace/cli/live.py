"""The report of a run on a terminal: one line per task, redrawn in place, with logs and prints above."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from headrace.cli.failures import plain
from headrace.cli.progress import Progress
from headrace.cli.rows import chosen, footer, rest_line, row
from headrace.cli.scrollback import Scrollback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from rich.console import Console, ConsoleOptions, RenderResult

    from headrace.flows import Flow

__all__ = ["LiveReport"]

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_INTERVAL: Final = 0.1
_OTHER_LINES: Final = 5
_FEWEST: Final = 3
_NARROWEST: Final = 12
_SHOW_CURSOR: Final = "\x1b[?25h"


class LiveReport:
    """Draws ten times a second on a thread of its own, from the counters of `Progress`."""

    def __init__(self, flow: Flow, console: Console) -> None:
        self.progress = Progress(flow)
        self._console = console
        self._scrollback = Scrollback(colors=not console.no_color)
        self._frame = 0
        self._note = ""
        self._scrolled = False
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._picture,
        )
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._scrollback.redirect(self._stack)
        self._live.start()
        self._stack.callback(self._end)
        self._stop.clear()
        self._thread = threading.Thread(target=self._draw_until_stopped, name="headrace-display", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        self._stack.close()
        try:
            yield
        finally:
            self.__enter__()

    def interrupted(self) -> None:
        """Say that the first Ctrl-C was seen; from any thread."""
        self._note = "stopping; Ctrl-C again leaves at once"

    def abandon(self) -> None:
        """Leave the terminal as it should be, at once and from any thread: the process is about to end."""
        self._stop.set()
        file = self._console.file
        running = len(self.progress.active)
        what = "1 task was" if running == 1 else f"{running:,} tasks were"
        file.write(f"\n{self._scrollback.take(everything=True)}{_SHOW_CURSOR}")
        file.write(f"Left at once, while {what} running.\n")
        file.flush()

    # Drawing

    def _draw_until_stopped(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._frame += 1
            self._draw(self._scrollback.take())

    def _draw(self, lines: str) -> None:
        if lines:
            self._scrolled = True
            self._console.print(_AsItIs(lines), soft_wrap=True, end="")
        self._live.refresh()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        rest = self._scrollback.take(everything=True)
        if rest:
            self._draw(rest)
        self._live.stop()

    def _picture(self) -> Group:
        width, height = self._console.size
        # Terminals echo ^C where the cursor stands, at the end of the last line; it must not begin another one.
        width = max(_NARROWEST, width - 3)
        now = time.time()
        room = max(_FEWEST, height - _OTHER_LINES - height // 6)
        tasks = chosen(self.progress, room)
        longest = max((cell_len(plain(task.name)) for task in tasks), default=0)
        name_width = max(8, min(longest, width * 2 // 5))
        lines = [row(task, name_width, width, now) for task in tasks]
        rest = rest_line(self.progress, tasks)
        frame = _FRAMES[self._frame % len(_FRAMES)]
        last = footer(self.progress, frame, self._note, width, now)
        above = [Text("─" * width, "bright_black", no_wrap=True)] if self._scrolled else []
        return Group(*above, *lines, *([rest] if rest is not None else []), Text(), last)


class _AsItIs:
    """Text that goes to the terminal without being parsed, styled or wrapped."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)
