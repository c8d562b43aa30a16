"""What a run came to, as the command line tells it: one result per task, its errors, and the last line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from headrace.cli.failures import plain
from headrace.cli.looks import duration, look_of
from headrace.states import Cancelled, Failed, Finished, Paused, State, Success, TimedOut, TriggerFailed
from headrace.tracebacks import user_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.cli.looks import Look
    from headrace.cli.progress import Progress, TaskProgress
    from headrace.tracebacks import UserFrame

__all__ = ["Failure", "Outcome"]


class Failure(NamedTuple):
    """A task run that failed; ``map_index`` is None for one that is not a mapped child."""

    task: TaskProgress
    map_index: int | None
    state: State

    @property
    def name(self) -> str:
        """The task's name, with the map index of a child in brackets."""
        return self.task.name if self.map_index is None else f"{self.task.name}[{self.map_index}]"

    @property
    def text(self) -> str:
        """What went wrong, without escape sequences."""
        return plain(self.state.message or look_of(type(self.state)).word)

    @property
    def where(self) -> UserFrame | None:
        """The line of the user's code that raised, if there is one."""
        error = self.state.result
        return user_frame(error) if isinstance(error, BaseException) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A run that is over. ``state`` is None if it was torn down before it had a final state."""

    progress: Progress
    state: State | None
    interrupted: bool = False
    interrupt_code: int = 130

    @property
    def exit_code(self) -> int:
        """0 for success, 1 for anything else that came to an end, 130 after Ctrl-C, 143 after SIGTERM."""
        if self.interrupted:
            return self.interrupt_code
        return 0 if self.state is not None and self.state.is_successful() else 1

    @property
    def look(self) -> Look:
        """How the final state looks."""
        return look_of(Cancelled if self.state is None else type(self.state))

    @property
    def seconds(self) -> float:
        """How long the run took."""
        progress = self.progress
        return 0.0 if progress.started is None else (progress.ended or time.time()) - progress.started

    def tasks(self) -> Iterator[TaskProgress]:
        """Yield the tasks worth a line: those that people wrote, and any other that failed."""
        return (task for task in self.progress.tasks.values() if not task.hidden or issubclass(task.kind, Failed))

    def failures(self) -> Iterator[Failure]:
        """Yield what failed, children after one another; those that were only kept from running come last."""
        found = [task for task in self.tasks() if issubclass(task.kind, Failed)]
        for task in sorted(found, key=lambda task: issubclass(task.kind, TriggerFailed)):
            if not task.state.is_mapped():
                yield Failure(task, None, task.state)
                continue
            for index, state in enumerate(task.state.map_states):  # type: ignore[attr-defined]
                if state is not None and state.is_failed():
                    yield Failure(task, index, state)

    def failures_by_place(self) -> list[tuple[Failure, int]]:
        """Return one failure for each kind of error and line of code, or task, and how many there are of it.

        Those that were only kept from running do not count.
        """
        groups: dict[object, tuple[Failure, int]] = {}
        for failure in self.failures():
            if isinstance(failure.state, TriggerFailed):
                continue
            error, where = failure.state.result, failure.where
            key = (type(error), where if where is not None else failure.task.slug)
            first, count = groups.get(key, (failure, 0))
            groups[key] = first, count + 1
        return list(groups.values())

    def last_line(self) -> str:
        """Return the truth about the run in one line, without a symbol."""
        name, took = plain(self.progress.flow.name), duration(self.seconds)
        if self.state is None or self.state.is_cancelled():
            done = self.progress.count(Finished) - self.progress.count(Cancelled)
            why = "" if self.state is None or self.interrupted else f" ({plain(self.state.message or '')})"
            had = f"{done} of {_tasks(len(self.progress.visible))} had finished"
            return f"{name} was cancelled after {took}{why}: {had}"
        if isinstance(self.state, Paused):
            return f"{name} is paused after {took}: {plain(self.state.message or '')}"
        failed = [task.name for task in self.tasks() if issubclass(task.kind, Failed)]
        if isinstance(self.state, Success):
            return f"{name} succeeded in {took}{f', although {self._who(failed)}' if failed else ''}"
        told = isinstance(self.state, TimedOut) or not failed
        reason = plain(self.state.message or "no task did") if told else self._who(failed)
        return f"{name} failed after {took}: {reason}"

    def _who(self, failed: list[str]) -> str:
        ran = [task.name for task in self.tasks() if issubclass(task.kind, Failed) and task.kind is not TriggerFailed]
        first, blocked = plain((ran or failed)[0]), len(failed) - len(ran or failed)
        others = f" and {_tasks(blocked)} could not run" if blocked else ""
        if len(ran or failed) == 1:
            return f"{first!r} failed{others}"
        comma = "," if others else ""
        return f"{len(ran or failed)} of {_tasks(len(self.progress.visible))} failed, first {first!r}{comma}{others}"


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"
