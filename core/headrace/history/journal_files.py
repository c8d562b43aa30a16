"""Journals on disk: one file for each run that has an owner, locked by it for as long as it lives.

A file is locked before anything is written to it, so that one with anything in it was locked by its owner. It begins
with a line that names its form and one that says in JSON whose it is and, behind that, why its owner gave it up; then
come entries, as `headrace.history.encoding` makes them. Once all of it is in the store, the file goes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError
from headrace.fault_points import is_armed, reached
from headrace.file_locks import try_lock
from headrace.file_systems import is_on_network
from headrace.history.encoding import entries
from headrace.history.journal_space import WrittenSpace, space_for
from headrace.history.owners import looks_alive
from headrace.history.records import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.history.journal_space import Space

__all__ = [
    "REQUEST_SUFFIX",
    "SUFFIX",
    "Claim",
    "JournalFile",
    "claim",
    "end_of_entries",
    "journal_paths",
    "make_journal",
    "unwritable",
]

SUFFIX: Final = ".journal"
REQUEST_SUFFIX: Final = ".cancel"
"""Of the file in which somebody asks for the end of the run. It goes with the journal."""

_FORM: Final = b"headrace-journal 1\n"
_LONGEST_HEADER: Final = 4096
# How that begins if it was told not to wait for the run.
_INTERRUPTED: Final = "interrupted:"
# The blanks in which an owner says why it gives up: where the disk is full, there is room for it all the same.
_ROOM: Final = 400
# How long somebody else may take to look at the journal of a dead owner, in seconds.
_PATIENCE: Final = 2.0
# On Windows files are text unless one says otherwise, and inherited by other programs.
_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(slots=True)
class JournalFile:
    """An open journal that this process has locked.

    Attributes:
        path: where it is.
        run_id: the run.
        owner: who wrote it.
        descriptor: of the open file, -1 once it is closed.
        start: where the entries begin.
        end: where the next entry goes; in one that a dead owner left, there may be zeros before.
        space: what takes the entries.
        given_up: why its owner gave it up; empty if it did not say.
        interrupted: whether that was because it was told not to wait for the run.
        lock: held while something is appended, which any thread may do. A signal handler or a finalizer may come in
            between and append too.
    """

    path: Path
    run_id: str
    owner: Owner
    descriptor: int
    start: int
    end: int
    space: Space
    given_up: str = ""
    interrupted: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def append(self, entry: bytes) -> None:
        """Write one entry; it outlives this process when this returns. Raises HistoryError and leaves none of it."""
        with self.lock:
            try:
                self.space.write(entry)
            except OSError as error:
                raise unwritable(self.path, error) from error
            self.end += len(entry)

    def read(self, start: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``start`` on. May be called while another thread appends."""
        try:
            if hasattr(os, "pread"):
                return os.pread(self.descriptor, size, start)
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def cut(self, end: int) -> None:
        """Take away what is behind ``end``, so that the next entry goes there. May raise OSError."""
        os.ftruncate(self.descriptor, end)
        os.lseek(self.descriptor, end, os.SEEK_SET)
        self.end, self.space = end, WrittenSpace(self.descriptor, end)

    def give_up(self, why: str, *, interrupted: bool = False) -> None:
        """Say in the file why nothing more will come, as far as there is room for that; never raises OSError."""
        mark = _INTERRUPTED.encode() if interrupted else b""
        # The descriptor of the file only ever appends.
        with contextlib.suppress(OSError), self.path.open("r+b", buffering=0) as file:
            if self.descriptor >= 0 and os.path.samestat(os.fstat(file.fileno()), os.fstat(self.descriptor)):
                file.seek(self.start - 1 - _ROOM)
                file.write(mark + " ".join(why.split()).encode(errors="replace")[len(mark) - _ROOM :])

    def close(self) -> None:
        """Give up the lock, and leave the file for whoever finds it; do nothing the second time."""
        with self.lock, contextlib.suppress(OSError):
            self.space.trim()
        self._release()

    def close_forked(self) -> None:
        """Close it in a process that was forked from its owner, some thread of which may have been appending."""
        self.lock = threading.RLock()
        self._release()

    def _release(self) -> None:
        with self.lock:
            descriptor, self.descriptor = self.descriptor, -1
            if descriptor >= 0:
                space, self.space = self.space, WrittenSpace(-1, self.end)
                space.close()
                os.close(descriptor)

    def discard(self) -> None:
        """Remove the file, all of which is in the store, and give up the lock."""
        if os.name == "nt":
            self.close()
        # One that cannot be removed is found by whoever sweeps, and has nothing to say any more.
        with contextlib.suppress(OSError):
            reached("journal.discard")
            self.path.unlink()
            reached("journal.discarded")
        self._forget_request()
        self._release()

    def set_aside(self) -> Path:
        """Give the file another name, because not all of it could be understood, and give up the lock."""
        aside = self.path.with_suffix(".damaged")
        if os.name == "nt":
            self.close()
        self.path.replace(aside)
        self._forget_request()
        self.close()
        return aside

    def _forget_request(self) -> None:
        with contextlib.suppress(OSError):
            self.path.with_suffix(REQUEST_SUFFIX).unlink()


