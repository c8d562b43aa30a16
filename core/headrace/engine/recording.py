"""What a run that is recorded tells its journal. Used by the thread that drives the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace import states as builtin_states
from headrace.history.keeping import InlineValue, KeptLocation
from headrace.history.records import ValueRecord
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.abc import RunJournal
    from headrace.engine.task_runs import TaskRun
    from headrace.history.sealing import Sealer
    from headrace.states import State

__all__ = ["Recorder"]

_KNOWN: Final = frozenset(builtin_states.__all__)


class Recorder:
    """Says to a journal what becomes of each task run, before anything follows from it.

    ``now`` returns the moment, in seconds since the epoch. Every method may raise HistoryError, which ends the run.
    """

    __slots__ = ("_journal", "_now", "_sealer")

    def __init__(self, journal: RunJournal, sealer: Sealer, now: Callable[[], float]) -> None:
        self._journal = journal
        self._sealer = sealer
        self._now = now

    def began(self, run: TaskRun) -> None:
        """Say that an attempt begins."""
        self._journal.began(run.node.index, run.map_index, run.attempt, self._now())

    def settled(self, run: TaskRun, state: State) -> None:
        """Say that ``run`` is now in ``state``, unless that is what it was brought in."""
        if run.brought and state is run.state:
            return
        if state.is_looped():
            self._waits(run, state)
        elif state._finished:
            self._journal.finished(
                run.node.index,
                run.map_index,
                run.attempt,
                _name_of(state),
                state.message,
                state.started,
                state.timestamp,
                self._value(state),
            )
        elif state.is_scheduled():
            self._waits(run, state)
        elif state.is_running() and run.node.mapped and run.parent is None:
            self._journal.expanded(run.node.index, run.length, self._now())  # type: ignore[attr-defined]

    def _waits(self, run: TaskRun, state: State) -> None:
        if state.is_retrying() and run.attempts:
            ended = run.attempts[-1]
            self._journal.attempted(
                run.node.index,
                run.map_index,
                run.attempt - 1,
                _name_of(ended),
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
            _name_of(state),
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
            return ValueRecord(data=self._sealer.seal(location.data), size=len(location.data))
        if isinstance(value, BaseException):
            return ValueRecord(type_name=type_name(type(value)), is_exception=True)
        # Where a target or a cache has it, its task looks for itself. A store of the run's own is not known later.
        known = str(location) if isinstance(location, KeptLocation) else None
        return ValueRecord(location=known, type_name=type_name(type(value)))


def _name_of(state: State) -> str:
    """Return the name of the class of a state, or the nearest one that headrace has above it."""
    return next(cls.__name__ for cls in type(state).__mro__ if cls.__name__ in _KNOWN)
