"""What the history notes of a task run that looked into the cache: whether it found an entry, and which one is its own.

``kind`` of such a note is `KIND`, and the key of the same name in the context of a state brings it to the history.
"""

from __future__ import annotations

from typing import Final

__all__ = ["KIND", "found_note", "kept_note", "location_in"]

KIND: Final = "cache"
_AS: Final = " as "


def found_note(location: str) -> str:
    """Return the note on a result that was found."""
    return f"found{_AS}{location}"


def kept_note(location: str, reason: str = "") -> str:
    """Return the note on a result that was not found, for ``reason`` if one is known at once."""
    why = f", {reason}" if reason else ""
    return f"not found{why}; kept{_AS}{location}"


def location_in(note: str) -> str:
    """Return where the entry is that a note speaks of."""
    return note.rpartition(_AS)[2]
