"""Records as what JSON can hold: what ``--json`` prints and `headrace export` writes.

Moments are in seconds since the epoch, and digests are in hexadecimal. Values themselves are never there, only what is
known of them: they are pickles.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from headrace.history.records import UNMAPPED
from headrace.history.sealing import content_of

if TYPE_CHECKING:
    from headrace.history.records import (
        AttemptRecord,
        LogRecord,
        NoteRecord,
        RunRecord,
        TaskRecord,
        TaskRunRecord,
        ValueRecord,
    )

__all__ = [
    "attempt_document",
    "digest_of",
    "log_document",
    "note_document",
    "run_document",
    "task_document",
    "task_run_document",
    "value_document",
]


def run_document(run: RunRecord) -> dict[str, Any]:
    """Return all of a run but the values of its parameters."""
    fields = asdict(run)
    del fields["parameters"]
    return fields


def task_document(task: TaskRecord, slugs: dict[int, str]) -> dict[str, Any]:
    """Return a task; ``slugs`` are those of all tasks by node, which its edges are told in."""
    fields: dict[str, Any] = task._asdict()
    fields["details"] = dict(task.details)
    fields["tags"] = list(task.tags)
    fields["upstream"] = [
        {"task": slugs[edge.upstream], "key": edge.key, "mapped": edge.mapped, "flattened": edge.flattened}
        for edge in task.upstream
    ]
    return fields


def task_run_document(record: TaskRunRecord, slug: str) -> dict[str, Any]:
    """Return one run of the task with that slug."""
    return {
        "task": slug,
        "map_index": _index(record.map_index),
        "attempt": record.attempt,
        "state": record.state,
        "message": record.message,
        "started": record.started,
        "entered": record.entered,
        "until": record.until,
        "children": record.child_count,
        "value": value_document(record.value),
        "details": record.details,
        "taken_from": record.taken_from,
    }


def attempt_document(record: AttemptRecord, slug: str) -> dict[str, Any]:
    """Return an earlier attempt at the task with that slug."""
    return {
        "task": slug,
        "map_index": _index(record.map_index),
        "attempt": record.attempt,
        "state": record.state,
        "message": record.message,
        "started": record.started,
        "ended": record.ended,
        "value": value_document(record.value),
    }


def note_document(record: NoteRecord, slug: str) -> dict[str, Any]:
    """Return a remark on a run of the task with that slug."""
    return {"task": slug, "map_index": _index(record.map_index), "kind": record.kind, "text": record.text}


def log_document(record: LogRecord, slug: str | None) -> dict[str, Any]:
    """Return what the task with that slug has logged, or the run itself if there is none."""
    return {
        "position": record.position,
        "task": slug,
        "map_index": _index(record.map_index),
        "attempt": record.attempt,
        "at": record.at,
        "level": record.level,
        "logger": record.logger,
        "text": record.text,
    }


def value_document(value: ValueRecord | None) -> dict[str, Any] | None:
    """Return what is known of a value. ``kept`` says where it is: in the history, in the result store, or nowhere."""
    if value is None:
        return None
    digest = digest_of(value)
    return {
        "kept": "history" if value.data is not None else "store" if value.location is not None else None,
        "location": value.location,
        "type": value.type_name,
        "size": value.size,
        "digest": None if digest is None else digest.hex(),
        "serializer": value.serializer,
        "is_exception": value.is_exception,
    }


def digest_of(value: ValueRecord) -> bytes | None:
    """Return the BLAKE2b digest, of 32 bytes, of a serialized value, or None if it was not kept."""
    if value.data is not None:
        return hashlib.blake2b(content_of(value.data), digest_size=32).digest()
    return None if value.digest is None else content_of(value.digest)


def _index(map_index: int) -> int | None:
    return None if map_index == UNMAPPED else map_index
