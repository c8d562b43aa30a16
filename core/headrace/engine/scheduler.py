"""The scheduler: a pure state machine over a plan.

It is told what happened (`start`, `settle`, `wake`, `cancel`) and asked what to do (`next`). It does no I/O, reads no
clock, starts no thread and draws no random number, so the same code runs under the driver, under a virtual clock and
under a simulation that reorders everything.

Order is deterministic: tasks that are free at the same time run in plan order, and a mapped task goes depth first, so
that a child that is done is followed by its own downstream children before the next child begins.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.garbage import collector_paused
from headrace.engine.gate import judge, judge_mapped
from headrace.engine.task_runs import MappedRun, TaskRun
from headrace.engine.windows import Window
from headrace.states import Cancelled, Mapped, Pending, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.engine.plan import Plan

__all__ = ["Scheduler"]


# In seconds: a datetime is exact to a microsecond.
_AT_ONCE: Final = 2e-6


class Scheduler:
    """Decides, for one run of one plan, which task run is next and what its upstream tasks mean for it."""

    __slots__ = (
        "_cancelled",
        "_paused",
        "_ready",
        "_sequence",
        "_sleeping",
        "consumed",
        "parameters",
        "plan",
        "runs",
        "unfinished",
    )

    def __init__(self, plan: Plan, parameters: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        self.parameters = parameters or {}
        pending = Pending()
        with collector_paused(len(plan.nodes)):
            self.runs: list[TaskRun] = [
                MappedRun(node, pending) if node.mapped else TaskRun(node, pending) for node in plan.nodes
            ]
        self.unfinished = len(self.runs)
        # States whose result nobody is going to read any more; the driver takes them from here.
        self.consumed: list[State] = []
        self._ready: deque[TaskRun] = deque()
        self._sleeping: list[tuple[float, int, TaskRun]] = []
        self._sequence = 0
        self._paused: list[TaskRun] = []
        self._cancelled: Cancelled | None = None

    # -- events --------------------------------------------------------------------------------------------------

    def start(self, states: Mapping[int, State] | None = None) -> None:
        """Begin; ``states`` are what some nodes bring along from before: finished ones are kept as they are."""
        for index, state in (states or {}).items():
            self.runs[index].bring(state)
        self._ready.extend(run for run in self.runs if run.waiting <= 0)

    def settle(self, run: TaskRun, state: State) -> None:
        """Take note that ``run`` is now in ``state``, and work out who may go on."""
        run.state = state
        if run.parent is not None and run.parent.window is not None:
            self._ready.extendleft(run.parent.window.leave())
        if state._finished:
            if state.is_looped():
                self._ready.appendleft(run)
            elif run.parent is None:
                self._finish(run, state)
            else:
                self._finish_child(run.parent, run, state)
        elif state.is_scheduled():
            self._sleep(run, state)
        elif isinstance(run, MappedRun):
            self._expand(run)

    def wake(self, now: float) -> None:
        """Make the runs ready whose moment has come; ``now`` is in seconds since the epoch."""
        while self._sleeping and self._sleeping[0][0] <= now:
            run = heappop(self._sleeping)[2]
            run.resumed = run.resumed or run.state.is_paused()
            self._ready.append(run)

    def bound(self, nodes: Iterable[int], most: int) -> None:
        """Let no more than ``most`` children of each mapped task in ``nodes`` be on their way at once."""
        for index in nodes:
            run = self.runs[index]
            if isinstance(run, MappedRun) and run.window is None and not run.live:
                run.window = Window(most)

    def resume(self, run: TaskRun) -> None:
        """Let a run of `paused` go on."""
        self._paused.remove(run)
        run.resumed = True
        self._ready.append(run)

    def cancel(self, state: Cancelled) -> None:
        """End everything that has not begun in ``state``, except tasks that clean up after others."""
        self._cancelled = state
        self._ready.extend(run for _, _, run in sorted(self._sleeping))
        self._ready.extend(self._paused)
        for run in self.runs:
            if isinstance(run, MappedRun) and run.expanded:
                self._ready.append(run)
                self._ready.extend(run.window.release() if run.window else ())
        self._sleeping.clear()
        self._paused.clear()

    # -- questions -----------------------------------------------------------------------------------------------

    def next(self) -> tuple[TaskRun, State | None] | None:
        """Return the next run and the state it is to enter, or None in its place if it is to be executed.

        Return None if nothing can be done now. The caller answers each returned run with `settle`.
        """
        ready = self._ready
        while ready:
            run = ready.popleft()
            if isinstance(run, MappedRun):
                found = self._next_of_map(run)
                if found is not None:
                    return found
            elif run.parent is None or self._admits(run.parent, run):
                return run, self._judge(run)
        return None

    @property
    def sleeping(self) -> bool:
        """Tell whether a run waits for its moment."""
        return bool(self._sleeping)

    @property
    def next_wake(self) -> float | None:
        """The moment at which the first sleeping run may go on, in seconds since the epoch."""
        return self._sleeping[0][0] if self._sleeping else None

    def paused(self) -> list[TaskRun]:
        """Return the runs that wait for a person."""
        return list(self._paused)

    def arguments(self, run: TaskRun) -> dict[str, Any]:
        """Return what ``run`` is called with."""
        return run.arguments(self.runs)

    def states(self) -> Iterator[State]:
        """Yield the states of all runs, and of the mapped children that have finished."""
        for run in self.runs:
            yield run.state
            if isinstance(run, MappedRun):
                yield from (state for state in run.states if state is not None)

    def live_children(self) -> Iterator[TaskRun]:
        """Yield the mapped children that have been made and are not finished."""
        for run in self.runs:
            if isinstance(run, MappedRun):
                yield from run.live.values()

    def follower(self, run: TaskRun) -> TaskRun | None:
        """Return the run that is all there is to do once ``run`` has succeeded, if it is certain to be executed then.

        Asked while ``run`` is on its way, or another run that it follows on is.
        """
        node = run.node
        if self._ready or self._cancelled is not None or run.parent is not None or not node.downstream:
            return None
        found = self.runs[node.downstream[0]]
        target = found.node
        alone = found.waiting == len(node.downstream) == node.downstream.count(target.index)
        simple = target.plain and not (target.mapped or target.flattens)
        return found if alone and simple and not (found.unsuccessful or found.skipped or found.brought) else None

    def _admits(self, parent: MappedRun, child: TaskRun) -> bool:
        return parent.window is None or self._cancelled is not None or parent.window.admit(child)

    # -- deciding ------------------------------------------------------------------------------------------------

    def _judge(self, run: TaskRun) -> State | None:
        if run.node.plain and not (run.unsuccessful or run.skipped or run.brought or self._cancelled):
            return None
        kept = run.brought and run.state._finished
        if self._cancelled is not None and not run.node.task.cleans_up and not kept:
            return self._cancelled
        return judge(run, self.runs, self.parameters)

    def _next_of_map(self, run: MappedRun) -> tuple[TaskRun, State | None] | None:
        if run.brought:
            run.brought = False
            return run, run.state
        if run.state._finished:
            return None
        if not run.expanded:
            return run, self._cancelled or judge_mapped(run, self.runs)
        if self._cancelled is not None:
            run.abandon(self._cancelled)
        if run.unfinished == 0:
            return run, Mapped("All mapped children have finished.", map_states=run.states)
        return self._next_child(run) if run.has_more_children else None

    def _next_child(self, run: MappedRun) -> tuple[TaskRun, State | None] | None:
        if run.window is not None and run.window.hold_if_full(run):
            return None
        child = run.next_child()
        self._admits(run, child)
        if run.has_more_children:
            self._ready.appendleft(run)
        return child, self._judge(child)

    def _expand(self, run: MappedRun) -> None:
        run.expand()
        self._ready.appendleft(run)
        for follower in reversed(run.node.followers):
            self._unblock(self.runs[follower], first=True)
        if run.node.pairwise:
            # The children this map follows may have finished while it waited for something else.
            self._ready.extend(run.children_ready_at_once())

    def _unblock(self, run: TaskRun, *, first: bool = False) -> None:
        run.waiting -= 1
        if run.waiting == 0:
            if first:
                self._ready.appendleft(run)
            else:
                self._ready.append(run)

    # -- finishing -----------------------------------------------------------------------------------------------

    def _finish(self, run: TaskRun, state: State) -> None:
        self.unfinished -= 1
        node, runs, ready = run.node, self.runs, self._ready
        for index in node.sources:
            source = runs[index]
            source.readers -= 1
            if source.readers == 0:
                self._consume(source)
        unsuccessful, skipped = run.votes(state) if node.mapped else (not state._successful, state._skipped)
        for index in node.downstream:
            target = runs[index]
            if unsuccessful:
                target.unsuccessful += 1
            if skipped:
                target.skipped += 1
            target.waiting -= 1
            if target.waiting == 0:
                ready.append(target)
        if node.mapped:
            self._finish_map(run, state)

    def _finish_map(self, run: TaskRun, state: State) -> None:
        """Unblock the maps over this map; what its children were is told to their children, not to them."""
        expanded = isinstance(run, MappedRun) and run.expanded
        if isinstance(run, MappedRun):
            # No child will read them any more.
            run.feeds.clear()
        for index in run.node.gatherers if expanded else run.node.gatherers + run.node.followers:
            target = self.runs[index]
            if not state.is_mapped():
                target.unsuccessful += not state._successful
                target.skipped += state._skipped
            self._unblock(target)

    def _finish_child(self, parent: MappedRun, child: TaskRun, state: State) -> None:
        index = child.map_index
        parent.child_finished(index, state)
        for source in dict.fromkeys(parent.pairs.values()):
            self._consume_child(source, index)
        for follower in reversed(parent.node.followers):
            target = self.runs[follower]
            if isinstance(target, MappedRun) and target.expanded and not target.state._finished:
                follower_child = target.upstream_child_finished(index)
                if follower_child is not None:
                    self._ready.appendleft(follower_child)
        if parent.unfinished == 0:
            self._ready.appendleft(parent)

    def _consume(self, run: TaskRun) -> None:
        if isinstance(run, MappedRun) and run.expanded:
            if run.consumed < run.length:
                self.consumed.extend(state for state in run.states if state is not None)
        else:
            self.consumed.append(run.state)

    def _consume_child(self, source: MappedRun, index: int) -> None:
        """Release one child's result early, if only children read it and all of those have finished."""
        node = source.node
        state = source.states[index]
        if (
            state is not None
            and not node.downstream
            and not node.gatherers
            and all(self._follower_done(f, index) for f in node.followers)
        ):
            source.consumed += 1
            self.consumed.append(state)

    def _follower_done(self, follower: int, index: int) -> bool:
        run = self.runs[follower]
        if run.state._finished or not isinstance(run, MappedRun):
            return run.state._finished
        return run.expanded and (index >= run.length or run.states[index] is not None)

    def _sleep(self, run: TaskRun, state: State) -> None:
        if self._cancelled is not None:
            self._ready.append(run)
            return
        start_time = state.start_time  # type: ignore[attr-defined]
        if start_time is None:
            self._paused.append(run)
            return
        if abs(start_time.timestamp() - state.timestamp) < _AT_ONCE:
            # Made for the moment of its own making, by whatever clock: that is now.
            self._ready.append(run)
            return
        self._sequence += 1
        heappush(self._sleeping, (start_time.timestamp(), self._sequence, run))
