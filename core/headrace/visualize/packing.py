"""How separate parts of a drawing share the page: large ones first on shelves, lone nodes in a grid."""

from __future__ import annotations

from math import ceil, sqrt

__all__ = ["arrange_grid", "pack_shelves"]

_ASPECT = 1.6
_GAP = 40.0
_GRID_GAP = 20.0
_FEW = 4


def pack_shelves(sizes: list[tuple[float, float]]) -> tuple[list[tuple[float, float]], float, float]:
    """Place boxes of these sizes on shelves; return the corner of each, and the width and height of the whole."""
    if not sizes:
        return [], 0.0, 0.0
    area = sum((width + _GAP) * (height + _GAP) for width, height in sizes)
    limit = max(*(width for width, _ in sizes), sqrt(area * _ASPECT))
    corners = [(0.0, 0.0)] * len(sizes)
    left = top = shelf = widest = 0.0
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number][1]):
        width, height = sizes[number]
        if left and left + width > limit:
            left, top, shelf = 0.0, top + shelf + _GAP, 0.0
        corners[number] = (left, top)
        widest = max(widest, left + width)
        shelf = max(shelf, height)
        left += width + _GAP
    return corners, widest, top + shelf


def arrange_grid(sizes: list[tuple[float, float]]) -> tuple[list[tuple[float, float]], float, float]:
    """Place boxes row by row in cells of one width; return corners, and the width and height of the whole."""
    cell = max(width for width, _ in sizes)
    tall = max(height for _, height in sizes)
    wanted = sqrt(len(sizes) * _ASPECT * (tall + _GRID_GAP) / (cell + _GRID_GAP))
    columns = max(min(len(sizes), _FEW), ceil(wanted))
    corners: list[tuple[float, float]] = []
    top = 0.0
    for start in range(0, len(sizes), columns):
        row = sizes[start : start + columns]
        depth = max(height for _, height in row)
        for column, (width, height) in enumerate(row):
            left = column * (cell + _GRID_GAP) + (cell - width) / 2
            corners.append((left, top + (depth - height) / 2))
        top += depth + _GRID_GAP
    used = min(columns, len(sizes))
    return corners, used * (cell + _GRID_GAP) - _GRID_GAP, top - _GRID_GAP
