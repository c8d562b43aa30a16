"""What kind of file system a path is on."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_system", "is_on_network"]

# What several machines may have mounted at once, or what passes files on from somewhere else.
_NETWORK: Final = re.compile(
    r"9p|afs|beegfs|ceph|cifs|davfs|fuse\..*|glusterfs|gpfs|lustre|ncpfs|nfs\d?|ocfs2|orangefs|smb\w*|virtiofs"
)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_MOUNTS: Final = "/proc/self/mountinfo"


def is_on_network(path: Path, mounts: str = _MOUNTS) -> bool:
    """Tell whether, for all one can see, other machines write to the file system of ``path`` as well."""
    return os.path.realpath(path).startswith("\\\\") or _NETWORK.fullmatch(file_system(path, mounts)) is not None


def file_system(path: Path, mounts: str = _MOUNTS) -> str:
    """Return the type of the file system that ``path`` is on, such as ``ext4``; an empty text if there is no telling.

    ``mounts`` is a list of what is mounted where, in the form that Linux has for it.
    """
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - it is no path of ours
            lines = file.readlines()
    except OSError:
        return ""
    real, nearest, found = os.path.realpath(path), "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), before.split()[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # Of several that are mounted at one place, the last one is seen.
        if inside and len(point) >= len(nearest):
            nearest, found = point, after.split()[0]
    return found
