"""What goes wrong on Ray's side, in headrace's words."""

from __future__ import annotations

from ray import exceptions

from headrace.exceptions import ExecutorError, HeadraceError, WorkerCrashedError, describe

__all__ = ["inner", "is_cancellation", "is_of_one_process", "lost_object", "own_error", "translated"]


def is_cancellation(error: BaseException) -> bool:
    """Tell whether a Ray task ended because it was cancelled."""
    return isinstance(error, exceptions.TaskCancelledError)


def is_of_one_process(error: BaseException) -> bool:
    """Tell whether a worker process ended, and nothing else did: its node is there to be asked about it."""
    return isinstance(inner(error), exceptions.WorkerCrashedError | exceptions.OutOfMemoryError)


def lost_object(error: BaseException) -> str | None:
    """Return the id of the object that is gone, if that is what the error is about."""
    found = inner(error)
    return found.object_ref_hex if isinstance(found, exceptions.ObjectLostError) else None


def own_error(error: BaseException) -> HeadraceError | None:
    """Return what headrace itself said about a task in the worker, if that is what the error is."""
    found = inner(error)
    return found if isinstance(found, HeadraceError) else None


def translated(error: BaseException, name: str) -> HeadraceError:
    """Return the error that says why the task called ``name`` was not run to the end."""
    found = inner(error)
    if isinstance(found, exceptions.OutOfMemoryError):
        return WorkerCrashedError(
            f"Ray killed the worker that ran task {name!r}, since its node ran out of memory: {_first_line(found)}",
            hint="Let fewer tasks run beside it: `tags=['ray-resource:memory=...']`, with the bytes it needs.",
        )
    if isinstance(found, exceptions.NodeDiedError | exceptions.LocalRayletDiedError):
        return WorkerCrashedError(f"The node that ran task {name!r} died: {_first_line(found)}")
    if isinstance(found, exceptions.WorkerCrashedError):
        return WorkerCrashedError(
            f"The Ray worker that ran task {name!r} died.",
            hint="Its last words are in the logs of the Ray session, by default below /tmp/ray/session_latest/logs.",
        )
    if isinstance(found, exceptions.RuntimeEnvSetupError):
        return ExecutorError(f"The runtime environment for task {name!r} could not be made: {found}")
    return ExecutorError(f"Ray could not run task {name!r}: {describe(found)}")


def inner(error: BaseException) -> BaseException:
    """Return what was raised in the worker, if that is what went wrong."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(error, exceptions.RayTaskError) and isinstance(cause, BaseException) else error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
