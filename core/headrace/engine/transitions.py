"""What happens when a run changes state: state handlers first, then whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from headrace.exceptions import HeadraceError, StateHandlerError, describe
from headrace.masking import mask
from headrace.signals import Signal
from headrace.states import Failed, Finished, Running, Scheduled, State
from headrace.value_paths import callable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from headrace.engine.task_runs import TaskRun
    from headrace.flows import Flow
    from headrace.log import Logger
    from headrace.plugins import FlowRunInfo, TaskRunInfo
    from headrace.tasks import Task

__all__ = ["Transitions", "Watcher", "ask_handler", "call_handlers"]


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
            new = self._reported(call_handlers(self._flow, self._flow.state_handlers, old, new), new)
        for watcher in self._flow_watchers:
            watcher.flow_state_changed(self.info, old, new)
        return new

    def end_flow(self, old: State, new: State, reference: Mapping[Task, State]) -> State:
        """Let the flow run end in ``new``, or in what its terminal state handler and its handlers make of it."""
        handler = self._flow.terminal_state_handler
        if handler is not None:
            ended, _ = ask_handler("Terminal state handler", handler, self._flow, new, new, reference)
            ended.started = new.started
            new = self._reported(ended, new)
        return self.enter_flow(old, new)

    def _reported(self, state: State, before: State) -> State:
        """Return ``state``, having logged why if a handler made it a failure by a mistake."""
        if state is not before and isinstance(state._result, StateHandlerError):
            logger = _logger_called(self._flow.name)
            logger.error("Flow %r failed: %s", self._flow.name, state.message, exc_info=_detail(state._result))
        return state

    def report_failure(self, run: TaskRun, state: State) -> None:
        """Log that a task failed; with a traceback, unless the error is one of headrace's own, which says enough."""
        with _speaking_of(run):
            logger = _logger_called(run.name)
            logger.error("Task %r failed: %s", run.name, state.message, exc_info=_detail(state._result))

    def report_retry(self, run: TaskRun, state: State, retrying: State) -> None:
        """Log that an attempt failed and what comes next."""
        with _speaking_of(run):
            _logger_called(run.name).warning("Task %r: %s: %s", run.name, retrying.message, state.message)


def _detail(result: object) -> BaseException | None:
    """Return the error whose traceback helps: one of headrace's own says enough, but for what a handler raised."""
    if isinstance(result, StateHandlerError):
        return result.__cause__
    return result if isinstance(result, BaseException) and not isinstance(result, HeadraceError) else None


def _speaking_of(run: TaskRun) -> AbstractContextManager[None]:
    """Let what the driver logs count as said by a task run."""
    from headrace.whereabouts import Place, places, speaking_of  # noqa: PLC0415 - as below

    return speaking_of(*(Place(place.run_id, run.node.slug, run.map_index, run.attempt) for place in places()[:1]))


def _logger_called(name: str) -> Logger:
    from headrace.log import get_logger  # noqa: PLC0415 - a run in which nothing fails does not pay for logging

    return get_logger(name)


def call_handlers(
    tracked: Any, handlers: Sequence[Callable[[Any, State, State], State | None]], old: State, new: State
) -> State:
    """Call ``handlers`` in order; each may return a state, which the next one gets as the new one.

    A signal's state is adopted and ends the round. Any other exception makes the new state Failed, without a retry.
    """
    for handler in handlers:
        new, ends_round = ask_handler("State handler", handler, tracked, new, old, new)
        if ends_round:
            break
    return new


def ask_handler(
    kind: str, handler: Callable[..., State | None], tracked: Any, new: State, *arguments: object
) -> tuple[State, bool]:
    """Call one handler with ``tracked`` and ``arguments``; return what becomes of ``new``, and whether that is final.

    ``kind`` is what messages call the handler.
    """
    try:
        replaced = handler(tracked, *arguments)
    except Signal as signal:
        return signal.state, True
    except Exception as error:  # noqa: BLE001 - a user's handler may raise anything
        return _handler_failure(kind, handler, tracked, new, f"raised {describe(error)}", error), True
    if replaced is None:
        return new, False
    if not _may_follow(replaced, new):
        return _handler_failure(kind, handler, tracked, new, f"returned {replaced!r}."), True
    return replaced, False


def _handler_failure(
    kind: str, handler: object, tracked: Any, new: State, did: str, error: Exception | None = None
) -> State:
    owner = "flow" if hasattr(tracked, "tasks") else "task"
    name = f"{kind} {callable_name(handler)!r} of {owner} {tracked.name!r}, told of {type(new).__name__},"
    hint = None if error else "Return a state to end or wait in, or None to keep the new one."
    reason = StateHandlerError(mask(f"{name} {did}"), hint=hint)
    reason.__cause__ = error
    failed = Failed(str(reason), reason)
    failed.started = new.started
    return failed


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
