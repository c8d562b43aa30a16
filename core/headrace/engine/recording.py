"""What a run that is recorded tells its journal. Used by the thread that drives the run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from headrace import states as builtin_states
from headrace.caching._notes import KIND as CACHE_NOTE
from headrace.history.keeping import NOTHING, InlineValue, KeptLocation
from headrace.history.records import ValueRecord
from headrace.locations import NotedLocation
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.abc import RunJournal
    from headrace.engine.task_runs import TaskRun
    from headrace.history.log_capture import RunLogs
    from headrace.history.sealing import Sealer
    from headrace.states import State

__all__ = ["Recorder"]

_KNOWN: Final = frozenset(builtin_states.__all__)


class Recorder:
    """Says to a journal what becomes of each task run, before anything follows from it.

    ``now`` returns the moment, in seconds since the epoch. ``resumes`` tells whether the finished states that task runs
    were brought in are in the store already. Every method may raise HistoryError, which ends the run.
    """

    __slots__ = ("_journal", "_logs", "_nothing", "_now", "_partial_lines", "_resumes", "_sealer")

    def __init__(
        self, journal: RunJournal, sealer: Sealer, now: Callable[[], float], logs: RunLogs, *, resumes: bool = False
    ) -> None:
        self._journal = journal
        self._sealer = sealer
        self._resumes = resumes
        self._nothing = self._inline(NOTHING.data)
        self._now = now
        self._logs = logs
        self._partial_lines = logs.partial

    @property
    def journal(self) -> RunJournal:
        """The journal."""
        return self._journal

    def queued(self, run: TaskRun, state: State) -> None:
        """Say that an attempt waits for slots, before any is asked for."""
        self._journal.waiting(run.node.index, run.map_index, run.attempt, _name(state), state.message, state.timestamp)

    def cancelling(self, message: str | None) -> None:
        """Say that the run is to end."""
        self._journal.entered("Cancelling", message, self._now())

    def began(self, run: TaskRun) -> None:
        """Say that an attempt begins."""
        self._journal.began(run.node.index, run.map_index, run.attempt, self._now())

    def put_back(self, run: TaskRun) -> None:
        """Say that an attempt that was to begin has not."""
        self._journal.waiting(run.node.index, run.map_index, run.attempt, "Pending", None, self._now())

    def settled(self, run: TaskRun, state: State) -> None:
        """Say that ``run`` is now in ``state``, unless the store has copied that from the run before."""
        if run.brought and self._resumes and state is run.state:
            return
        if self._partial_lines:
            self._logs.finish_task_run(run.node.slug, run.map_index)
        if state.is_looped():
            self._waits(run, state)
        elif state._finished:
            if state._context:
                self._note_cache(run, state._context)
            self._journal.finished(
                run.node.index,
                run.map_index,
                run.attempt,
                _name(state),
                state.message,
                state.started,
                state.timestamp,
                self._value(state),
            )
        elif state.is_scheduled():
            self._waits(run, state)
        elif state.is_running() and run.node.mapped and run.parent is None:
            self._journal.expanded(run.node.index, run.length, self._now())  # type: ignore[attr-defined]

    def _note_cache(self, run: TaskRun, notes: Mapping[str, object]) -> None:
        """Take down what the cache had to do with a result, for whoever asks why it was computed, or was not."""
        note = notes.get(CACHE_NOTE)
        if isinstance(note, str):
            self._journal.noted(run.node.index, run.map_index, CACHE_NOTE, note)

    def _waits(self, run: TaskRun, state: State) -> None:
        if state.is_retrying():
            # A task that asks for another attempt has not failed: how it ended is in that state itself.
            ended = run.attempts[-1] if run.attempts and run.attempts[-1].started == state.started else state
            self._journal.attempted(
                run.node.index,
                run.map_index,
                run.attempt - 1,
                _name(ended),
                ended.message,
                ended.started,
                ended.timestamp,
                self._value(ended),
            )
        until = getattr(state, "start_time", None)
        self._journal.waiting(
            run.node.index,
            run.map_index,
            run.attempt,
            _name(state),
            state.message,
            state.timestamp,
            None if until is None else until.timestamp(),
            self._value(state),
        )

    def _value(self, state: State) -> ValueRecord | None:
        """Return how to get at the result of ``state``, as far as it was kept."""
        location, value = state.location, state._result
        if isinstance(location, InlineValue):
            state.location = None
            return self._nothing if location is NOTHING else self._inline(location.data)
        if isinstance(value, BaseException):
            return ValueRecord(type_name=type_name(type(value)), is_exception=True)
        if isinstance(location, KeptLocation):
            where = str(location)
        elif isinstance(location, NotedLocation) and location.digest:
            where = f"{location.kind}:{location}"
        else:
            return ValueRecord(type_name=type_name(type(value)))
        digest = self._sealer.seal(location.digest)
        return ValueRecord(location=where, digest=digest, type_name=type_name(type(value)))

    def _inline(self, data: bytes) -> ValueRecord:
        return ValueRecord(data=self._sealer.seal(data), size=len(data))


def _name(state: State) -> str:
    """Return the name of the class of ``state``, or the nearest one that headrace has above it."""
    return _class_name(type(state))  # type: ignore[arg-type]  # classes can be hashed, whatever their instances do


@cache
def _class_name(kind: type[State]) -> str:
    return next(cls.__name__ for cls in kind.__mro__ if cls.__name__ in _KNOWN)