def make_journal(folder: Path, run_id: str, owner: Owner) -> JournalFile:
    """Make and lock the journal of a run in ``folder``, which exists. Raises HistoryError."""
    path = folder / f"{run_id}{SUFFIX}"
    header = _FORM + json.dumps({"run": run_id, "owner": asdict(owner)}).encode("ascii") + b" " * _ROOM + b"\n"
    deadline = time.monotonic() + _PATIENCE
    try:
        reached("journal.make")
        descriptor = _made(path)
        while descriptor is None and time.monotonic() < deadline:
            descriptor = _made(path)
        if descriptor is None:
            raise HistoryBusyError(str(path), _PATIENCE)
        space = _begun(descriptor, path, header)
    except FileExistsError as error:
        raise HistoryError(
            f"The run {run_id} has a journal already, {path}.", hint="Give each run an id of its own."
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error
    kind = _Watched if is_armed() else JournalFile
    return kind(path, run_id, owner, descriptor, len(header), len(header), space)


def _begun(descriptor: int, path: Path, header: bytes) -> Space:
    """Write how a journal begins, and return what takes its entries; or remove it."""
    try:
        reached("journal.made")
        os.write(descriptor, header)
        reached("journal.begun")
        # Memory cannot say that a server has gone away: the process would be killed.
        mapped = not _is_on_network(path.parent, os.fstat(descriptor).st_dev)
        return space_for(descriptor, len(header), mapped=mapped)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
        raise


@lru_cache(maxsize=64)
def _is_on_network(folder: Path, _device: int) -> bool:
    # A list of all that is mounted is too much to read for each run.
    return is_on_network(folder)


class _Watched(JournalFile):
    """A journal with fault points: too many entries go through one to have them look for points that are armed."""

    __slots__ = ()

    def append(self, entry: bytes) -> None:
        """See `JournalFile.append`."""
        try:
            reached("journal.append")
            JournalFile.append(self, entry)
            reached("journal.appended")
        except OSError as error:
            raise unwritable(self.path, error) from error


def _made(path: Path) -> int | None:
    """Make and lock an empty file; return None if somebody came in between who took it for one that was left behind."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _FLAGS, 0o600)
    try:
        while _is_at(descriptor, path):
            if try_lock(descriptor) is not False and _is_at(descriptor, path):
                kept, descriptor = descriptor, -1
                return kept
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return None


def end_of_entries(file: JournalFile) -> int | None:
    """Return where the last whole entry of a journal ends, or None if what follows is damaged."""
    end = file.start
    for kind, position, said in entries(file.read(file.start, file.end - file.start)):
        if kind:
            end = file.start + position
        elif said[1]:
            return None
    return end


def journal_paths(folder: Path) -> Iterator[Path]:
    """Yield the journals in ``folder``, in the order of their names; none if it is not there."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - many commands begin with this
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise HistoryError(
            f"The folder {folder} cannot be read: {error.strerror or error}.", hint="Check its permissions."
        ) from error
    for name in names:
        if name.endswith(SUFFIX):
            yield folder / name


Claim: TypeAlias = "JournalFile | Literal['alive', 'foreign', 'gone']"
"""A journal whose owner died, now locked by this process; or why there is none."""


def claim(path: Path, here: Owner, *, foreign: bool = False, patience: float = _PATIENCE) -> Claim:
    """Take over the journal at ``path`` if its owner is dead.

    It is ``alive`` if it is not; ``gone`` if there is no journal there, because somebody else has dealt with it; and
    ``foreign`` if its owner was on a machine of which ``here`` knows nothing, unless ``foreign`` says that it is dead.
    Raises HistoryDamagedError for a file that is not a journal.

    ``patience`` is how many seconds to wait for somebody else who looks at the journal of a dead owner.
    """
    deadline = time.monotonic() + patience
    while True:
        found = _try_to_claim(path, here, foreign=foreign, patient=time.monotonic() < deadline)
        if found != "busy":
            return found
        time.sleep(0.005)


def _try_to_claim(path: Path, here: Owner, *, foreign: bool, patient: bool) -> Claim | Literal["busy"]:
    descriptor = _open(path)
    if descriptor is None:
        return "gone"
    try:
        locked = try_lock(descriptor)
        if not _is_at(descriptor, path):
            return "gone"
        if _is_begun(descriptor):
            return _removed(path) if locked else "alive"
        file = _opened(path, descriptor)
        verdict = _verdict(path, file.owner, here, locked=locked, patient=patient)
        if verdict is None or (verdict == "foreign" and foreign):
            descriptor = -1
            return file
        return verdict
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _verdict(
    path: Path, owner: Owner, here: Owner, *, locked: bool | None, patient: bool
) -> Literal["alive", "foreign", "busy"] | None:
    """Return None if the owner is dead."""
    seen = looks_alive(owner, here)
    if locked:
        # Where files come over a network, a lock may reach no further than one machine.
        return "foreign" if seen is None and is_on_network(path) else None
    if seen is False:
        # The lock is with somebody who looks at the journal as we do, or with a process that the owner had forked.
        return "busy" if patient and locked is False else None
    return "foreign" if seen is None and locked is None else "alive"


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one that ``path`` leads to."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_begun(descriptor: int) -> bool:
    """Tell whether a file holds no more than a part of the lines that every journal begins with."""
    header = os.pread(descriptor, _LONGEST_HEADER, 0) if hasattr(os, "pread") else b"?"
    return header == _FORM[: len(header)] or (header.startswith(_FORM) and b"\n" not in header[len(_FORM) :])


def _removed(path: Path) -> Literal["gone", "busy"]:
    """Remove what a process left behind that died before it had a journal."""
    try:
        path.unlink()
    except PermissionError:
        # On Windows it cannot be removed as long as anybody has it open, as we have.
        return "busy"
    return "gone"


def _opened(path: Path, descriptor: int) -> JournalFile:
    size = os.fstat(descriptor).st_size
    header = os.read(descriptor, _LONGEST_HEADER)
    said = header[len(_FORM) :].partition(b"\n")[0]
    try:
        text = said.decode(errors="replace") if header.startswith(_FORM) else ""
        whose, end = json.JSONDecoder().raw_decode(text)
        start = len(_FORM) + len(said) + 1
        space = WrittenSpace(descriptor, size)
        owner, why = Owner(**whose["owner"]), text[end:].strip()
        interrupted = why.startswith(_INTERRUPTED)
        why = why.removeprefix(_INTERRUPTED)
        return JournalFile(path, str(whose["run"]), owner, descriptor, start, size, space, why, interrupted)
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryDamagedError(
            f"The file {path} is no journal of a run, or its first lines are damaged.",
            hint="`headrace doctor --repair` sets it aside.",
        ) from error


def unwritable(path: Path, error: OSError) -> HistoryError:
    """Return the error for a file at ``path`` that cannot be made or written."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return HistoryError(
        f"The history at {path} cannot be written: {error.strerror or error}.",
        hint="Free some space there; the run can be resumed then." if full else "Check the permissions of its folder.",
    )


def _unreadable(path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"The journal {path} cannot be read: {error.strerror or error}.",
        hint="Check the disk and the permissions of its folder.",
    )
