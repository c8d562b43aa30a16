"""Where a history is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from headrace.exceptions import HistoryError
from headrace.project import make_private, project_folder

__all__ = ["Places", "places_of"]

_FOLDER: Final = "history"
_NAME: Final = "runs.db"
_MODES: Final = frozenset({"wal", "rollback"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The paths of one history.

    Attributes:
        database: the file.
        is_default: whether it is the project's own, the folder of which is made when it is needed.
        mode: the journal mode that was asked for: ``"wal"``, ``"rollback"``, or None for the one that is safe.
    """

    database: Path
    is_default: bool = False
    mode: str | None = None

    @property
    def live(self) -> Path:
        """The folder with the journals of runs that go on."""
        return self.database.with_name(self.database.name + ".live")

    def make_folder(self) -> None:
        """Make the project's folder for a history. Any other has to be there, lest a mistyped one is made."""
        folder = self.database.parent
        if self.is_default and not folder.exists():
            try:
                make_private(folder)
            except OSError as error:
                raise HistoryError(
                    f"The folder {folder} for the history cannot be made: {error.strerror or error}.",
                    hint="Check the permissions, or choose another place for the history.",
                ) from error
        if not folder.is_dir():
            found = "is a file" if folder.exists() else "does not exist"
            raise HistoryError(
                f"The history cannot be at {self.database}: {folder} {found}, and should be a folder.",
                hint="Make that folder, or choose another place for the history.",
            )


def places_of(url: str) -> Places:
    """Return where the history of ``url`` is; raise ValueError for one that says nothing this plugin knows."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise ValueError(f"it names the machine {parts.netloc!r}, and a SQLite file lies on this one")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    mode = options.pop("mode", None)
    if options:
        raise ValueError(f"it has an option {next(iter(options))!r}; the only one is `mode`")
    if mode is not None and mode not in _MODES:
        raise ValueError(f"`mode` is {mode!r}; known: {', '.join(sorted(_MODES))}")
    if not parts.path:
        return Places(database=project_folder() / _FOLDER / _NAME, is_default=True, mode=mode)
    database = Path(os.fsdecode(unquote_to_bytes(parts.path))).expanduser()
    return Places(database=database.absolute(), mode=mode)
