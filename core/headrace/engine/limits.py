"""Task runs that wait for a slot of a tag with a limit, see `headrace.abc.RunStore.set_limit`.

The driver asks for a slot only when it could run something at once, and keeps room for it until it has the answer: a
slot that somebody has is a slot that somebody uses. The answer comes from a thread that may wait for other processes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from headrace.abc import RunJournal
    from headrace.engine.plan import Plan
    from headrace.engine.task_runs import TaskRun

__all__ = ["Limits"]

Answer: TypeAlias = "tuple[TaskRun, bool | Exception]"
"""Whether a task run has its slots, or why there is no telling."""

# Seconds from one answer to the next question, where others have all slots.
_PAUSE: Final = 0.2
# Seconds to wait for the last answer of all.
_PATIENCE: Final = 5.0


class Limits:
    """Who of one run waits for slots. For the thread that drives it, which finds a None in ``inbox`` when woken."""

    def __init__(self, plan: Plan, journal: RunJournal, inbox: SimpleQueue[Any]) -> None:
        self._nodes = {node.index: node.task.tags for node in plan.nodes if node.task.tags and node.resolve is None}
        self._journal = journal
        self._inbox = inbox
        # By node, the tags that a slot is needed of.
        self.tags: dict[int, frozenset[str]] = {}
        # Who needs slots of the same tags gets them in turn, and only the first one asks.
        self._lines: dict[frozenset[str], deque[TaskRun]] = {}
        self._due: dict[frozenset[str], float] = {}
        # How many questions have not been answered.
        self.asking = 0
        self._questions: SimpleQueue[TaskRun | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        # Those for whom we ask, and how many had given up slots when the question was put.
        self._asked: dict[TaskRun, int] = {}
        self._given_up = 0
        # Who waited and need not any longer.
        self.free: deque[TaskRun] = deque()
        self._thread: threading.Thread | None = None

    def set(self, limited: Collection[str]) -> None:
        """Take note of which tags have a limit now."""
        found = {index: frozenset(tags).intersection(limited) for index, tags in self._nodes.items()}
        self.tags = {index: tags for index, tags in found.items() if tags}
        for tags in list(self._lines):
            if tags.isdisjoint(limited):
                # What one of them may have been given meanwhile goes when it has finished.
                self.free.extend(self._lines.pop(tags))
        self._due = dict.fromkeys(self._lines, 0.0)
        # An answer that is on its way was given before.
        self._given_up += 1

    @property
    def waiting(self) -> bool:
        """Tell whether anybody waits."""
        return bool(self._lines or self.free)

    def join(self, run: TaskRun) -> None:
        """Let ``run`` wait for a slot of each limited tag that it has."""
        tags = self.tags[run.node.index]
        self._lines.setdefault(tags, deque()).append(run)
        self._due.setdefault(tags, 0.0)

    def ask(self) -> bool:
        """Ask for the first one of a line where it is time to; tell whether there is such a line."""
        now = time.monotonic()
        for tags, line in self._lines.items():
            if self._due[tags] <= now and line[0] not in self._asked:
                self._begin_to_ask(line[0])
                return True
        return False

    def _begin_to_ask(self, run: TaskRun) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="headrace-limits", daemon=True)
            self._thread.start()
        self.asking += 1
        self._asked[run] = self._given_up
        self._questions.put(run)

    def patience(self) -> float | None:
        """Return in how many seconds there is somebody to ask for, or None if that depends on answers only."""
        due = [self._due[tags] for tags, line in self._lines.items() if line[0] not in self._asked]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def admitted(self) -> Iterator[TaskRun]:
        """Yield who may begin, according to the answers that have come; raise what was raised in place of one."""
        while not self._answers.empty():
            run, answer = self._answers.get()
            self.asking -= 1
            known = self._asked.pop(run)
            if isinstance(answer, Exception):
                raise answer
            tags = self._line_of(run)
            if tags is None:
                # It was cancelled while we asked, and the slot goes with what is said of that.
                continue
            if answer:
                self._leave(tags)
                yield run
            elif known == self._given_up:
                self._due[tags] = time.monotonic() + _PAUSE

    def _line_of(self, run: TaskRun) -> frozenset[str] | None:
        return next((tags for tags, line in self._lines.items() if line[0] is run), None)

    def _leave(self, tags: frozenset[str]) -> None:
        self._lines[tags].popleft()
        self._due[tags] = 0.0
        if not self._lines[tags]:
            del self._lines[tags], self._due[tags]

    def gave_up(self, run: TaskRun) -> None:
        """Take note that ``run``, which may have had slots, runs no longer: others need not wait for the next look."""
        tags = self.tags.get(run.node.index)
        if tags is not None:
            self._given_up += 1
            for others in self._due:
                if not tags.isdisjoint(others):
                    self._due[others] = 0.0

    def withdraw(self) -> list[TaskRun]:
        """Let nobody wait any longer; return those who did."""
        found = [*self.free, *(run for line in self._lines.values() for run in line)]
        self.free.clear()
        self._lines.clear()
        self._due.clear()
        self.tags = {}
        self._nodes = {}
        return found

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._questions.put(None)
            self._thread.join(_PATIENCE)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (run := self._questions.get()) is not None:
            try:
                answer: bool | Exception = self._journal.take_slots(run.node.index, run.map_index, run.node.task.tags)
            except Exception as error:  # noqa: BLE001 - it is raised in the thread that drives the run
                answer = error
            self._answers.put((run, answer))
            self._inbox.put(None)
