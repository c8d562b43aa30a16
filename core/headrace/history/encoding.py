"""The bytes in which a journal says what happened.

An entry is the length of its body, the same with all bits turned, the CRC-32 of the body, and the body; a body is its
kind, numbers of a fixed size, and texts whose lengths are among these. Nothing in it is code, so that reading a journal
that somebody planted does no harm.
Numbers are little-endian, texts are UTF-8. The form of an entry, once released, stays.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zlib import crc32

from headrace.exceptions import HistoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.history.records import TaskRunRecord, ValueRecord

__all__ = [
    "ATTEMPTED",
    "BEGAN",
    "ENDED",
    "ENTERED",
    "EXPANDED",
    "FINISHED",
    "LOGGED",
    "NOTED",
    "NO_VALUE",
    "TAKEN_OVER",
    "WAITING",
    "Began",
    "Entered",
    "Expanded",
    "Logged",
    "Noted",
    "Tail",
    "TakenOver",
    "TaskRunState",
    "Value",
    "as_text",
    "encode_began",
    "encode_entered",
    "encode_expanded",
    "encode_logged",
    "encode_noted",
    "encode_state",
    "encode_taken_over",
    "entries",
]

BEGAN: Final = 1
EXPANDED: Final = 2
WAITING: Final = 3
ATTEMPTED: Final = 4
FINISHED: Final = 5
NOTED: Final = 6
ENTERED: Final = 7
ENDED: Final = 8
LOGGED: Final = 9
TAKEN_OVER: Final = 10

# A state is said by its place in this list, to which states may be added at the end.
_STATES: Final = (
    "Pending",
    "Scheduled",
    "Paused",
    "Resume",
    "Retrying",
    "Running",
    "Cancelling",
    "Submitted",
    "Queued",
    "Finished",
    "Looped",
    "Cancelled",
    "Success",
    "Cached",
    "Mapped",
    "Skipped",
    "Failed",
    "TimedOut",
    "TriggerFailed",
    "Crashed",
    "ValidationFailed",
)
_CODES: Final = {name: code for code, name in enumerate(_STATES)}

_HEAD: Final = Struct("<III")
_BEGAN: Final = Struct("<BiiId")
_EXPANDED: Final = Struct("<Biid")
_NOTED: Final = Struct("<BiiI")
_ENTERED: Final = Struct("<BBd")
# Kind, and the size of the id of a run; a state follows.
_TAKEN_OVER: Final = Struct("<BI")
# Kind, node, map index, attempt, moment, level, and the size of the name of the logger.
_LOGGED: Final = Struct("<BiiIdiI")
# Kind, node, map index, attempt, state, whether there is a value, started, at, until, and the sizes of two texts.
_STATE: Final = Struct("<BiiIBBdddII")
# Whether it is an exception, its size, and the sizes of five parts.
_VALUE: Final = Struct("<BqIIIII")
_STATE_SIZE: Final = _STATE.size
_VALUE_SIZE: Final = _VALUE.size
_TURNED: Final = 0xFFFFFFFF
# The size of a part that is not there.
_NONE: Final = 0xFFFFFFFF
_NAN: Final = float("nan")
# How much of an entry may be there without its head.
_LONGEST_CUT: Final = 65_536
# What no encoding has, such as a lone surrogate out of a file name, is written as its escape.
_TEXT_ERRORS: Final = "backslashreplace"


# What entries say. Reading makes plain tuples: every task run of every run goes through here.
Began: TypeAlias = "tuple[int, int, int, float]"
"""Node, map index, attempt, moment."""

Expanded: TypeAlias = "tuple[int, int, float]"
"""Node, count, moment."""

Value: TypeAlias = "tuple[bytes | None, int | None, int | None, str | None, str | None, str | None, bytes | None]"
"""Of a `ValueRecord` data, size, 1 or 0 for an exception, serializer, type name, location, and digest.

Where there is no value, all are None.
"""

TaskRunState: TypeAlias = "tuple[Any, ...]"
"""Node, map index, attempt, state, message, start, moment; 1 if the task run has finished, or 0; all of a `Value`;
the moment waited for, None, and details: in the order in which a store has them, with None for the count of children.
"""

TakenOver: TypeAlias = "tuple[TaskRunState, str]"
"""A state, and the id of the run that did the work."""

Noted: TypeAlias = "tuple[int, int, str, str]"
"""Node, map index, kind, text."""

Logged: TypeAlias = "tuple[int, int, int, float, int, str, str]"
"""Node, map index, attempt, moment, level, logger, text."""

Entered: TypeAlias = "tuple[str, str | None, float]"
"""State, message, moment."""

Tail: TypeAlias = "tuple[int, bool]"
"""Where the last whole entry ends, and whether what follows is not just the beginning of one."""

NO_VALUE: Final[Value] = (None, None, None, None, None, None, None)


# Writing


def as_text(text: str) -> str:
    """Return ``text`` with what no encoding has, such as a lone surrogate out of a file name, as its escape."""
    return text.encode("utf-8", _TEXT_ERRORS).decode()


def encode_began(node: int, map_index: int, attempt: int, at: float) -> bytes:
    """Return the entry for an attempt that begins."""
    body = _BEGAN.pack(BEGAN, node, map_index, attempt, at)
    return _HEAD.pack(len(body), len(body) ^ _TURNED, crc32(body)) + body


def encode_expanded(node: int, count: int, at: float) -> bytes:
    """Return the entry for the number of a mapped task's children."""
    return _entry(_EXPANDED.pack(EXPANDED, node, count, at))


