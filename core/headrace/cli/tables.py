"""Tables for commands that list things: readable at 80 columns, and complete where nobody looks at a screen."""

from __future__ import annotations

import shutil
import sys

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["console_for", "table"]


def console_for() -> Console:
    """Return a console for standard output; through a pipe it has neither colours nor folded lines."""
    live = sys.stdout.isatty()
    width = None if live else max(200, shutil.get_terminal_size((200, 40)).columns)
    return Console(file=sys.stdout, force_terminal=live, no_color=None if live else True, width=width, highlight=False)


def table(*headers: str) -> Table:
    """Return an empty table; long cells are folded, never cut."""
    plain_box = box.SIMPLE_HEAD if "utf" in (sys.stdout.encoding or "").lower() else box.ASCII2
    found = Table(box=plain_box, pad_edge=False, show_edge=False, header_style="dim")
    for header in headers:
        found.add_column(header, overflow="fold")
    return found
