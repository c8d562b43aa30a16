"""What the command line knows of a run while it goes on: counters that the engine's events move.

The hooks below are called in the thread that drives the run, twice and more for each task and mapped child, so they
count and do nothing else. Whoever draws reads the counters from another thread, at its own pace.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from headrace.parameters import Parameter
from headrace.plugins import hookimpl
from headrace.states import (
    Cancelled,
    Failed,
    Finished,
    Looped,
    Pending,
    Queued,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TriggerFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.flows import Flow
    from headrace.plugins import FlowRunInfo, TaskRunInfo
    from headrace.tasks import Task

__all__ = ["Listener", "Progress", "TaskProgress", "counts_as"]

_RECENT: Final = 200
_LOOKAHEAD: Final = 1000


class TaskProgress:
    """One task of the flow. ``children`` counts the mapped children in each class of states; Pending is not counted.

    ``hidden`` marks what people did not write as a task: constants, collections and parameters.
    """

    __slots__ = (
        "attempt",
        "children",
        "ended",
        "hidden",
        "max_retries",
        "name",
        "position",
        "slug",
        "started",
        "state",
        "taken_over",
        "total",
    )

    def __init__(self, task: Task, slug: str, position: int) -> None:
        self.slug = slug
        self.position = position
        self.name = task.name
        self.hidden = task.auto_generated or isinstance(task, Parameter)
        self.max_retries = task.max_retries
        self.state: State = _PENDING
        self.taken_over = False
        self.attempt = 1
        self.started: float | None = None
        self.ended: float | None = None
        self.total: int | None = None
        self.children: defaultdict[type[State], int] = defaultdict(int)

    def count(self, kind: type[State], *, but: type[State] | tuple[type[State], ...] = ()) -> int:
        """Return how many children are in a state of ``kind``."""
        return sum(
            n for cls, n in list(self.children.items()) if n > 0 and issubclass(cls, kind) and not issubclass(cls, but)
        )

    @property
    def finished_children(self) -> int:
        """How many children have ended."""
        return self.count(Finished, but=Looped)

    @property
    def kind(self) -> type[State]:
        """The class of the state; of a mapped task that has ended, the worst that its children ended in."""
        if self.total is None or not self.state.is_mapped():
            return type(self.state)
        for kind in (Failed, Cancelled):
            if self.count(kind):
                return kind
        return Skipped if self.total and self.count(Skipped) == self.total else Success

    @property
    def is_active(self) -> bool:
        """Whether it has begun and not ended: it runs, or waits for another attempt or for a slot."""
        return isinstance(self.state, Running | Scheduled | Queued | Looped) or (
            self.started is not None and not self.state.is_finished()
        )

    def duration(self, now: float) -> float | None:
        """Return the seconds from its first attempt until it ended, or until ``now``."""
        return None if self.started is None else (self.ended or now) - self.started

    def enter(self, new: State, info: TaskRunInfo) -> None:
        """Take note of a change of state of the task itself."""
        self.state = new
        self.attempt = info.attempt
        if self.started is None and new.is_running():
            self.started = new.timestamp
        elif info.attempt == 1 and new.started is not None:
            # Before that it waited for a worker.
            self.started = new.started
        if info.child_count is not None:
            self.total = info.child_count
        self.ended = new.timestamp if new.is_finished() and not new.is_looped() else None
        if new.is_mapped():
            # Children that were given up before they began had no event of their own.
            self._count_children(new)

    def take_over(self, state: State) -> None:
        """Take note that an earlier run left the task in ``state``, which it stays in."""
        self.state = state
        # One that was left out has not come from anywhere.
        self.taken_over = not isinstance(state, Cancelled)
        if state.is_mapped():
            self._count_children(state)

    def _count_children(self, mapped: State) -> None:
        states: Iterable[State | None] = mapped.map_states  # type: ignore[attr-defined]
        self.children = defaultdict(int, Counter(type(state) for state in states if state is not None))
        self.total = sum(self.children.values())


_PENDING: Final = Pending()


def counts_as(kind: type[State], wanted: type[State]) -> bool:
    """Tell whether ``kind`` is a ``wanted`` state; what was kept from running did not fail itself."""
    return issubclass(kind, wanted) and (wanted is not Failed or kind is not TriggerFailed)


class Listener(Protocol):
    """Is told of changes as they happen, in the driving thread: of every task's, and of failures of children."""

    def run_began(self, run: FlowRunInfo) -> None: ...

    def task_changed(self, task: TaskProgress, info: TaskRunInfo, new: State) -> None: ...


