"""A pause for the cyclic garbage collector."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collector_paused"]

_MANY: Final = 10_000


@contextmanager
def collector_paused(count: int) -> Iterator[None]:
    """Allocate about ``count`` objects that will live, without having each traversed several times on the way.

    Only for blocks that run no user code and make no garbage.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled and count >= _MANY and gc.get_freeze_count() == 0:
            # Together these put everything into the oldest generation without a look at it. Not worth it for less:
            # what becomes garbage there waits for a full collection.
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()
