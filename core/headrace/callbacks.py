"""State handlers made of two functions: what to do, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.exceptions import DefinitionTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.flows import Flow
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["Callback", "callback_factory"]


@dataclass(frozen=True, slots=True)
class Callback:
    """A state handler of a task or a flow: calls ``fn(task_or_flow, new_state)`` if ``check(new_state)`` is true.

    It changes no state. As with any handler of a task, what either function raises fails the task.
    """

    fn: Callable[[Task | Flow, State], object]
    check: Callable[[State], object]

    def __post_init__(self) -> None:
        for name, function in (("fn", self.fn), ("check", self.check)):
            if not callable(function):
                raise DefinitionTypeError(f"`{name}` of a callback must be a function, and is {function!r}.")

    def __call__(self, tracked: Task | Flow, old_state: State, new_state: State) -> None:
        if self.check(new_state):
            self.fn(tracked, new_state)


def callback_factory(fn: Callable[[Task | Flow, State], object], check: Callable[[State], object]) -> Callback:
    """Return a state handler that calls ``fn(task_or_flow, new_state)`` whenever ``check(new_state)`` is true.

    Example:
        >>> from headrace import Task
        >>> tell = callback_factory(lambda task, state: print(task.name, "failed"), check=lambda s: s.is_failed())
        >>> Task(name="load", state_handlers=[tell])
        <Task: load>
    """
    return Callback(fn, check)