class Progress:
    """Counts one run of one flow: an observer for ``Engine(plugins=[...])``.

    ``visible`` are the tasks that people wrote, in the order they can run in; ``tally`` counts them by class of state.
    """

    def __init__(self, flow: Flow, listener: Listener | None = None) -> None:
        self.flow = flow
        self.run: FlowRunInfo | None = None
        self.started: float | None = None
        self.final: State | None = None
        self.tasks = {
            flow.slugs[task]: TaskProgress(task, flow.slugs[task], position)
            for position, task in enumerate(flow.sorted_tasks())
        }
        self.visible = [task for task in self.tasks.values() if not task.hidden]
        self.tally: Counter[type[State]] = Counter({Pending: len(self.visible)})
        self.active: dict[str, TaskProgress] = {}
        self.recent: deque[TaskProgress] = deque(maxlen=_RECENT)
        self._listener = listener
        self._begun = 0

    def waiting(self, limit: int) -> Iterator[TaskProgress]:
        """Yield up to ``limit`` of the tasks that come next, near the first that has not begun."""
        visible = self.visible
        while self._begun < len(visible) and visible[self._begun].state is not _PENDING:
            self._begun += 1
        near = islice(visible, self._begun, self._begun + _LOOKAHEAD)
        return islice((task for task in near if task.state is _PENDING), limit)

    def take_over(self, states: Mapping[str, State]) -> None:
        """Count the tasks, by slug, that an earlier run has finished: nothing is heard of them in this one."""
        for slug, state in states.items():
            children: Iterable[State] = getattr(state, "map_states", ())
            if not state.is_finished() or not all(child.is_finished() for child in children):
                continue
            task = self.tasks[slug]
            task.take_over(state)
            if not task.hidden:
                self.tally[Pending] -= 1
                self.tally[task.kind] += 1

    @property
    def ended(self) -> float | None:
        """When the run ended."""
        return None if self.final is None else self.final.timestamp

    def count(self, kind: type[State]) -> int:
        """Return how many visible tasks are in a state of ``kind``; those that only were not run did not fail."""
        return sum(n for cls, n in list(self.tally.items()) if n > 0 and counts_as(cls, kind))

    @hookimpl
    def headrace_flow_state_changed(self, run: FlowRunInfo, old: State, new: State) -> None:
        """Note when the run began and how it ended."""
        if self.run is None:
            self.run, self.started = run, new.timestamp
            if self._listener is not None:
                self._listener.run_began(run)
        if new.is_finished() or new.is_paused():
            self.final = new

    @hookimpl
    def headrace_task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
        """Count."""
        task = self.tasks.get(task_run.task_slug)
        if task is None:
            return
        if task_run.map_index is None:
            self._changed(task, task_run, new)
            return
        children = task.children
        children[old.__class__] -= 1
        children[new.__class__] += 1
        if self._listener is not None and new.__class__ is not Success and new.__class__ is not Running:
            self._listener.task_changed(task, task_run, new)

    def _changed(self, task: TaskProgress, info: TaskRunInfo, new: State) -> None:
        before = task.kind
        task.enter(new, info)
        if task.hidden:
            return
        self.tally[before] -= 1
        self.tally[task.kind] += 1
        if task.is_active:
            self.active[task.slug] = task
        else:
            self.active.pop(task.slug, None)
            self.recent.append(task)
        if self._listener is not None:
            self._listener.task_changed(task, info, new)
