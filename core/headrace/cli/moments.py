"""Moments as people type them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

__all__ = ["moment_from_text"]

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d|w)")
_SECONDS: Final = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_from_text(text: str, now: float) -> float:
    """Return the moment, in seconds since the epoch, that ISO 8601 text names, or that was so long before ``now``.

    Without a zone it is in local time. Raises ValueError with a message for people.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        # What has no zone is taken as local time.
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no moment. Write 2026-01-31, 2026-01-31T18:00, or how long ago it was: 90min, 12h, 7d."
        ) from error