def encode_noted(node: int, map_index: int, kind: str, text: str) -> bytes:
    """Return the entry for a remark."""
    name = _bytes(kind)
    return _entry(_NOTED.pack(NOTED, node, map_index, len(name)) + name + _bytes(text))


def encode_logged(node: int, map_index: int, attempt: int, at: float, level: int, logger: str, text: str) -> bytes:
    """Return the entry for what was logged."""
    name = _bytes(logger)
    return _entry(_LOGGED.pack(LOGGED, node, map_index, attempt, at, level, len(name)) + name + _bytes(text))


def encode_entered(kind: int, state: str, message: str | None, at: float) -> bytes:
    """Return the entry for a state of the run itself, its last one if ``kind`` says so."""
    head = _ENTERED.pack(kind, _code(state), at)
    return _entry(head if message is None else head + b"+" + _bytes(message))


def encode_state(
    kind: int,
    node: int,
    map_index: int,
    attempt: int,
    state: str,
    message: str | None,
    started: float | None,
    at: float,
    until: float | None,
    value: ValueRecord | None,
    details: str | None,
) -> bytes:
    """Return the entry for a state of a task run."""
    text = b"" if message is None else message.encode("utf-8", _TEXT_ERRORS)
    more = b"" if details is None else details.encode("utf-8", _TEXT_ERRORS)
    body = (
        _STATE.pack(
            kind,
            node,
            map_index,
            attempt,
            _CODES[state] if state in _CODES else _code(state),
            value is not None,
            _NAN if started is None else started,
            at,
            _NAN if until is None else until,
            _NONE if message is None else len(text),
            _NONE if details is None else len(more),
        )
        + text
        + more
    )
    if value is not None:
        body += _encoded_value(value)
    return _HEAD.pack(len(body), len(body) ^ _TURNED, crc32(body)) + body


def encode_taken_over(record: TaskRunRecord) -> bytes:
    """Return the entry for a task run that an earlier run has finished; ``record`` says which one."""
    node, map_index, attempt, state, message, started, at, until, _, value, details, origin = record
    entry = encode_state(FINISHED, node, map_index, attempt, state, message, started, at, until, value, details)
    name = _bytes(origin or "")
    return _entry(_TAKEN_OVER.pack(TAKEN_OVER, len(name)) + name + entry[_HEAD.size :])


def _encoded_value(value: ValueRecord) -> bytes:
    data, location, digest, serializer, type_name, size, is_exception = value
    place = b"" if location is None else _place(location)
    name = b"" if serializer is None else serializer.encode("utf-8", _TEXT_ERRORS)
    kind = b"" if type_name is None else type_name.encode("utf-8", _TEXT_ERRORS)
    head = _VALUE.pack(
        is_exception,
        -1 if size is None else size,
        _NONE if data is None else len(data),
        _NONE if location is None else len(place),
        _NONE if digest is None else len(digest),
        _NONE if serializer is None else len(name),
        _NONE if type_name is None else len(kind),
    )
    return b"".join((head, data or b"", place, digest or b"", name, kind))


def _place(location: str) -> bytes:
    try:
        return location.encode()
    except UnicodeEncodeError as error:
        raise HistoryError(
            f"The location {location!r} of a result cannot be recorded: it is not Unicode.", hint="Choose another one."
        ) from error


def _entry(body: bytes) -> bytes:
    return _HEAD.pack(len(body), len(body) ^ _TURNED, crc32(body)) + body


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", _TEXT_ERRORS)


def _code(state: str) -> int:
    code = _CODES.get(state)
    if code is None:
        raise HistoryError(
            f"A history knows no state {state!r}.",
            hint="Give the nearest class of headrace.states that it derives from.",
        )
    return code


# Reading


