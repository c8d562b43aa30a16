"""What is logged and printed in a recorded run goes to its journal too, and to all places it went to before.

Log records are met where a logger hands them to its handlers, behind the levels and filters of loggers. A handler of
our own would not do: there being one changes what the handlers of others do, and programs that configure logging take
it off. What handlers write to a standard stream is not taken down a second time.

What is said in a task run, in whichever thread or coroutine, is found by the context variable that has the run's
context. Threads that have no such context speak for the run, if there is only one in this process. Of the log records
of the run itself those below WARNING are only taken from headrace's own loggers.
"""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC, abstractmethod
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import HistoryError
from headrace.history.records import NO_TASK, UNMAPPED
from headrace.log import ROOT, copy_prints
from headrace.masking import mask
from headrace.whereabouts import NOWHERE, Place, place_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Self

    from headrace.abc import RunJournal

__all__ = ["STREAM_LEVELS", "RunLogs", "TaskPrints", "record_text"]

STREAM_LEVELS: Final[Mapping[str, int]] = {"stdout": logging.INFO, "stderr": logging.WARNING}
"""The levels that go with what is written to the standard streams."""

# How many characters of prints become one record, and how many of one line wait for its end.
_LONGEST: Final = 16_384
# What of a single text is looked at, in characters: more would not be kept.
_LONGEST_WRITE: Final = 2_000_000


