"""Why a task of an earlier run found its result in the cache, or did not, as far as its entry is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.caching._explain import explain_bucket
from headrace.caching._notes import location_in
from headrace.exceptions import ResultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.caching._entries import Entry
    from headrace.caching._store import CacheStore

__all__ = ["explain_past"]

# An entry that was made so much later than the result was kept is of a later run. In seconds.
_LATER = 1.0


def explain_past(cache: CacheStore, note: str, entered: float) -> Iterator[str]:
    """Yield sentences about what a task run that came into its state at ``entered`` noted of the cache."""
    location = location_in(note)
    try:
        entry = cache.read_at(location)
    except ResultError as error:
        yield f"its entry in the cache cannot be read: {error.message}"
        return
    if note.startswith("found"):
        yield _found(entry, location, entered)
    elif "," in note.partition(";")[0]:
        yield f"it looked into the cache, but {note.partition(', ')[2].partition(';')[0]}"
    elif entry is None or entry.created > entered + _LATER:
        yield f"it was not found in the cache; its own entry, {location}, has been removed or replaced since"
    else:
        yield from _not_found(cache, entry)


def _found(entry: Entry | None, location: str, entered: float) -> str:
    if entry is None or entry.created > entered:
        return f"it was found in the cache; the entry, {location}, has been removed or replaced since"
    flow = f" by flow {entry.flow}" if entry.flow else ""
    compared = ", ".join(
        [*(f"argument {name!r}" for name in entry.inputs), *(f"parameter {n!r}" for n in entry.parameters)]
    )
    same = f", with the same {compared}" if compared else ""
    code = " and the same code" if entry.code else ""
    before = _span(entered - entry.created)
    return f"it was computed{flow} {before} before{same}{code}: entry {entry.key[:8]} of {entry.bucket!r}"


def _not_found(cache: CacheStore, entry: Entry) -> Iterator[str]:
    older = [each for each in cache.entries(entry.bucket, damaged=_ignore) if each.created < entry.created]
    if not older:
        yield f"nothing was cached under {entry.bucket!r} before"
        return
    explanation = explain_bucket(entry.bucket, [entry, *older], entry.created)
    nearest = explanation.entry
    age = "" if nearest is None else f", {_span(entry.created - nearest.created)} older,"
    key = "" if nearest is None else f" {nearest.key[:8]}"
    different = [
        f"{each.field} {_VERDICTS.get(each.verdict, each.verdict)}"
        for each in explanation.findings
        if each.verdict != "same"
    ]
    yield f"it was not found in the cache: from the nearest entry{key}{age} it differs in this: {', '.join(different)}"


_VERDICTS = {"changed": "has changed", "new": "is new", "gone": "is gone", "unknown": "is not known"}


def _ignore(*_: object) -> None:
    """Leave a damaged entry to `headrace cache prune`."""


def _span(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
