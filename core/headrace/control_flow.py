"""Branches: tasks that run only if a value says so, and the task that joins the branches again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace import signals
from headrace.exceptions import DefinitionTypeError, FlowDefinitionError
from headrace.run_context import Build, building
from headrace.tasks import Task
from headrace.triggers import all_finished, not_all_skipped
from headrace.values import as_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from headrace.flows import Flow

__all__ = ["CompareValue", "FilterTask", "Merge", "case", "ifelse", "merge", "switch"]


class CompareValue(Task):
    """Skips what follows unless the value it gets equals ``value``."""

    def __init__(self, value: Any, **task_args: Any) -> None:
        self.value = value
        super().__init__(**task_args)

    def run(self, value: Any) -> None:
        if value != self.value:
            raise signals.SKIP(f"{value!r} is not {self.value!r}.")


class _AsBool(Task):
    """The truth of a value."""

    auto_generated = True

    def run(self, value: Any) -> bool:
        return bool(value)


class Merge(Task):
    """Returns the first result that is not None, in the order the branches were given."""

    def __init__(self, **task_args: Any) -> None:
        task_args.setdefault("skip_on_upstream_skip", False)
        task_args.setdefault("trigger", not_all_skipped)
        super().__init__(**task_args)

    def run(self, **task_results: Any) -> Any:
        ordered = sorted(task_results, key=lambda key: int(key.removeprefix("task_")))
        return next((task_results[key] for key in ordered if task_results[key] is not None), None)


class FilterTask(Task):
    """Keeps the elements of a list for which ``filter_func`` is true; by default drops None and exceptions."""

    def __init__(
        self,
        filter_func: Callable[[Any], bool] | None = None,
        log_func: Callable[[Any], str] | None = None,
        **task_args: Any,
    ) -> None:
        self.filter_func = filter_func or _is_a_value
        self.log_func = log_func
        task_args.setdefault("skip_on_upstream_skip", False)
        task_args.setdefault("trigger", all_finished)
        super().__init__(**task_args)

    def run(self, task_results: list[Any]) -> list[Any]:
        kept = [result for result in task_results if self.filter_func(result)]
        if self.log_func is not None and len(kept) < len(task_results):
            dropped = [result for result in task_results if not self.filter_func(result)]
            self.logger.info(self.log_func(dropped))
        return kept


def _is_a_value(result: Any) -> bool:
    return result is not None and not isinstance(result, BaseException)


def switch(condition: Task, cases: Mapping[Any, Task], mapped: bool = False) -> None:
    """Run the task of the case that the result of ``condition`` equals and skip the others."""
    for value, target in cases.items():
        compare = CompareValue(value, name=f"CompareValue: {value!r}", tags=["switch"])
        compare.bind(value=condition, mapped=mapped)
        target.set_upstream(compare, mapped=mapped)


def ifelse(condition: Task, true_task: Task | None, false_task: Task | None, mapped: bool = False) -> None:
    """Run ``true_task`` if the result of ``condition`` is true, else ``false_task``; either may be None."""
    truth = _AsBool(name="as_bool").bind(value=condition, mapped=mapped)
    branches = {True: true_task, False: false_task}
    switch(truth, {value: branch for value, branch in branches.items() if branch is not None}, mapped=mapped)


def merge(*tasks: object, flow: Flow | None = None, mapped: bool = False, **task_args: Any) -> Task:
    """Join branches of which at most one ran: the result of the first that returned something other than None.

    If every task among them was skipped the join is skipped too; plain values are no branches that ran.
    """
    arguments: dict[str, Any] = {f"task_{i}": task for i, task in enumerate(tasks, start=1)}
    return Merge(**task_args).bind(**arguments, flow=flow, mapped=mapped)


class case:  # noqa: N801 - reads as a word at the call site
    """A ``with`` block whose tasks run only if the result of ``task`` equals ``value``."""

    def __init__(self, task: Task, value: Any) -> None:
        if isinstance(value, Task):
            raise DefinitionTypeError(f"`case` compares with a plain value, and got {value!r}.")
        self._task = task
        self._value = value
        self._members: dict[Task, None] = {}
        self._token: Token[Build] | None = None

    def add_task(self, task: Task, flow: Flow) -> None:
        """Take note of a task made inside the block."""
        if flow is not building.get().flow:
            raise FlowDefinitionError("A `case` block holds tasks of one flow.")
        self._members[task] = None

    def __enter__(self) -> Self:
        outer = building.get()
        self._token = building.set(Build(outer.flow, outer.tags, self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        building.reset(self._token)
        flow = building.get().flow
        if error is not None or not self._members or flow is None:
            return
        first = [task for task in self._members if not flow.upstream_tasks(task) & self._members.keys()]
        compare = CompareValue(self._value, name=f"case({self._value!r})").bind(value=as_task(self._task))
        for task in first:
            task.set_upstream(compare)