class _Prints(ABC):
    """Cuts what is printed in the run ``run_id`` into records, inside a ``with`` block. Used from any thread.

    ``partial`` has the lines that have begun and not ended.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        # The collector of garbage may call for more while this is held.
        self._lock = threading.RLock()
        # Beginnings of lines, by task run and stream.
        self.partial: dict[tuple[Place, str], str] = {}

    def __enter__(self) -> Self:
        _COLLECTOR.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _COLLECTOR.remove(self)

    @abstractmethod
    def log(self, place: Place, at: float, level: int, logger: str, text: str) -> None:
        """Take down a record."""

    def print(self, place: Place, stream: str, text: str, *, complete: bool = False, at: float | None = None) -> None:
        """Take down what was written to a stream, line by line; ``complete`` if nothing follows the last line.

        ``at`` is when that was, in seconds since the epoch; by default just now.
        """
        if len(text) > _LONGEST_WRITE:
            half = _LONGEST_WRITE // 2
            text = f"{text[:half]}\n... {len(text) - 2 * half} characters are left out here ...\n{text[-half:]}"
        key = place, stream
        with self._lock:
            text = self.partial.pop(key, "") + text
            if "\n" not in text and len(text) <= _LONGEST and not complete:
                self.partial[key] = text
                return
            cut = len(text) if complete or len(text) - text.rfind("\n") > _LONGEST else text.rfind("\n") + 1
            if cut < len(text):
                self.partial[key] = text[cut:]
            for piece in _pieces(mask(text[:cut])):
                self._printed(place, stream, piece, at)

    def finish(self) -> None:
        """Take down lines that have not ended, of all task runs."""
        for place, stream in list(self.partial):
            self.print(place, stream, "", complete=True)

    @abstractmethod
    def _printed(self, place: Place, stream: str, text: str, at: float | None) -> None: ...


class RunLogs(_Prints):
    """Takes down what one run says, inside a ``with`` block. Used from any thread; never raises.

    ``nodes`` are the places of the tasks by slug, and ``now`` returns the moment, in seconds since the epoch.
    """

    def __init__(self, journal: RunJournal, run_id: str, nodes: Mapping[str, int], now: Callable[[], float]) -> None:
        super().__init__(run_id)
        self._journal = journal
        self._nodes = nodes
        self._now = now

    def log(self, place: Place, at: float, level: int, logger: str, text: str) -> None:
        """Take down a record."""
        node = NO_TASK if place.slug is None else self._nodes.get(place.slug, NO_TASK)
        index, attempt = (UNMAPPED, 0) if node == NO_TASK else (place.map_index, place.attempt)
        try:
            self._journal.logged(node, index, attempt, at, level, logger, text)
        except HistoryError:
            # Whoever drives the run meets it too, and stops; or the run has ended.
            return

    def finish_task_run(self, slug: str, map_index: int) -> None:
        """Take down lines that have not ended, of one task run."""
        for place, stream in list(self.partial):
            if place.slug == slug and place.map_index == map_index:
                self.print(place, stream, "", complete=True)

    def _printed(self, place: Place, stream: str, text: str, at: float | None) -> None:
        moment = self._now() if at is None else at
        self.log(place, moment, STREAM_LEVELS[stream], stream, text.removesuffix("\n"))


class TaskPrints(_Prints):
    """Hands what one task run prints to ``take``, inside a ``with`` block: for workers that run one at a time.

    ``take`` gets the task run, the name of the stream and a text, which is a line with its end, unless it is the last
    one or very long. What threads print that have no context is of this task run, too. What handlers of log records
    write is left out, and so is what a run inside of the task takes down itself.
    """

    def __init__(self, place: Place, take: Callable[[Place, str, str], object]) -> None:
        super().__init__(place.run_id)
        self._place = place
        self._take = take

    def log(self, place: Place, at: float, level: int, logger: str, text: str) -> None:
        """Leave a record to `headrace.remote.RecordForwarder`."""

    def _printed(self, place: Place, stream: str, text: str, at: float | None) -> None:
        whose = self._place if place.slug is None else place
        *lines, rest = text.split("\n")
        for line in lines:
            self._take(whose, stream, f"{line}\n")
        if rest:
            self._take(whose, stream, rest)


def _pieces(text: str) -> list[str]:
    """Return ``text`` in pieces that end where lines end, unless lines are too long."""
    pieces = []
    while text:
        cut = len(text) if len(text) <= _LONGEST else text.rfind("\n", 0, _LONGEST) + 1 or _LONGEST
        pieces.append(text[:cut])
        text = text[cut:]
    return pieces


def record_text(record: logging.LogRecord) -> str:
    """Return the message of a record and its traceback and stack, without secrets."""
    try:
        parts = [record.getMessage()]
    except Exception:  # noqa: BLE001 - arguments that do not fit are for the handler to complain about
        parts = [str(record.msg)]
    if record.exc_text:
        parts.append(record.exc_text)
    elif record.exc_info:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return mask("\n".join(parts))


# Whether handlers are at work, or a record is being taken down, in this context.
_busy: ContextVar[bool] = ContextVar("headrace_log_capture_busy", default=False)


class _Collector:
    """Meets log records and prints of this process, as long as any run is recorded, and knows whose they are."""

    def __init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        # Replaced as a whole, so that readers need no lock.
        self._runs: Mapping[str, _Prints] = {}
        self._copying: AbstractContextManager[None] | None = None
        self._call_handlers: Callable[[logging.Logger, logging.LogRecord], None] | None = None
        self._ours: Any = None

    def add(self, run: _Prints) -> None:
        if os.getpid() != self._pid:
            self._begin_anew()
        with self._lock:
            self._runs = {**self._runs, run.run_id: run}
            if self._copying is None:
                self._copying = copy_prints(self._printed)
                self._copying.__enter__()
            if self._call_handlers is None:
                self._stand_between()

    def remove(self, run: _Prints) -> None:
        with self._lock:
            self._runs = {run_id: each for run_id, each in self._runs.items() if each is not run}
            if self._runs:
                return
            if self._copying is not None:
                self._copying.__exit__(None, None, None)
                self._copying = None
            # If somebody has put something on top, this stays, and hands on.
            if logging.Logger.callHandlers is self._ours:
                logging.Logger.callHandlers = self._call_handlers  # type: ignore[method-assign, assignment]
                self._call_handlers = None

    def _stand_between(self) -> None:
        usual: Any = logging.Logger.callHandlers
        self._call_handlers = usual

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not self._runs or _busy.get():
                usual(logger, record)
                return
            token = _busy.set(True)
            try:
                self._logged(record)
                usual(logger, record)
            finally:
                _busy.reset(token)

        self._ours = call_handlers
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]

    def _logged(self, record: logging.LogRecord) -> None:
        found = self._whose()
        if found is None:
            return
        run, place = found
        if place.slug is None and record.levelno < logging.WARNING and not record.name.startswith(ROOT):
            # Libraries talk to themselves all the time.
            return
        try:
            run.log(place, record.created, record.levelno, record.name, record_text(record))
        except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything, and logging fails nobody
            return

    def _printed(self, stream: str, text: str) -> None:
        if _busy.get() or (found := self._whose()) is None:
            return
        run, place = found
        run.print(place, stream, text)

    def _whose(self) -> tuple[_Prints, Place] | None:
        if os.getpid() != self._pid:
            # Forked: the journal is not this process's, and a lock may be held by a thread that is not here.
            return None
        runs = self._runs
        place = place_in(runs)
        if place is None or (place is NOWHERE and len(runs) != 1):
            return None
        if place is NOWHERE:
            ((run_id, run),) = runs.items()
            return run, Place(run_id)
        return runs[place.run_id], place


_COLLECTOR: Final = _Collector()
