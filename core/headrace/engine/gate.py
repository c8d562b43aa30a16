"""What stands between a task whose upstream tasks have finished and its execution: skips, triggers, mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.exceptions import MappingError, TriggerFailedError, describe
from headrace.masking import mask
from headrace.run_context import ValuesFrame, current_frame
from headrace.signals import Signal
from headrace.states import Failed, Running, Skipped, State, Success, TriggerFailed
from headrace.value_paths import callable_name, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.engine.task_runs import MappedRun, TaskRun

__all__ = ["judge", "judge_mapped"]

_SKIPPED = "An upstream task was skipped; to run all the same, set skip_on_upstream_skip=False."


def judge(run: TaskRun, runs: Sequence[TaskRun], parameters: Mapping[str, Any]) -> State | None:
    """Return the state ``run`` is to enter without being executed, or None if it is to be executed."""
    node = run.node
    if run.brought:
        # What was brought along is taken as it is, once: a state to wait in is not entered twice.
        run.brought = run.state._finished
        return run.state
    if node.resolve is not None:
        return Success("Known without running.", node.resolve(parameters))
    if run.skipped and node.task.skip_on_upstream_skip:
        return Skipped(_SKIPPED)
    if not node.default_trigger:
        return _pull_trigger(run, runs)
    if run.unsuccessful:
        return TriggerFailed("Trigger failed: not all upstream tasks were successful.", _refusal(run))
    return None


def _refusal(run: TaskRun) -> TriggerFailedError:
    return TriggerFailedError(f"The trigger of task {run.node.task.name!r} did not accept its upstream states.")


def _called(run: TaskRun) -> str:
    return f"trigger {callable_name(run.node.task.trigger)!r} of task {run.name!r}"


def _pull_trigger(run: TaskRun, runs: Sequence[TaskRun]) -> State | None:
    """Ask the task's own trigger, which is a user's code and may do anything."""
    trigger = run.node.task.trigger
    token = current_frame.set(ValuesFrame({"resume": run.resumed}, current_frame.get()))
    try:
        answer: object = trigger(run.upstream_states(runs))
        if answer:
            return None
    except Signal as signal:
        if signal.state.is_failed() and signal.state._result is None:
            signal.state._result = _refusal(run)
        return signal.state
    except Exception as error:  # noqa: BLE001 - whatever a trigger raises fails its task, not the run
        return TriggerFailed(mask(f"The {_called(run)} raised {describe(error)}"), error)
    finally:
        current_frame.reset(token)
    found = "False" if answer is False else f"{_falsy(answer)}, and a trigger returns True or False"
    return TriggerFailed(f"Trigger failed: the {_called(run)} returned {found}.", _refusal(run))


def _falsy(answer: object) -> str:
    return "None" if answer is None else f"a {type_name(type(answer))} that counts as False"


def judge_mapped(run: MappedRun, runs: Sequence[TaskRun]) -> State:
    """Return Running if ``run`` can be expanded, or the finished state it ends in as a whole.

    The trigger of a mapped task is asked for each child, not here.
    """
    if run.skipped and run.node.task.skip_on_upstream_skip:
        return Skipped(_SKIPPED)
    try:
        length = run.collect(runs)
    except Signal as signal:
        return signal.state
    except MappingError as error:
        return Failed(str(error), error)
    except Exception as error:  # noqa: BLE001 - iterating over what an upstream task returned is user code
        return Failed(f"Iterating over what to map raised {describe(error)}", error)
    return Running(f"Mapped over {length} elements.")
