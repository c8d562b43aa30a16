"""A flow as a task of another flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.exceptions import DefinitionTypeError, FlowDefinitionError, SubflowFailedError
from headrace.signatures import RunSignature
from headrace.states import TriggerFailed
from headrace.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headrace.abc import Executor
    from headrace.flows import Flow
    from headrace.states import State

__all__ = ["FlowTask"]


class FlowTask(Task):
    """Runs ``flow`` as one task, with a run of its own inside the run it is part of.

    The arguments of the task are the parameters of the flow as they are when the task is made. The result is that of
    ``result``: a task of the flow, or several, which give a dictionary by slug. By default these are the flow's
    reference tasks, and a single one gives its result as it is.

    A subflow that fails raises SubflowFailedError, which names the tasks that failed. It runs on the flow's own
    executor, or ``local``, in the thread of the task; ``executor`` overrides it.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        result: Task | Iterable[Task] | None = None,
        executor: str | Executor | None = None,
        **task_args: Any,
    ) -> None:
        self.flow = flow
        self.executor = executor
        self.results = _chosen(flow, result)
        self.single = isinstance(result, Task) or (result is None and len(self.results) == 1)
        self._signature_of_run = RunSignature.of_parameters(f"Flow {flow.name!r}", flow.parameters())
        super().__init__(**{"name": flow.name, **task_args})

    def run(self, **parameters: Any) -> Any:
        state = self.flow.run(
            parameters,
            executor=self.executor or self.flow.executor or "local",
            run_on_schedule=False,
            keep_results="all",
        )
        if not state.is_successful():
            raise SubflowFailedError(self.flow.name, type(state).__name__, _failures(state))
        found = {self.flow.slugs[task]: state.result[task].result for task in self.results}
        return next(iter(found.values())) if self.single else found


def _chosen(flow: Flow, result: Task | Iterable[Task] | None) -> tuple[Task, ...]:
    if result is None:
        reference = flow.reference_tasks()
        return tuple(task for task in flow.tasks if task in reference)
    tasks = (result,) if isinstance(result, Task) else tuple(result)
    for task in tasks:
        if not isinstance(task, Task):
            raise DefinitionTypeError(f"The result of a subflow is a task of it, and got {task!r}.")
        if task not in flow.tasks:
            raise FlowDefinitionError(f"{task!r} is not in flow {flow.name!r}, so it cannot be its result.")
    return tasks


def _failures(state: State) -> Iterator[str]:
    for task, end in state.result.items():
        for child in end.map_states if end.is_mapped() else (end,):
            # Those that did not run because of others have nothing to add.
            if child.is_failed() and not isinstance(child, TriggerFailed):
                yield f"{task.name!r}: {child.message}"
