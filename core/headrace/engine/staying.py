"""Task runs of a resumed run that stay after all: they are asked about when they are about to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.engine.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.abc import RunJournal
    from headrace.engine.plan import Plan
    from headrace.engine.task_runs import TaskRun
    from headrace.history.records import ValueRecord
    from headrace.history.staying import Staying
    from headrace.states import State

__all__ = ["NOTE", "StayingJournal", "StayingScheduler"]

NOTE: Final = "it stayed although something before it ran again: what it is called with is what it was"


class StayingScheduler(Scheduler):
    """A scheduler that lets finished task runs stay which are called with what they were called with before."""

    __slots__ = ("_staying",)

    def __init__(self, plan: Plan, parameters: Mapping[str, Any], staying: Staying) -> None:
        super().__init__(plan, parameters)
        self._staying = staying

    def _judge(self, run: TaskRun) -> State | None:
        state = super()._judge(run)
        if state is not None:
            self._staying.drop(run.node.index, run.map_index)
            return state
        lists = {} if run.parent is None else {k: feed.values for k, feed in run.parent.feeds.items()}
        stays = self._staying.state_of(run.node.index, run.map_index, lists)
        if stays is not None:
            # Whoever watches hears of what was taken over as little as if it had been known from the beginning.
            run.state = stays
        return stays

    def follower(self, run: TaskRun) -> TaskRun | None:
        found = super().follower(run)
        return None if found is None or self._staying.decides(found.node.index) else found


class StayingJournal:
    """Does what ``journal`` does, and tells ``staying`` what task runs came to; one that stays is taken over."""

    def __init__(self, journal: RunJournal, staying: Staying) -> None:
        self._journal = journal
        self._staying = staying

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def expanded(self, node: int, count: int, at: float, /) -> None:
        """Say how many children a mapped task has."""
        self._journal.expanded(node, count, at)
        self._staying.expanded(node, count)

    def finished(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        started: float | None,
        at: float,
        value: ValueRecord | None = None,
        details: str | None = None,
        /,
    ) -> None:
        """Say that a task run has finished, or stays."""
        record = self._staying.taken_over.pop((node, map_index), None)
        if record is None:
            self._journal.finished(node, map_index, attempt, state, message, started, at, value, details)
            self._staying.finished(node, map_index, state, value)
        else:
            self._journal.taken_over(record)
            self._journal.noted(node, map_index, "stayed", NOTE)
            self._staying.finished(node, map_index, record.state, record.value, record.taken_from)
