"""Where the labels of edges stand: on the last stretch of their lines, clear of each other where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.visualize.sizes import EDGE_LABEL_SIZE, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.visualize.routing import Line

__all__ = ["place_labels"]

_STEPS = (0.5, 0.7, 0.3, 0.6, 0.4, 0.8, 0.2)
_CELL = 32.0
_HEIGHT = 14.0

_Rectangle = tuple[float, float, float, float]


def place_labels(labels: list[str], lines: list[Line], *, horizontal: bool) -> list[tuple[float, float] | None]:
    """Return the middle of each label as x and y, or None for an edge without one."""
    taken: dict[tuple[int, int], list[_Rectangle]] = {}
    places: list[tuple[float, float] | None] = []
    for label, line in zip(labels, lines, strict=True):
        if not label:
            places.append(None)
            continue
        width = text_width(label, EDGE_LABEL_SIZE) + 6.0
        options = [_at(line.stretch, step, horizontal=horizontal) for step in _STEPS]
        best = next((place for place in options if _is_free(_around(place, width), taken)), options[0])
        rectangle = _around(best, width)
        for cell in _cells(rectangle):
            taken.setdefault(cell, []).append(rectangle)
        places.append(best)
    return places


def _at(stretch: _Rectangle, step: float, *, horizontal: bool) -> tuple[float, float]:
    """Return the point of the curve that `svg` draws for this stretch, at this parameter."""
    start, begin, stop, end = stretch
    across = start + (stop - start) * (3 * step**2 - 2 * step**3)
    along = begin + (end - begin) * (1.5 * step - 1.5 * step**2 + step**3)
    return (along, across) if horizontal else (across, along)


def _around(place: tuple[float, float], width: float) -> _Rectangle:
    return place[0] - width / 2, place[1] - _HEIGHT / 2, place[0] + width / 2, place[1] + _HEIGHT / 2


def _cells(rectangle: _Rectangle) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = rectangle
    for column in range(int(left // _CELL), int(right // _CELL) + 1):
        for row in range(int(top // _CELL), int(bottom // _CELL) + 1):
            yield column, row


def _is_free(rectangle: _Rectangle, taken: dict[tuple[int, int], list[_Rectangle]]) -> bool:
    left, top, right, bottom = rectangle
    return not any(
        other[0] < right and left < other[2] and other[1] < bottom and top < other[3]
        for cell in _cells(rectangle)
        for other in taken.get(cell, ())
    )
