"""What travels to an executor: one call of one task, and what came of it.

This module knows neither plugins nor the driver, so a worker process stays small.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import TaskTimeoutError, describe
from headrace.masking import mask
from headrace.run_context import MISSING, context, current_frame
from headrace.signals import Signal
from headrace.states import Cancelled, Crashed, Failed, Pending, State, Success, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.results import ResultKeeper
    from headrace.run_context import Frame
    from headrace.states import Looped
    from headrace.tasks import Task

__all__ = ["NOT_BEGUN", "Outcome", "Work", "state_of"]

NOT_BEGUN: Final = Pending("It has not begun.")
"""What is delivered of work in a chain that is not going to begin."""

_now = time.time
_SUCCEEDED = "Task run succeeded."


class Outcome:
    """What came of one piece of work: ``key`` says which, ``state`` is what the task run ends in."""

    __slots__ = ("key", "state")

    def __init__(self, key: int, state: State) -> None:
        self.key = key
        self.state = state


class Work:
    """One call of one task. Calling it runs the task here and returns an `Outcome`; it never raises.

    While the task runs, the work is the innermost layer of `headrace.context`.
    """

    __slots__ = ("arguments", "attempt", "keeper", "key", "loop", "map_index", "parent", "resumed", "slug", "task")

    def __init__(
        self,
        key: int,
        task: Task,
        slug: str,
        arguments: dict[str, Any],
        map_index: int,
        attempt: int,
        loop: Looped | None,
        resumed: bool,
        parent: Frame | None,
        keeper: ResultKeeper | None,
    ) -> None:
        self.key = key
        self.task = task
        self.slug = slug
        self.arguments = arguments
        self.map_index = map_index
        self.attempt = attempt
        self.loop = loop
        self.resumed = resumed
        self.parent = parent
        self.keeper = keeper

    def __call__(self) -> Outcome:
        token = current_frame.set(self)
        started = _now()
        try:
            task = self.task
            plain = task.timeout is None and not task.log_stdout
            value = task.run(**self.arguments) if plain else self._run_guarded()
            state: State = Success(_SUCCEEDED, value)
        except BaseException as error:  # noqa: BLE001 - the worker boundary: whatever a task raises becomes its state
            state = state_of(error)
        finally:
            current_frame.reset(token)
        if self.keeper is not None and state._successful and not state._skipped:
            state = self._kept(self.keeper, state)
        state.started = started
        return Outcome(self.key, state)

    def _kept(self, keeper: ResultKeeper, state: State) -> State:
        try:
            state.location = keeper.keep(self, state.result)
        except BaseException as error:  # noqa: BLE001 - as above: a result that cannot be stored fails its task
            return state_of(error)
        return state

    def failed(self, error: BaseException) -> Outcome:
        """Return the outcome for work that its executor could not run to the end."""
        return Outcome(self.key, Crashed(f"The executor lost this task: {describe(error)}", error))

    def cancelled(self) -> Outcome:
        """Return the outcome for work that was given up before it began."""
        return Outcome(self.key, Cancelled("The run was cancelled before this task began."))

    def not_begun(self) -> Outcome:
        """Return the outcome for work in a chain that has not begun, and is to be submitted by itself."""
        return Outcome(self.key, NOT_BEGUN)

    @property
    def name(self) -> str:
        """The task's name, with the map index of a child in brackets."""
        return self.task.name if self.map_index < 0 else f"{self.task.name}[{self.map_index}]"

    def _run_guarded(self) -> Any:
        """Run under what the task asked for: capture of prints, a timeout, or both."""
        if not self.task.log_stdout:
            return self._run_in_time()
        from headrace.log import capture_stdout, get_logger  # noqa: PLC0415 - only for tasks that ask for it

        with capture_stdout(get_logger(self.name)):
            return self._run_in_time()

    def _run_in_time(self) -> Any:
        if self.task.timeout is None:
            return self.task.run(**self.arguments)
        from headrace.engine.timeouts import call_in_time  # noqa: PLC0415 - only for tasks that ask for it

        return call_in_time(self.task.run, self.arguments, self.task.timeout, self.name)

    # -- a layer of the context ----------------------------------------------------------------------------------

    def lookup(self, key: str) -> Any:
        """Return what `headrace.context` shows under ``key``, or `MISSING`."""
        read = _LOOKUPS.get(key)
        return MISSING if read is None else read(self)

    def keys(self) -> set[str]:
        """Return the names this layer knows."""
        return set(_LOOKUPS)

    def _run_id(self) -> str:
        """Return what names this task run for ever: the same for every attempt, and for a resumed run."""
        run = None if self.parent is None else self.parent.lookup("flow_run_id")
        return f"{run}/{self.slug}" if self.map_index < 0 else f"{run}/{self.slug}/{self.map_index}"

    def _run_name(self) -> Any:
        template = self.task.task_run_name
        if template is None:
            return self.name
        parameters = context.get("parameters") or {}
        if callable(template):
            own = {key: context.get(key) for key in _LOOKUPS if key != "task_run_name"}
            return mask(template(**{**parameters, **own, **self.all_arguments()}))
        from headrace.templates import run_name_from  # noqa: PLC0415 - few tasks have a name to fill in

        return mask(run_name_from(self.task.name, template, self.all_arguments()))

    def all_arguments(self) -> dict[str, Any]:
        """Return what the task runs with, default values included."""
        return {**self.task.signature_of_run.defaults, **self.arguments}


_LOOKUPS: Final[Mapping[str, Callable[[Work], Any]]] = {
    "map_index": lambda work: None if work.map_index < 0 else work.map_index,
    "resume": lambda work: work.resumed,
    "task_full_name": lambda work: work.name,
    "task_id": lambda work: work.slug,
    "task_loop_count": lambda work: MISSING if work.loop is None else work.loop.loop_count + 1,
    "task_loop_result": lambda work: MISSING if work.loop is None else work.loop.result,
    "task_name": lambda work: work.task.name,
    "task_run_count": lambda work: work.attempt,
    "task_run_id": lambda work: work._run_id(),
    "task_run_name": lambda work: work._run_name(),
    "task_slug": lambda work: work.slug,
    "task_tags": lambda work: set(work.task.tags),
}


def state_of(error: BaseException) -> State:
    """Return the state that an exception out of a task means."""
    if isinstance(error, Signal):
        if error.state.message is not None:
            error.state.message = mask(error.state.message)
        return error.state
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("Interrupted.", error)
    error = error.with_traceback(_own_frames(error))
    text = mask(describe(error))
    return TimedOut(text, error) if isinstance(error, TaskTimeoutError) else Failed(text, error)


def _own_frames(error: BaseException) -> Any:
    """Drop the frames of this module: what is left of the traceback begins in the task."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__ and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback
