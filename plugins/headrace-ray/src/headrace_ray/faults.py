"""What goes wrong on Ray's side, in headrace's words."""

from __future__ import annotations

from ray import exceptions

from headrace.exceptions import ExecutorError, HeadraceError, WorkerCrashedError, describe

__all__ = ["is_cancellation", "is_loss", "own_error", "translated"]


def is_cancellation(error: BaseException) -> bool:
    """Tell whether a Ray task ended because it was cancelled."""
    return isinstance(error, exceptions.TaskCancelledError)


def is_loss(error: BaseException) -> bool:
    """Tell whether an object that a Ray task needed is gone."""
    return isinstance(_inner(error), exceptions.ObjectLostError)


def own_error(error: BaseException) -> HeadraceError | None:
    """Return what headrace itself said about a task in the worker, if that is what the error is."""
    inner = _inner(error)
    return inner if isinstance(inner, HeadraceError) else None


def translated(error: BaseException, name: str) -> HeadraceError:
    """Return the error that says why the task called ``name`` was not run to the end."""
    inner = _inner(error)
    if isinstance(inner, exceptions.OutOfMemoryError):
        return WorkerCrashedError(
            f"Ray killed the worker that ran task {name!r}, since its node ran out of memory: {_first_line(inner)}",
            hint="Let fewer tasks run beside it: `tags=['ray-resource:memory=...']`, with the bytes it needs.",
        )
    if isinstance(inner, exceptions.NodeDiedError | exceptions.LocalRayletDiedError):
        return WorkerCrashedError(f"The node that ran task {name!r} died: {_first_line(inner)}")
    if isinstance(inner, exceptions.WorkerCrashedError | exceptions.ActorDiedError):
        return WorkerCrashedError(
            f"The Ray worker that ran task {name!r} died.",
            hint="Its last words are in the logs of the Ray session, by default below /tmp/ray/session_latest/logs.",
        )
    if isinstance(inner, exceptions.RuntimeEnvSetupError):
        return ExecutorError(f"The runtime environment for task {name!r} could not be made: {inner}")
    return ExecutorError(f"Ray could not run task {name!r}: {describe(inner)}")


def _inner(error: BaseException) -> BaseException:
    """Return what was raised in the worker."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(error, exceptions.RayTaskError) and isinstance(cause, BaseException) else error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
