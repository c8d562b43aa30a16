"""What has become of work that left together, in a file that survives the worker which does it.

Pieces of short work travel in one Ray task, of which Ray itself knows nothing until all of them have ended. So the
worker notes what it begins and what came of it, and whoever has to know asks on its node: when the worker has died, and
when one piece takes long, since the others can be done elsewhere. Both write to the end of one file, so that the order
of the entries decides who was first.
"""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import ray

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["Findings", "Ledger", "look_up"]

_ENTRY: Final = struct.Struct("<cHI")
_NAME: Final = b"N"
_BEGUN: Final = b"B"
_ENDED: Final = b"E"
_TAKEN: Final = b"T"
_PREFIX: Final = "headrace-ledger-"
_FLAGS: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_Entry = tuple[bytes, int, bytes]


class Findings(NamedTuple):
    """Which pieces of a batch had begun when somebody looked, by their places, and what came of those that ended.

    None of the others is going to begin.
    """

    begun: set[int]
    ended: dict[int, bytes]


class Ledger:
    """The entries of one worker process about the batch that it does; used by the thread that does it.

    The entries stay until the next batch: until then, what came of this one may be on its way.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or _folder()) / f"{_PREFIX}{uuid4().hex}"
        self._file = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        self._name = b""
        self._size = 0
        # What has ended and is noted together with the next beginning: each entry takes its time.
        self._unwritten = b""

    def open(self, name: bytes) -> None:
        """Forget the batch before, and begin with the one called ``name``; raise OSError if nothing can be noted."""
        os.ftruncate(self._file, 0)
        self._name, self._size = name, 0
        self._unwritten = _entry(_NAME, 0, name)

    def begin(self, place: int) -> bool:
        """Note that a piece begins; return False if it must not, since what had not begun was taken away."""
        self._unwritten += _entry(_BEGUN, place)
        self.write()
        size = os.fstat(self._file).st_size
        if size == self._size:
            return True
        self._size = size
        for kind, number, text in _entries(_read(self._file)):
            if kind == _TAKEN and text == self._name:
                return False
            if kind == _BEGUN and number == place:
                return True
        return False

    def end(self, place: int, reply: bytes) -> None:
        """Note what came of a piece: with what begins next, or with `write`."""
        self._unwritten += _entry(_ENDED, place, reply)

    def write(self) -> None:
        """Note what has not been; raise OSError if that cannot be done."""
        entries, self._unwritten = self._unwritten, b""
        written = os.write(self._file, entries)
        self._size += written
        if written < len(entries):
            raise OSError(f"{self._path} cannot take any more")

    def close(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            os.close(self._file)
            self._path.unlink()


def look_up(names: Collection[bytes], folder: Path | None = None) -> dict[bytes, Findings]:
    """Take away what has not begun of the batches that workers of this node do, and return what has, by their names."""
    found = {}
    for path in (folder or _folder()).glob(f"{_PREFIX}*"):
        # One that has just been removed is nobody's.
        with suppress(OSError):
            name, findings = _looked_at(path, names)
            if name is not None:
                found[name] = findings
    return found


def _looked_at(path: Path, names: Collection[bytes]) -> tuple[bytes | None, Findings]:
    file = os.open(path, _FLAGS)
    try:
        first = next(_entries(_read(file)), None)
        if first is None or first[0] != _NAME or first[2] not in names:
            return None, Findings(set(), {})
        entry = _entry(_TAKEN, 0, first[2])
        os.write(file, entry)
        end = os.lseek(file, 0, os.SEEK_CUR)
        data = _read(file)
    finally:
        os.close(file)
    # In two parts, since the last entry of a worker that died may have been cut off.
    entries = [*_entries(data[: end - len(entry)]), *_entries(data[end - len(entry) :])]
    # If the worker has gone on to another batch, this one has been answered.
    return (first[2] if entries[:1] == [first] else None), _findings(entries, first[2])


def _findings(entries: Iterable[_Entry], name: bytes) -> Findings:
    findings = Findings(set(), {})
    taken = False
    for kind, place, text in entries:
        if kind == _TAKEN and text == name:
            taken = True
        elif kind == _BEGUN and not taken:
            findings.begun.add(place)
        elif kind == _ENDED:
            findings.ended[place] = text
    return findings


def _entry(kind: bytes, place: int, text: bytes = b"") -> bytes:
    return _ENTRY.pack(kind, place, len(text)) + text


def _entries(data: bytes) -> Iterator[_Entry]:
    start = 0
    while start + _ENTRY.size <= len(data):
        kind, place, length = _ENTRY.unpack_from(data, start)
        start += _ENTRY.size + length
        if start > len(data):
            return
        yield kind, place, data[start - length : start]


def _read(file: int) -> bytes:
    parts = []
    position = 0
    while part := os.pread(file, 1 << 20, position):
        parts.append(part)
        position += len(part)
    return b"".join(parts)


def _folder() -> Path:
    """Return the folder of this Ray on this node, which goes with it; of old versions, the one for temporary files."""
    context = ray.get_runtime_context()
    try:
        folder = Path(context.get_temp_dir(), context.get_session_name())
    except (AttributeError, RuntimeError, TypeError):
        return Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
