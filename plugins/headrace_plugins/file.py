"""The result store ``file:``: a folder of this machine, ``file:results`` or ``file:///srv/results``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from headrace.abc import ResultStore
from headrace.atomic import make_folder, write_atomically
from headrace.exceptions import ResultError, ResultLocationError, ResultNotFoundError
from headrace.plugins import ResultStoreSpec, hookimpl
from headrace_plugins._locations import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileStore"]


# What the operating system says where there is no file: nothing, a file in place of a folder, or the reverse.
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileStore(ResultStore):
    """Keeps each result in a file below one folder, which is made when the first one is written.

    A write goes to a temporary name in the same folder, is flushed to the disk and renamed; then the folder is
    flushed. After a crash or a power cut there is the old file or the new one, never half of one.
    """

    def __init__(self, url: str = "file:.headrace/results") -> None:
        self.root = _root(url)

    def write(self, location: str, data: bytes) -> None:
        """Store ``data``; raise ResultError naming the path if the disk refuses, leaving no partial file behind."""
        path = self._path(location)
        with _explained("written", path):
            make_folder(path.parent)
            write_atomically(path, data)

    def read(self, location: str) -> bytes:
        """Return the bytes at ``location``."""
        path = self._path(location)
        try:
            with _explained("read", path):
                return path.read_bytes()
        except ResultError as error:
            if isinstance(error.__cause__, _ABSENT):
                raise ResultNotFoundError(f"There is no result at {path}.") from error.__cause__
            raise

    def exists(self, location: str) -> bool:
        """Tell whether there is a file at ``location``."""
        path = self._path(location)
        try:
            return path.is_file()
        except OSError:  # a name that no file can have
            return False

    def delete(self, location: str) -> None:
        """Remove the file at ``location``."""
        path = self._path(location)
        with _explained("removed", path), contextlib.suppress(*_ABSENT):
            path.unlink()

    def locations(self, folder: str = "") -> Iterator[str]:
        """Yield the files below ``folder``, without those whose name, or folder's name, begins with a dot."""
        top = self._path(folder) if folder else self.root
        with _explained("listed", top):
            for path, folders, files in os.walk(top):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                place = Path(path).relative_to(self.root)
                yield from ((place / name).as_posix() for name in sorted(files) if not name.startswith("."))

    def _path(self, location: str) -> Path:
        path = self.root.joinpath(*checked(location).parts)
        try:
            # A link inside the folder may point out of it.
            inside = path.resolve().is_relative_to(self.root.resolve())
        except RuntimeError:  # a link that points to itself
            inside = False
        if not inside:
            raise ResultLocationError(f"{location!r} leads out of {self.root}.", hint="Remove the symbolic link.")
        return path


def _root(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise ResultLocationError(
            f"{url!r} names the machine {parts.netloc!r}; a file store lies on this one.",
            hint="Write `file:folder` for a relative path, `file:///folder` for an absolute one.",
        )
    if not parts.path:
        raise ResultLocationError(f"{url!r} names no folder.", hint="Write `file:folder` or `file:///folder`.")
    return Path(os.fsdecode(unquote_to_bytes(parts.path))).expanduser()


@contextlib.contextmanager
def _explained(done: str, path: Path) -> Iterator[None]:
    """Turn what the operating system says into an error that names the path and the next step."""
    try:
        yield
    except OSError as error:
        raise ResultError(
            f"The result at {path} cannot be {done}: {error.strerror or error}.",
            hint="Check the free space and the permissions of the folder.",
        ) from error


@hookimpl
def headrace_result_stores() -> list[ResultStoreSpec]:
    """Offer the store."""
    return [
        ResultStoreSpec(
            name="file",
            factory="headrace_plugins.file:FileStore",
            summary="Results as files in a folder of this machine.",
        )
    ]