def entries(data: bytes, start: int = 0) -> Iterator[tuple[int, int, Any]]:
    """Yield what ``data`` says from ``start`` on: the kind of each entry, where it ends, and what it says.

    What is not a whole entry comes last, as kind 0 with a `Tail`; there is none if all of ``data`` was understood.
    """
    size, head, unpack_head, readers = len(data), _HEAD.size, _HEAD.unpack_from, _READERS
    while start + head <= size:
        length, turned, checksum = unpack_head(data, start)
        end = start + head + length
        if length ^ turned != _TURNED or length == 0 or end > size:
            break
        body = data[start + head : end]
        kind = body[0]
        if crc32(body) != checksum:
            break
        try:
            said = readers[kind](body)
        except (KeyError, IndexError, ValueError, StructError):
            # The checksum is right: a later headrace wrote it.
            break
        yield kind, end, said
        start = end
    if start < size:
        yield 0, start, (start, _is_damaged(data, start))


def _is_damaged(data: bytes, start: int) -> bool:
    """Tell whether what is at ``start`` is anything but an entry cut short, by a kill or by a power cut."""
    rest = data[start:]
    # A journal has zeros where nothing was written yet.
    said = len(rest.rstrip(b"\0"))
    if len(rest) < _HEAD.size or not said:
        return False
    length, turned, _ = _HEAD.unpack_from(rest)
    if length == turned == 0:
        # It is copied in pieces, and the first may be the last to come.
        return said > _LONGEST_CUT
    end = _HEAD.size + length
    return bool(length ^ turned != _TURNED or (end <= len(rest) and not said <= end < len(rest)))


def _read_began(body: bytes) -> Began:
    _, node, map_index, attempt, at = _BEGAN.unpack(body)
    return node, map_index, attempt, at


def _read_expanded(body: bytes) -> Expanded:
    _, node, count, at = _EXPANDED.unpack(body)
    return node, count, at


def _read_noted(body: bytes) -> Noted:
    _, node, map_index, length = _NOTED.unpack_from(body)
    end = _NOTED.size + length
    return node, map_index, _text(body[_NOTED.size : end]), _text(body[end:])


def _read_logged(body: bytes) -> Logged:
    _, node, map_index, attempt, at, level, length = _LOGGED.unpack_from(body)
    end = _LOGGED.size + length
    return node, map_index, attempt, at, level, _text(body[_LOGGED.size : end]), _text(body[end:])


def _read_entered(body: bytes) -> Entered:
    _, code, at = _ENTERED.unpack_from(body)
    rest = body[_ENTERED.size :]
    return _STATES[code], _text(rest[1:]) if rest else None, at


def _read_state(body: bytes) -> TaskRunState:
    kind, node, map_index, attempt, code, has_value, started, at, until, text_size, more_size = _STATE.unpack_from(body)
    position = _STATE_SIZE
    message = details = None
    if text_size != _NONE:
        message = body[position : position + text_size].decode()
        position += text_size
    if more_size != _NONE:
        details = body[position : position + more_size].decode()
        position += more_size
    return (
        node,
        map_index,
        attempt,
        _STATES[code],
        message,
        # Only what is not a number differs from itself.
        started if started == started else None,  # noqa: PLR0124
        at,
        # A database writes a number faster than a truth.
        1 if kind == FINISHED else 0,
        *(_read_value(body, position) if has_value else NO_VALUE),
        until if until == until else None,  # noqa: PLR0124
        None,
        details,
    )


def _read_taken_over(body: bytes) -> TakenOver:
    _, length = _TAKEN_OVER.unpack_from(body)
    end = _TAKEN_OVER.size + length
    return _read_state(body[end:]), _text(body[_TAKEN_OVER.size : end])


def _read_value(body: bytes, position: int) -> Value:
    is_exception, size, n_data, n_location, n_digest, n_serializer, n_type = _VALUE.unpack_from(body, position)
    position += _VALUE_SIZE
    data = location = digest = serializer = type_name = None
    if n_data != _NONE:
        data = body[position : position + n_data]
        position += n_data
    if n_location != _NONE:
        location = body[position : position + n_location].decode()
        position += n_location
    if n_digest != _NONE:
        digest = body[position : position + n_digest]
        position += n_digest
    if n_serializer != _NONE:
        serializer = body[position : position + n_serializer].decode()
        position += n_serializer
    if n_type != _NONE:
        type_name = body[position : position + n_type].decode()
    return data, size if size >= 0 else None, is_exception, serializer, type_name, location, digest


def _text(data: bytes) -> str:
    return data.decode()


_READERS: Final[dict[int, Callable[[bytes], tuple[object, ...]]]] = {
    BEGAN: _read_began,
    EXPANDED: _read_expanded,
    WAITING: _read_state,
    ATTEMPTED: _read_state,
    FINISHED: _read_state,
    NOTED: _read_noted,
    LOGGED: _read_logged,
    TAKEN_OVER: _read_taken_over,
    ENTERED: _read_entered,
    ENDED: _read_entered,
}
