"""How a state looks: a symbol, a badge whose outline differs by outcome, and a colour, so no meaning rests on hue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Badge", "Mark", "contrasting", "mark_for", "pale", "safe_color"]

Badge = Literal["circle", "octagon", "diamond", "ring", "square"]
"""The outline behind a symbol: finished well, failed, waiting for a time, not run, stopped by someone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """The look of one state; ``icon`` is the path of a stroke in a square from -8 to 8."""

    symbol: str
    ascii: str
    color: str
    badge: Badge
    icon: str


_CHECK = "M-3.6 .3 L-1.1 2.9 L3.8 -2.6"
_CROSS = "M-2.9 -2.9 L2.9 2.9 M2.9 -2.9 L-2.9 2.9"
_SKIP = "M-4.2 1.6 C-3.2 -3.6 2.2 -3.6 3.4 1 M3.9 -2.2 L3.5 1.4 L.2 .4"
_CLOCK = "M0 -3.8 L0 .4 L2.8 2"
_AGAIN = "M3.3 -1.7 A3.7 3.7 0 1 0 3.5 1.4 M3.9 -4.2 L3.6 -1.3 L.8 -1.7"
_PLAY = "M-1.8 -3.2 L3.2 0 L-1.8 3.2 Z"
_PAUSE = "M-1.8 -3 L-1.8 3 M1.8 -3 L1.8 3"
_BAR = "M-3.4 0 L3.4 0"
_SLASHED = "M0 -3.9 A3.9 3.9 0 1 0 0 3.9 A3.9 3.9 0 1 0 0 -3.9 M-2.6 2.6 L2.6 -2.6"
_DOTS = "M-3.4 0 L-3.3 0 M0 0 L.1 0 M3.4 0 L3.5 0"
_STACK = "M-3.4 -2.6 L3.4 -2.6 M-3.4 0 L3.4 0 M-3.4 2.6 L3.4 2.6"
_BANG = "M0 -3.8 L0 .8 M0 3.5 L0 3.6"

_MARKS = {
    "Pending": Mark(symbol="○", ascii=".", color="#7ebdff", badge="ring", icon=_DOTS),
    "Scheduled": Mark(symbol="◷", ascii="@", color="#ffab00", badge="diamond", icon=_CLOCK),
    "Paused": Mark(symbol="‖", ascii="=", color="#99a8e8", badge="diamond", icon=_PAUSE),
    "Resume": Mark(symbol="▷", ascii=">", color="#f58c0c", badge="diamond", icon=_PLAY),
    "Retrying": Mark(symbol="↻", ascii="~", color="#f66a0a", badge="diamond", icon=_AGAIN),
    "Submitted": Mark(symbol="○", ascii=".", color="#ffdf5d", badge="ring", icon=_DOTS),
    "Queued": Mark(symbol="◷", ascii="@", color="#ffea7f", badge="diamond", icon=_CLOCK),
    "Running": Mark(symbol="▶", ascii=">", color="#3d67ff", badge="circle", icon=_PLAY),
    "Cancelling": Mark(symbol="■", ascii="#", color="#e8e8e8", badge="square", icon=_BAR),
    "Finished": Mark(symbol="●", ascii="o", color="#003ccb", badge="circle", icon=_CHECK),
    "Looped": Mark(symbol="↻", ascii="~", color="#003ccb", badge="diamond", icon=_AGAIN),
    "Success": Mark(symbol="✓", ascii="+", color="#28a745", badge="circle", icon=_CHECK),
    "Cached": Mark(symbol="≡", ascii="*", color="#34d058", badge="circle", icon=_STACK),
    "Mapped": Mark(symbol="✓", ascii="+", color="#003ccb", badge="circle", icon=_CHECK),
    "Skipped": Mark(symbol="↷", ascii="-", color="#62757f", badge="ring", icon=_SKIP),
    "Cancelled": Mark(symbol="■", ascii="#", color="#bdbdbd", badge="square", icon=_BAR),
    "Failed": Mark(symbol="✗", ascii="x", color="#eb0000", badge="octagon", icon=_CROSS),
    "TimedOut": Mark(symbol="⏲", ascii="x", color="#ff4e33", badge="octagon", icon=_CLOCK),
    "Crashed": Mark(symbol="!", ascii="!", color="#c42800", badge="octagon", icon=_BANG),
    "TriggerFailed": Mark(symbol="⊘", ascii="x", color="#ff5131", badge="octagon", icon=_SLASHED),
    "ValidationFailed": Mark(symbol="✗", ascii="x", color="#ff5131", badge="octagon", icon=_BANG),
}
_UNKNOWN = Mark(symbol="●", ascii="?", color="#696969", badge="ring", icon=_DOTS)


def mark_for(state: str) -> Mark:
    """Return the look of a state type; a name nobody drew gets a grey ring."""
    return _MARKS.get(state, _UNKNOWN)


def safe_color(color: str | None, state: str) -> str:
    """Return ``color`` if it is written ``#rgb`` or ``#rrggbb``, in full, and the state's usual colour otherwise."""
    digits = (color or "").removeprefix("#")
    if (
        color
        and color.startswith("#")
        and digits.isascii()
        and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    ):
        if len(digits) == 3:
            return "#" + "".join(digit * 2 for digit in digits.lower())
        if len(digits) == 6:
            return color.lower()
    return mark_for(state).color


def contrasting(color: str) -> str:
    """Return white if that stands out from ``#rrggbb`` at least 3 to 1, and near-black otherwise."""
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= 3 else "#12161c"


def pale(color: str) -> str:
    """Return a light tint of ``#rrggbb`` on which dark text reads well."""
    channels = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{255 - (255 - channel) // 6:02x}" for channel in channels)


def _linear(channel: float) -> float:
    if channel <= 0.04045:
        return channel / 12.92
    value: float = ((channel + 0.055) / 1.055) ** 2.4
    return value
