"""What is written on a node and how large that makes it, without a font at hand.

Widths are estimates for common interface fonts, a little on the wide side; a box keeps padding for the rest.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.visualize.drawing import Node

__all__ = [
    "BOLD",
    "DETAIL_SIZE",
    "EDGE_LABEL_SIZE",
    "LABEL_SIZE",
    "STACK_HEIGHT",
    "Face",
    "clean_text",
    "edge_text",
    "face_of",
    "shorten",
    "text_width",
]

LABEL_SIZE = 13.0
DETAIL_SIZE = 11.0
EDGE_LABEL_SIZE = 10.5
BOLD = 1.1
"""How much wider bold text runs."""

STACK_HEIGHT = 8.0
"""How far the cards behind a mapped node show below it."""

_MAX_LABEL = 240.0
_MAX_DETAIL = 240.0
_MAX_EDGE_LABEL = 120.0
_MIN_WIDTH = 76.0
_PADDING = 15.0
_BADGE_SPACE = 30.0

_EMS = (
    dict.fromkeys("iljI.,:;'|!`", 0.31)
    | dict.fromkeys('ftr()[]{}/\\ "-*', 0.39)
    | dict.fromkeys("#<>=+~^$", 0.78)
    | dict.fromkeys("mwMW@%", 0.93)
    | dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.70)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """The lines on a node, shortened to fit, and the size of its box with everything that belongs to it."""

    label: str
    details: tuple[str, ...]
    width: float
    height: float


def face_of(node: Node) -> Face:
    """Return what is written on a node and its size."""
    label = shorten(node.label, _MAX_LABEL, LABEL_SIZE * BOLD) or "(unnamed)"
    written = [text for text in (node.state, node.detail) if text]
    details = tuple(shorten(text, _MAX_DETAIL, DETAIL_SIZE) for text in written)
    widest = max([text_width(label, LABEL_SIZE * BOLD), *(text_width(text, DETAIL_SIZE) for text in details)])
    badge = _BADGE_SPACE if node.state else 0.0
    slope = 6.0 if node.kind == "parameter" else 0.0  # the round ends of a pill leave less room for text
    width = max(_MIN_WIDTH, widest + 2 * _PADDING + badge + 2 * slope)
    height = 38.0 + 15.0 * len(details) - (2.0 if details else 0.0)
    return Face(label=label, details=details, width=width, height=height + (STACK_HEIGHT if node.mapped else 0.0))


def edge_text(label: str | None) -> str:
    """Return what is written on an edge, shortened to fit between two layers."""
    return shorten(label, _MAX_EDGE_LABEL, EDGE_LABEL_SIZE) if label else ""


def text_width(text: str, size: float) -> float:
    """Estimate the width of one line in a proportional font of this size."""
    return size * sum(_EMS[character] if character in _EMS else _ems(character) for character in text)


def _ems(character: str) -> float:
    if character.isascii():
        return 0.60
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.0
    return 1.1 if unicodedata.east_asian_width(character) in {"W", "F"} else 0.72


def shorten(text: str, width: float, size: float) -> str:
    """Return the text on one line, cut with an ellipsis where it would pass ``width``."""
    text = " ".join(clean_text(text).split())
    if text_width(text[:400], size) <= width and len(text) <= 400:
        return text
    room = width - text_width("…", size)
    end = 0
    while room >= 0 and end < len(text):
        room -= text_width(text[end], size)
        end += 1
    end -= 1
    while end > 1 and not text_width(text[end], size):
        end -= 1  # never part a letter from the accents that follow it
    return text[:end].rstrip() + "…"


def clean_text(text: str) -> str:
    """Return the text with every character that XML cannot hold replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_xml(ord(character)) else "\ufffd" for character in text)


def _is_xml(code: int) -> bool:
    return (
        code in {0x9, 0xA, 0xD}
        or 0x20 <= code < 0x7F
        or 0xA0 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )
