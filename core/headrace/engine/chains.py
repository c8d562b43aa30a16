"""Chains: task runs that are handed to the executor before the one that they follow on has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.engine.worker import NOT_BEGUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.engine.scheduler import Scheduler
    from headrace.engine.task_runs import TaskRun
    from headrace.engine.worker import Work
    from headrace.states import State

__all__ = ["Chains"]


class _Undecided:
    """What stands where the scheduler has not said anything."""


class _EarlyRun:
    """What is known of a run that was handed over early; either may come first, and it goes on when both are there.

    ``verdict`` is what the scheduler says of it, as `Scheduler.next` returns it, and ``outcome`` what has become of it.
    """

    __slots__ = ("outcome", "verdict")

    def __init__(self) -> None:
        self.verdict: State | _Undecided | None = _Undecided()
        self.outcome: State | None = None


class Chains:
    """Decides what is handed over early, and brings together what came of it and what the scheduler says of it.

    ``hand_out`` makes the work of a run that is handed over with the arguments that it is given, ``conclude`` is told
    what a run has come to, and ``carry_out`` what the scheduler says of one that has not begun after all. ``early`` are
    the runs that were handed over early and of which not all is known.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        hand_out: Callable[[TaskRun, dict[str, Any]], Work],
        conclude: Callable[[TaskRun, State], None],
        carry_out: Callable[[TaskRun, State | None], None],
    ) -> None:
        self._scheduler = scheduler
        self._hand_out = hand_out
        self._conclude = conclude
        self._carry_out = carry_out
        self.early: dict[TaskRun, _EarlyRun] = {}

    def follower(self, run: TaskRun) -> TaskRun | None:
        """Return the run that can be handed over with ``run``: it is next, does the same, and no handler has a say."""
        found = self._scheduler.follower(run)
        if found is None or found in self.early or found.node.task.state_handlers:
            return None
        # Of a task that is not simply run again no more should be in doubt, if this process dies, than what runs.
        simple = found.node.task.resume == "rerun"
        return found if simple and found.node.task._is_copy_of(run.node.task) else None

    def followers(self, run: TaskRun, work: Work, count: int) -> Iterator[Work]:
        """Hand over up to ``count`` runs that follow on ``run``, one after the other, and yield the work of each."""
        from headrace.remote.chains import AwaitedResult  # noqa: PLC0415 - few executors take chains

        for _ in range(count):
            found = self.follower(run)
            if found is None:
                return
            awaited = AwaitedResult(work.key)
            work = self._hand_out(found, found.arguments_awaiting(awaited, run.node.index, self._scheduler.runs))
            self.early[found] = _EarlyRun()
            run = found
            yield work

    def decide(self, run: TaskRun, verdict: State | None) -> None:
        """Take note of what the scheduler says of a run that was handed over early."""
        early = self.early[run]
        if early.outcome is None:
            early.verdict = verdict
        else:
            del self.early[run]
            self._conclude(run, early.outcome)

    def hear(self, run: TaskRun, outcome: State) -> None:
        """Take note of what has become of a run that was handed over early."""
        early = self.early[run]
        undecided = isinstance(early.verdict, _Undecided)
        if undecided and outcome is not NOT_BEGUN:
            early.outcome = outcome
            return
        del self.early[run]
        if outcome is not NOT_BEGUN:
            self._conclude(run, outcome)
        elif not isinstance(early.verdict, _Undecided):
            self._carry_out(run, early.verdict)
