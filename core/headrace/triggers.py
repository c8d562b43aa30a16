"""Triggers decide, from the states of its upstream tasks, whether a task runs.

A trigger is a callable that gets ``{Edge: State}`` and returns whether to run. Returning False, or raising an
exception, ends the task as TriggerFailed; raising a signal ends it in the signal's state. A mapped upstream task
counts with each of its children. Values that are not tasks have no vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace import signals
from headrace.exceptions import TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.states import State

__all__ = [
    "Trigger",
    "all_failed",
    "all_finished",
    "all_successful",
    "always_run",
    "any_failed",
    "any_successful",
    "manual_only",
    "not_all_skipped",
    "some_failed",
    "some_successful",
]

UpstreamStates: TypeAlias = "Mapping[Any, State]"
Trigger: TypeAlias = "Callable[[UpstreamStates], bool]"


def _expand(upstream_states: UpstreamStates) -> Iterator[State]:
    for state in upstream_states.values():
        if state.is_mapped():
            yield from state.map_states  # type: ignore[attr-defined]
        else:
            yield state


def _require(passed: bool, found: str) -> bool:
    if not passed:
        raise signals.TRIGGERFAIL(f"Trigger failed: {found}.")
    return True


def all_successful(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream state is successful; Skipped counts as successful."""
    return _require(all(s.is_successful() for s in _expand(upstream_states)), "not all upstream tasks were successful")


def all_failed(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream state is failed."""
    return _require(all(s.is_failed() for s in _expand(upstream_states)), "not all upstream tasks failed")


def any_successful(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream state is successful, or there are no upstream tasks."""
    passed = not upstream_states or any(s.is_successful() for s in _expand(upstream_states))
    return _require(passed, "no upstream task was successful")


def any_failed(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream state is failed, or there are no upstream tasks."""
    passed = not upstream_states or any(s.is_failed() for s in _expand(upstream_states))
    return _require(passed, "no upstream task failed")


def all_finished(upstream_states: UpstreamStates) -> bool:
    """Run once every upstream task is finished, however it ended."""
    return _require(all(s.is_finished() for s in _expand(upstream_states)), "not all upstream tasks are finished")


always_run = all_finished


def manual_only(upstream_states: UpstreamStates) -> bool:
    """Pause until a person resumes the task."""
    from headrace.run_context import context  # noqa: PLC0415 - triggers are vocabulary, below the context

    del upstream_states
    if context.get("resume"):
        return True
    raise signals.PAUSE("This task runs when somebody resumes it.")


def not_all_skipped(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream state is successful and not all of them are skipped; skip if all are."""
    states = list(_expand(upstream_states))
    if all(s.is_skipped() for s in states):
        raise signals.SKIP("All upstream tasks were skipped.")
    return _require(all(s.is_successful() for s in states), "not all upstream tasks were successful")


def some_failed(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that counts failed upstream states; a bound below 1 is a share of all, from 1 on a number."""
    return _Threshold("failed", at_least, at_most)


def some_successful(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that counts successful upstream states; a bound below 1 is a share of all, from 1 on a number."""
    return _Threshold("successful", at_least, at_most)


# A dataclass, so that `Flow.serialize` can write it.
@dataclass(frozen=True, slots=True)
class _Threshold:
    """Passes if the number of states that are as ``word`` says lies within the bounds."""

    word: Literal["failed", "successful"]
    at_least: float | None
    at_most: float | None

    def __post_init__(self) -> None:
        for bound in (self.at_least, self.at_most):
            if bound is not None and bound < 0:
                raise TaskDefinitionError(f"some_{self.word} got the bound {bound}; it cannot be negative.")

    def __repr__(self) -> str:
        return f"some_{self.word}(at_least={self.at_least}, at_most={self.at_most})"

    def __call__(self, upstream_states: UpstreamStates) -> bool:
        states = list(_expand(upstream_states))
        if not upstream_states:
            return True
        count = sum(s.is_failed() if self.word == "failed" else s.is_successful() for s in states)
        low = _absolute(self.at_least, len(states), 0)
        high = _absolute(self.at_most, len(states), len(states))
        found = f"{count} of {len(states)} upstream tasks are {self.word}, expected {low:g} to {high:g}"
        return _require(low <= count <= high, found)


def _absolute(bound: float | None, total: int, default: int) -> float:
    if bound is None:
        return default
    return bound * total if 0 < bound < 1 else bound
