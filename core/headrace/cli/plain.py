"""The report of a run where nothing can be redrawn: one line for each task that ends, fails or is tried again."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from headrace.cli.failures import plain
from headrace.cli.looks import duration, look_of
from headrace.cli.progress import Progress
from headrace.states import Finished, Looped, Retrying, State, TriggerFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from headrace.cli.progress import TaskProgress
    from headrace.flows import Flow
    from headrace.plugins import FlowRunInfo, TaskRunInfo

__all__ = ["PlainReport", "children_text", "retry_text"]

_SHOWN_CHILDREN: Final = 5


class PlainReport:
    """Writes lines to ``stream`` as things happen. Mapped children are summed up, their first failures excepted."""

    def __init__(self, flow: Flow, stream: TextIO) -> None:
        self.progress = Progress(flow, self)
        self._stream = stream
        self._unicode = "utf" in (stream.encoding or "").lower()
        self._undecided: tuple[TaskProgress, TaskRunInfo, State] | None = None
        self._failed_children: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._decide()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        self._decide()
        yield

    def interrupted(self) -> None:
        """Say that the first Ctrl-C was seen."""
        self._stream.write("Stopping; press Ctrl-C again to leave at once.\n")
        self._stream.flush()

    def abandon(self) -> None:
        """Leave the terminal as it should be, from any thread: nothing to do here."""

    # Progress tells what happens, in the thread that drives the run.

    def run_began(self, run: FlowRunInfo) -> None:
        """Name the run."""
        count = len(self.progress.visible)
        tasks = "1 task" if count == 1 else f"{count:,} tasks"
        self._write(f"{plain(run.flow_name)}: {tasks}, run {plain(run.name)}")

    def task_changed(self, task: TaskProgress, info: TaskRunInfo, new: State) -> None:
        """Write a line if the change is worth one."""
        if isinstance(new, Retrying):
            self._undecided = None
            if info.map_index is None:
                self._line(task, info, new, retry_text(task, new, time.time()))
            return
        self._decide()
        if not isinstance(new, Finished) or isinstance(new, Looped):
            return
        if new.is_failed() and self._may_retry(task, info, new):
            self._undecided = task, info, new
            return
        self._finished(task, info, new)

    def _may_retry(self, task: TaskProgress, info: TaskRunInfo, new: State) -> bool:
        """Tell whether the next event may be that this task is tried again."""
        return info.attempt <= task.max_retries and not isinstance(new, TriggerFailed)

    def _decide(self) -> None:
        """Write the failure that was not followed by a retry."""
        if self._undecided is not None:
            task, info, new = self._undecided
            self._undecided = None
            self._finished(task, info, new)

    def _finished(self, task: TaskProgress, info: TaskRunInfo, new: State) -> None:
        if info.map_index is not None:
            if new.is_failed():
                self._child_failed(task, info, new)
            return
        took = "" if task.started is None else duration(new.timestamp - task.started)
        text = children_text(task) if new.is_mapped() else look_of(type(new)).word
        self._line(task, info, new, "  ".join(filter(None, [text, took])))

    def _child_failed(self, task: TaskProgress, info: TaskRunInfo, new: State) -> None:
        self._failed_children[task.slug] += 1
        count = self._failed_children[task.slug]
        if count <= _SHOWN_CHILDREN:
            self._line(task, info, new, look_of(type(new)).word)
        elif count == _SHOWN_CHILDREN + 1:
            self._write(f"  more children of {plain(task.name)} fail; they are counted when it ends")

    def _line(self, task: TaskProgress, info: TaskRunInfo, new: State, text: str) -> None:
        look = look_of(task.kind if info.map_index is None else type(new))
        self._write(f"{look.mark(unicode=self._unicode)} {plain(info.name)}  {text}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def children_text(task: TaskProgress) -> str:
    """Return how the children of a mapped task ended: ``"3,998 succeeded, 2 failed"``."""
    counts: Counter[str] = Counter()
    for cls, number in list(task.children.items()):
        if number > 0:
            counts[look_of(cls).word] += number
    order = sorted(counts, key=lambda word: (word != "succeeded", word))
    return ", ".join(f"{counts[word]:,} {word}" for word in order) or "no children"


def retry_text(task: TaskProgress, state: Retrying, now: float) -> str:
    """Return which attempt failed and when the next one is due."""
    wait = 0.0 if state.start_time is None else state.start_time.timestamp() - now
    again = f"again in {duration(max(wait, 0.1), live=True)}" if wait > 0 else "again now"
    return f"attempt {task.attempt} of {task.max_retries + 1} failed, {again}"
