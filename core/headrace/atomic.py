"""Files that are there as a whole, or as they were before, and folders that stay."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Final

from headrace.fault_points import reached

__all__ = ["is_being_written", "make_folder", "publish", "temporary_beside", "write_atomically"]

# What follows the process id in temporary names, and how they go on in files that SQLite puts beside them.
_MAKER: Final = re.compile(r"(?:^\.|-)(\d+)-\w{8}(?:\.\w+)?\.tmp")
# A process that is in another container cannot be seen from here.
_A_MOMENT: Final = 60.0


def temporary_beside(path: Path, kind: str = "") -> Path:
    """Return a new name beside ``path`` for a file that is not complete yet, which says whose it is."""
    return path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}{kind}.tmp")


def is_being_written(path: Path) -> bool:
    """Tell whether the process that makes a temporary file may be at it still.

    That is so if the file's name says which process that is, and it lives or the file has changed a moment ago.
    """
    from headrace.history.owners import is_running  # noqa: PLC0415 - few look for what others left behind

    maker = _MAKER.search(path.name)
    if maker is None:
        return False
    try:
        return is_running(int(maker[1])) or time.time() - path.lstat().st_mtime < _A_MOMENT
    except FileNotFoundError:
        return True


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put ``data`` in the file at ``path``, whose folder exists; ``mode`` are its permissions, by default its owner's.

    It is written under a temporary name in the same folder, flushed to the disk and renamed; then the folder is
    flushed. After a crash or a power cut there is the old file or the new one, never half of one. Raises OSError and
    leaves no temporary file behind.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{os.getpid()}-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            reached("file.opened")
            file.write(data)
            file.flush()
            reached("file.written")
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        reached("file.flushed")
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    reached("file.renamed")
    _flush_folder(path.parent)
    reached("file.durable")


def publish(temporary: Path, path: Path) -> bool:
    """Give a complete file its name unless something has that already; tell whether it was given.

    ``temporary`` is in the same folder, and is there no longer afterwards. The folder is flushed to the disk.
    """
    reached("file.publishing")
    try:
        # Unlike renaming, making a link never replaces what is there.
        path.hardlink_to(temporary)
    except FileExistsError:
        temporary.unlink()
        return False
    except OSError:
        # A file system without links. On Windows renaming does not replace anything either.
        if path.exists():
            temporary.unlink()
            return False
        temporary.rename(path)
    else:
        reached("file.published")
        temporary.unlink()
    _flush_folder(path.parent)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, unless they are there; after a power cut they still are.

    Raises OSError.
    """
    if folder.is_dir():
        return
    if folder.parent.exists():
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)
    else:
        make_folder(folder.parent)
        make_folder(folder)


def _flush_folder(folder: Path) -> None:
    # Where folders cannot be opened, as on Windows, renaming is all one can do.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
