"""How states, times and counts look in a terminal. Shapes tell states apart, and colours only help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from headrace.visualize.marks import mark_for

if TYPE_CHECKING:
    from headrace.states import State

__all__ = ["Look", "amount", "duration", "look_of"]


class Look(NamedTuple):
    """A state on a screen. ``style`` is in rich's words and uses only the terminal's own colours."""

    symbol: str
    ascii: str
    word: str
    style: str

    def mark(self, *, unicode: bool) -> str:
        """Return the symbol, or what stands for it where only ASCII can be shown."""
        return self.symbol if unicode else self.ascii


_WORDS: Final = {
    "Pending": ("waiting", "dim"),
    "Scheduled": ("waiting", "yellow"),
    "Paused": ("paused", "magenta"),
    "Resume": ("waiting", "yellow"),
    "Retrying": ("retrying", "yellow"),
    "Submitted": ("submitted", "dim"),
    "Queued": ("queued", "yellow"),
    "Running": ("running", "cyan"),
    "Cancelling": ("stopping", "magenta"),
    "Finished": ("finished", "green"),
    "Looped": ("looping", "cyan"),
    "Success": ("succeeded", "green"),
    "Cached": ("cached", "green"),
    "Mapped": ("succeeded", "green"),
    "Skipped": ("skipped", "blue"),
    "Cancelled": ("cancelled", "magenta"),
    "Failed": ("failed", "bold red"),
    "TimedOut": ("timed out", "bold red"),
    "TriggerFailed": ("not run", "red"),
    "Crashed": ("crashed", "bold red"),
    "ValidationFailed": ("invalid", "bold red"),
}


def look_of(kind: type[State]) -> Look:
    """Return the look of a class of states; a class of somebody else looks like the nearest one of headrace."""
    for cls in kind.__mro__:
        if cls.__name__ in _WORDS:
            word, style = _WORDS[cls.__name__]
            mark = mark_for(cls.__name__)
            return Look(mark.symbol, mark.ascii, word, style)
    return Look("●", "?", kind.__name__.lower(), "")


def amount(size: float) -> str:
    """Return a number of bytes in the largest unit that it fills."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def duration(seconds: float, *, live: bool = False) -> str:
    """Return a time span in at most seven characters; a ``live`` one, which changes as one looks, with fewer digits."""
    seconds = max(0.0, seconds)
    if live and seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"
