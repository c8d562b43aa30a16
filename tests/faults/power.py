"""What a power cut may leave of the files that this process writes: what was flushed, and of the rest anything.

`Disk` stands before the calls of the operating system that flush, rename, link and make folders, and remembers what has
been flushed since. `cut` makes a copy as a power cut could leave it: a file that was not flushed may be whole, empty,
cut short or full of zeros; a name whose folder was not flushed may be there or not. What SQLite writes it flushes
itself, where nobody can look: its files are copied as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

_CALLS = ("fsync", "replace", "rename", "link", "mkdir", "unlink")


class Disk:
    """The files below ``root``."""

    def __init__(self, root: Path, random: Random) -> None:
        self._root = root
        self._random = random
        self._content: dict[int, bytes] = {}
        self._names: dict[int, set[tuple[str, int]]] = {}

    @contextmanager
    def watched(self, after: Callable[[], None]) -> Iterator[None]:
        """Watch the calls of this process, and call ``after`` after each."""
        originals = {name: getattr(os, name) for name in _CALLS}

        def watching(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                result = originals[name](*arguments, **options)
                if name == "fsync":
                    self._flushed(arguments[0])
                self._stop(originals)
                after()
                self._start(watching)
                return result

            return call

        self._start(watching)
        try:
            yield
        finally:
            self._stop(originals)

    def _start(self, watching: Callable[[str], Callable[..., Any]]) -> None:
        for name in _CALLS:
            setattr(os, name, watching(name))

    def _stop(self, originals: dict[str, Any]) -> None:
        for name, original in originals.items():
            setattr(os, name, original)

    def _flushed(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        number = os.fstat(descriptor).st_ino
        if path.is_dir():
            self._names[number] = {(entry.name, entry.inode()) for entry in os.scandir(path)}
        else:
            self._content[number] = path.read_bytes()

    def cut(self, target: Path) -> None:
        """Make ``target`` what a power cut could leave of the files."""
        self._copy_folder(self._root, target)

    def _copy_folder(self, folder: Path, target: Path) -> None:
        target.mkdir()
        known = self._names.get(folder.stat().st_ino, set())
        for entry in list(os.scandir(folder)):
            is_there = (entry.name, entry.inode()) in known or _is_sqlite(entry.name)
            if not is_there and self._random.random() < 0.5:
                continue
            if entry.is_dir():
                self._copy_folder(Path(entry.path), target / entry.name)
            elif _is_sqlite(entry.name):
                shutil.copy(entry.path, target / entry.name)
            else:
                (target / entry.name).write_bytes(self._left_of(Path(entry.path), entry.inode()))

    def _left_of(self, path: Path, number: int) -> bytes:
        now = path.read_bytes()
        flushed = self._content.get(number)
        if flushed is not None:
            # What was written since may be there or not.
            return now if now.startswith(flushed) and self._random.random() < 0.5 else flushed
        kind = self._random.choice(["whole", "empty", "short", "zeros"])
        size = self._random.randint(0, len(now))
        return {"whole": now, "empty": b"", "short": now[:size], "zeros": now[:size] + bytes(len(now) - size)}[kind]


def _is_sqlite(name: str) -> bool:
    return "runs.db" in name and not name.endswith(".live")
