"""The badge of a state in SVG: an outline that tells the outcome, and a symbol as a stroke, which needs no font."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.visualize.marks import contrasting

if TYPE_CHECKING:
    from headrace.visualize.marks import Badge, Mark

__all__ = ["badge"]

_OUTLINES: dict[Badge, str] = {
    "circle": '<circle r="9"',
    "ring": '<circle class="ring" r="8.2"',
    "octagon": '<path d="M-3.9 -9.4h7.8l5.5 5.5v7.8l-5.5 5.5h-7.8l-5.5 -5.5v-7.8z"',
    "diamond": '<path d="M0 -10.6L10.6 0L0 10.6L-10.6 0Z" stroke-linejoin="round"',
    "square": '<rect x="-8.4" y="-8.4" width="16.8" height="16.8" rx="2.5"',
}


def badge(mark: Mark, color: str, x: float, y: float, *, scale: float = 1.0) -> str:
    """Draw the badge of a state around a point; ``color`` is written ``#rrggbb``."""
    outline = _OUTLINES[mark.badge]
    size = f" scale({scale:g})" if scale != 1.0 else ""
    if mark.badge == "ring":
        body = f'{outline} stroke="{color}" stroke-width="2"/><path class="icon ink" d="{mark.icon}"/>'
    else:
        inner = " scale(.88)" if mark.badge == "diamond" else ""
        fitted = f' transform="{inner.strip()}"' if inner else ""
        body = f'{outline} fill="{color}"/><path class="icon" stroke="{contrasting(color)}"{fitted} d="{mark.icon}"/>'
    return f'<g transform="translate({x:.1f} {y:.1f}){size}">{body}</g>'
