"""Log records and printed lines on their way from a worker to the process that drives the run."""

from __future__ import annotations

import logging
import pickle
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self

from headrace.log import capture_lines
from headrace.masking import mask
from headrace.remote import Levels, RecordForwarder
from headrace.whereabouts import places
from headrace_dask.messages import LOG, PRINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Forwarding"]

# What Dask itself logs is about the worker, not about the run.
_NOT_OURS: Final = ("distributed", "dask", "tornado", "asyncio", "bokeh")

_current: ContextVar[Forwarding | None] = ContextVar("headrace_dask_forwarding", default=None)


class Forwarding:
    """Hands what tasks of one run log and print to ``tell``, as a context manager. Used from any thread.

    A worker may serve several runs at a time, and other people too: only what is logged in a task of this run is
    taken, and what is logged in a thread that such a task has started while it runs.
    """

    def __init__(self, levels: Levels, tell: Callable[..., object]) -> None:
        self._tell = tell
        self._running = 0
        self._handler = RecordForwarder(lambda fields: tell(LOG, pickle.dumps(fields)))
        self._handler.addFilter(self._is_ours)
        _listen(levels)

    def __enter__(self) -> Self:
        logging.root.addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        logging.root.removeHandler(self._handler)

    @contextmanager
    def of_a_task(self) -> Iterator[None]:
        """Take what is logged and printed inside the block."""
        token = _current.set(self)
        self._running += 1
        try:
            with capture_lines(self._print):
                yield
        finally:
            self._running -= 1
            _current.reset(token)

    def _print(self, line: str) -> None:
        self._tell(PRINT, pickle.dumps((places(), mask(line))))

    def _is_ours(self, record: logging.LogRecord) -> bool:
        run = _current.get()
        if run is not None:
            return run is self
        return self._running > 0 and not record.name.startswith(_NOT_OURS)


def _listen(levels: Levels) -> None:
    """Let loggers make the records that are wanted; others on this worker may want more of them."""
    for name, level in levels.by_name.items():
        logger: Any = logging.getLogger(None if name == "root" else name)
        if not name.startswith(_NOT_OURS) and (logger.level == 0 or level < logger.level):
            logger.setLevel(level)
