"""Whether a failed run gets another attempt, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.exceptions import RemoteError, StateHandlerError, describe
from headrace.retries import delay_seconds
from headrace.states import Failed, Retrying, TriggerFailed
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from headrace.engine.task_runs import TaskRun
    from headrace.states import State

__all__ = ["retry_state"]


def retry_state(run: TaskRun, state: State, now: float) -> State | None:
    """Return the Retrying state that follows a failed ``state``, or None if this was the last attempt.

    ``now`` is in seconds since the epoch. A retry delay that raises ends the run as Failed with that error.
    """
    task = run.node.task
    if run.attempt > task.max_retries or isinstance(state, TriggerFailed):
        return None
    if isinstance(state._result, StateHandlerError) or (state._context and "final" in state._context):
        return None
    if task.retry_on is not None and not _is_one_of(state._result, task.retry_on):
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - only for runs that retry

    try:
        seconds = delay_seconds(task.retry_delay, run.attempt)
        start_time = datetime.fromtimestamp(now + seconds, UTC)
    except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
        return Failed(f"The retry delay of task {task.name!r} gave no moment: {describe(error)}", error)
    message = f"Attempt {run.attempt} of {task.max_retries + 1} failed, the next is in {seconds:g} s"
    retrying = Retrying(message, start_time=start_time, run_count=run.attempt)
    retrying.started = state.started
    return retrying


def _is_one_of(error: object, classes: Collection[type[BaseException]]) -> bool:
    """Tell whether ``error`` is of one of the classes, or stands for an exception of another process that is."""
    if isinstance(error, tuple(classes)):
        return True
    return isinstance(error, RemoteError) and not set(map(type_name, classes)).isdisjoint(error.class_names)
