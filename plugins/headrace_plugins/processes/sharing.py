"""Buffers that many messages have in common, such as the large array that all children of a map are called with."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Sequence

__all__ = ["MOST_SHARED", "SharedBuffer", "Sharer"]

# What is smaller is copied as fast as a descriptor is sent.
_LARGE: Final = 1_048_576
# How many of one message are shared: each needs a descriptor.
MOST_SHARED: Final = 8


class SharedBuffer:
    """A buffer that is written into a file of its own, once, if more than one message has it.

    The file lasts as long as this object.
    """

    __slots__ = ("__weakref__", "_buffer", "_file", "users")

    def __init__(self, buffer: pickle.PickleBuffer) -> None:
        self._buffer = buffer
        self._file: int | None = None
        self.users = 0

    def raw(self) -> memoryview:
        """Return the bytes, as `pickle.PickleBuffer` does."""
        return self._buffer.raw()

    def file(self, write: Callable[[Sequence[memoryview]], int]) -> int:
        """Return a descriptor for the caller to close, of what ``write`` has written; raise OSError if it cannot."""
        if self._file is None:
            self._file = write([self.raw()])
            weakref.finalize(self, os.close, self._file).atexit = False
        return os.dup(self._file)


class Sharer:
    """Finds out which buffers of the children of a map are the same. Used by one thread.

    What is shared are buffers of the very same object, and only as long as a child that needs them is on its way or
    runs: a child may see such an object as it was when an earlier one was sent. Another task gets a copy of its own.
    """

    def __init__(self) -> None:
        # By map, object and size. The buffer holds the object, so that its id stays its own.
        self._known: weakref.WeakValueDictionary[tuple[str, int, int], SharedBuffer] = weakref.WeakValueDictionary()

    def share(self, slug: str, buffers: Sequence[pickle.PickleBuffer]) -> list[pickle.PickleBuffer | SharedBuffer]:
        """Return ``buffers`` of a child of the map ``slug``, for its message; hold them until it has answered."""
        found: list[pickle.PickleBuffer | SharedBuffer] = list(buffers)
        large = [index for index, buffer in enumerate(buffers) if _is_large_object(buffer)]
        for index in large[:MOST_SHARED]:
            view = buffers[index].raw()
            key = slug, id(view.obj), view.nbytes
            shared = self._known.get(key) or self._known.setdefault(key, SharedBuffer(buffers[index]))
            shared.users += 1
            found[index] = shared
        return found


def _is_large_object(buffer: pickle.PickleBuffer) -> bool:
    """Tell whether this is the memory of a large object, and not of a part that its id does not tell from another."""
    view = buffer.raw()
    try:
        return view.nbytes >= _LARGE and memoryview(view.obj).nbytes == view.nbytes
    except (BufferError, TypeError, ValueError):  # it gives its memory away in another manner
        return False
