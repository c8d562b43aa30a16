"""What happens when a run changes state: state handlers first, then whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from headrace.exceptions import HeadraceError, StateHandlerError, describe
from headrace.masking import mask
from headrace.signals import Signal
from headrace.states import Failed, Finished, Running, Scheduled, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.engine.task_runs import TaskRun
    from headrace.flows import Flow
    from headrace.log import Logger
    from headrace.plugins import FlowRunInfo, TaskRunInfo

__all__ = ["Transitions", "Watcher", "call_handlers"]


class Watcher(Protocol):
    """Is told of every change of state; never raises."""

    @property
    def watches_tasks(self) -> bool: ...

    @property
    def watches_flows(self) -> bool: ...

    def flow_state_changed(self, run: FlowRunInfo, old: State, new: State) -> None: ...

    def task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None: ...


class Transitions:
    """Tells the handlers and watchers of one run. What nobody watches costs one attribute test a task."""

    def __init__(self, flow: Flow, info: Callable[[], FlowRunInfo], watchers: Sequence[Watcher]) -> None:
        self._flow = flow
        self._make_info = info
        self._info: FlowRunInfo | None = None
        self._task_watchers = [w for w in watchers if w.watches_tasks]
        self._flow_watchers = [w for w in watchers if w.watches_flows]
        self._watched = bool(self._task_watchers)
        if self._watched:
            from headrace.plugins import TaskRunInfo  # noqa: PLC0415 - brings pluggy, which watchers have loaded

            self._task_run_info = TaskRunInfo

    @property
    def info(self) -> FlowRunInfo:
        """What watchers are told about the run; made when the first one asks."""
        if self._info is None:
            self._info = self._make_info()
        return self._info

    def concern(self, run: TaskRun) -> bool:
        """Tell whether anybody wants to know what ``run`` does."""
        return self._watched or bool(run.node.task.state_handlers)

    def enter(self, run: TaskRun, new: State) -> State:
        """Let ``run`` enter ``new``; return the state that its handlers make of it."""
        old = run.state
        task = run.node.task
        if task.state_handlers and new is not old:
            new = call_handlers(task, task.state_handlers, old, new)
        if self._watched and new is not old:
            task_run = _task_run_info(self._task_run_info, run)
            for watcher in self._task_watchers:
                watcher.task_state_changed(self.info, task_run, old, new)
        run.state = new
        return new

    def enter_flow(self, old: State, new: State) -> State:
        """Let the flow run enter ``new``; return the state that its handlers make of it."""
        if self._flow.state_handlers:
            new = call_handlers(self._flow, self._flow.state_handlers, old, new)
        for watcher in self._flow_watchers:
            watcher.flow_state_changed(self.info, old, new)
        return new

    def report_failure(self, run: TaskRun, state: State) -> None:
        """Log that a task failed; with a traceback, unless the error is one of headrace's own, which says enough."""
        error = state._result if isinstance(state._result, BaseException) else None
        detail = None if isinstance(error, HeadraceError) else error
        _logger_of(run).error("Task %r failed: %s", run.name, state.message, exc_info=detail)

    def report_retry(self, run: TaskRun, state: State, retrying: State) -> None:
        """Log that an attempt failed and what comes next."""
        _logger_of(run).warning("Task %r: %s: %s", run.name, retrying.message, state.message)


def _logger_of(run: TaskRun) -> Logger:
    from headrace.log import get_logger  # noqa: PLC0415 - a run in which nothing fails does not pay for logging

    return get_logger(run.name)


def call_handlers(
    tracked: Any, handlers: Sequence[Callable[[Any, State, State], State | None]], old: State, new: State
) -> State:
    """Call ``handlers`` in order; each may return a state, which the next one gets as the new one.

    A signal's state is adopted and ends the round. Any other exception makes the new state Failed, without a retry.
    """
    for handler in handlers:
        try:
            replaced = handler(tracked, old, new)
            if replaced is not None and not _may_follow(replaced, new):
                raise TypeError(f"{replaced!r} cannot take the place of {new!r}")  # noqa: TRY301
        except Signal as signal:
            return signal.state
        except Exception as error:  # noqa: BLE001 - a user's handler may raise anything
            name = getattr(handler, "__name__", repr(handler))
            reason = StateHandlerError(f"State handler {name} raised {describe(error)}")
            reason.__cause__ = error
            failed = Failed(mask(str(reason)), reason)
            failed.started = new.started
            return failed
        if replaced is not None:
            new = replaced
    return new


def _may_follow(replaced: object, new: State) -> bool:
    """Tell whether a run can end in ``replaced``, wait in it, or go on running in it."""
    goes_on = isinstance(replaced, Running) and not new.is_finished()
    return goes_on or isinstance(replaced, Finished | Scheduled)


def _task_run_info(make: type[TaskRunInfo], run: TaskRun) -> TaskRunInfo:
    node = run.node
    return make(
        task_name=node.task.name,
        task_slug=node.slug,
        map_index=None if run.map_index < 0 else run.map_index,
        attempt=run.attempt,
        tags=frozenset(node.task.tags),
        child_count=getattr(run, "length", None) if node.mapped and run.map_index < 0 else None,
    )
