"""Files that are there as a whole, or as they were before, and folders that stay."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from headrace.fault_points import reached

__all__ = ["make_folder", "publish", "write_atomically"]


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put ``data`` in the file at ``path``, whose folder exists; ``mode`` are its permissions, by default its owner's.

    It is written under a temporary name in the same folder, flushed to the disk and renamed; then the folder is
    flushed. After a crash or a power cut there is the old file or the new one, never half of one. Raises OSError and
    leaves no temporary file behind.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
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
