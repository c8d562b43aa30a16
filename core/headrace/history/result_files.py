"""The files with large results of recorded runs, as they lie in a project's folder."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from headrace.atomic import is_being_written
from headrace.history.keeping import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.abc import RunStore

__all__ = ["RecordedFile", "RecordedFiles", "leftovers"]

# A result is in results/recorded/HISTORY/FLOW/RUN/, or in a folder in there.
_RUN: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedFile:
    """A file: where it is, which run wrote it, how many bytes it has, and when it was written."""

    location: str
    run_id: str
    size: int
    written: float


class RecordedFiles:
    """The files with results of the runs in ``store``, below the project's folder."""

    def __init__(self, store: RunStore, project: Path) -> None:
        self._results = project / "results"
        self._folder = folder_of(store.place(project))

    def path_of(self, location: str) -> Path | None:
        """Return where a location is; None for one that is not below the folder of recorded results."""
        parts = PurePosixPath(location).parts
        if parts[:1] != PurePosixPath(self._folder).parts[:1] or ".." in parts:
            return None
        path = self._results.joinpath(*parts)
        # A link inside the folder may lead out of it.
        return path if path.parent.resolve().is_relative_to(self._results.resolve()) else None

    def __iter__(self) -> Iterator[RecordedFile]:
        for folder, _, names in os.walk(self._results / self._folder):
            for name in names:
                path = Path(folder, name)
                parts = path.relative_to(self._results).parts
                if len(parts) <= _RUN + 1 or name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    seen = path.lstat()
                    yield RecordedFile(
                        location=PurePosixPath(*parts).as_posix(),
                        run_id=parts[_RUN],
                        size=seen.st_size,
                        written=seen.st_mtime,
                    )

    def remove(self, location: str) -> bool:
        """Remove a file, and the folders of its run that are empty then; tell whether it was there."""
        path = self.path_of(location)
        if path is None:
            return False
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        # The folder of the flow stays: another run may be about to make its own in there.
        while len(path.parent.relative_to(self._results).parts) > _RUN:
            path = path.parent
            try:
                path.rmdir()
            except OSError:
                break
        return True

    def remove_empty_folders(self, before: float) -> None:
        """Remove folders of runs that nothing is in, nor was put into since the moment ``before``."""
        for folder, _, _ in os.walk(self._results / self._folder, topdown=False):
            path = Path(folder)
            with contextlib.suppress(OSError):
                if len(path.relative_to(self._results).parts) > _RUN and path.lstat().st_mtime < before:
                    path.rmdir()


def leftovers(project: Path, before: float) -> list[Path]:
    """Return the temporary files in a project's folder that nobody has written to since the moment ``before``.

    A process that was killed left them behind.
    """
    found = []
    for top in (project / "results", project / "history"):
        for folder, _, names in os.walk(top):
            for name in names:
                if name.startswith(".") and name.endswith(".tmp"):
                    path = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):
                        if path.lstat().st_mtime < before and not is_being_written(path):
                            found.append(path)
    return sorted(found)
