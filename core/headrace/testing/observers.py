"""An observer for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.plugins import StateChange, hookimpl

if TYPE_CHECKING:
    from headrace.plugins import FlowRunInfo, TaskRunInfo
    from headrace.states import State

__all__ = ["RecordingObserver"]


class RecordingObserver:
    """A plugin that takes down every change of state of the runs of its engine, in order, in ``changes``."""

    def __init__(self) -> None:
        self.changes: list[StateChange] = []

    def states(self, name: str | None = None) -> list[str]:
        """Return the names of the classes of states that were entered, by the task runs of that name or by flow runs.

        The name of a mapped child is that of its task with its index in brackets.
        """
        found = [change for change in self.changes if name == (change.task_run and change.task_run.name)]
        return [type(change.new).__name__ for change in found]

    @hookimpl
    def headrace_flow_state_changed(self, run: FlowRunInfo, old: State, new: State) -> None:
        """Take down what becomes of a flow run."""
        self.changes.append(StateChange(run=run, task_run=None, old=old, new=new))

    @hookimpl
    def headrace_task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
        """Take down what becomes of a task run."""
        self.changes.append(StateChange(run=run, task_run=task_run, old=old, new=new))
