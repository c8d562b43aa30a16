"""What a run starts from: the states of an earlier one, as far as they still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.exceptions import DefinitionTypeError
from headrace.references import ReleasedValue
from headrace.states import Mapped, Paused, Resume, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.engine.plan import Node, Plan
    from headrace.tasks import Task

__all__ = ["brought_states", "gone_on", "withhold_cached"]


def gone_on(earlier: object, given: State) -> State:
    """Return what a task that ended in ``earlier`` starts from where a run says ``given``.

    To resume a map is to resume those of its children that are paused.
    """
    if not (isinstance(given, Resume) and isinstance(earlier, Mapped)):
        return given
    children: list[State | None] = [given if isinstance(child, Paused) else child for child in earlier.map_states]
    return Mapped(earlier.message, map_states=children)


def brought_states(flow_name: str, plan: Plan, task_states: Mapping[Task, State]) -> dict[int, State]:
    """Return by node what ``task_states`` says, without what has to be made anew; raise DefinitionTypeError.

    Made anew are values that must not outlive their run, and resources that somebody still needs and that were cleaned
    up or belong to a process that is gone.
    """
    found: dict[int, State] = {}
    for task, state in task_states.items():
        if task not in plan.index:
            raise DefinitionTypeError(f"`task_states` names {task!r}, which is not in flow {flow_name!r}.")
        if not isinstance(state, State):
            raise DefinitionTypeError(f"`task_states` gives task {task.name!r} {state!r}, which is no state.")
        if not (task.ephemeral and state.is_finished()):
            found[plan.index[task]] = state
    if found:
        for node in plan.nodes:
            if node.task.cleans_up:
                _drop_lost_resource(plan, node, found)
    return found


def _drop_lost_resource(plan: Plan, cleanup: Node, found: dict[int, State]) -> None:
    """Set up again what ``cleanup`` is for, unless all who use it are finished."""
    housekeeping = {i for i in cleanup.sources if plan.nodes[i].task.housekeeping}
    if all(_is_finished(found.get(i)) for i in cleanup.sources if i not in housekeeping):
        return
    lost = {i for i in housekeeping if i in found and isinstance(found[i]._result, ReleasedValue)}
    if _is_finished(found.pop(cleanup.index, None)):
        lost |= {source for key, source in cleanup.inputs if key == "resource"}
    for i in lost:
        found.pop(i, None)


def _is_finished(state: State | None) -> bool:
    return state is not None and state._finished


def withhold_cached(plan: Plan, brought: dict[int, State]) -> dict[int, State]:
    """Take Cached states that a validator has to look at first out of ``brought``, and return them."""
    asked = {node.index for node in plan.nodes_with_storage if node.task.storage and node.task.storage.is_cached}
    return {index: brought.pop(index) for index in asked & brought.keys() if brought[index].is_cached()}
