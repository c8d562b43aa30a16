"""The loop of a flow with a schedule: wait for the next event, run, and so on until the schedule ends."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from headrace.exceptions import MissingParameterError, ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.clock import Clock
    from headrace.flows import Flow
    from headrace.parameters import Parameter
    from headrace.schedules.events import ClockEvent
    from headrace.schedules.schedule import Schedule
    from headrace.states import State

__all__ = ["run_on_schedule"]


def run_on_schedule(
    flow: Flow,
    schedule: Schedule,
    clock: Clock,
    parameters: Sequence[Parameter],
    given: Mapping[str, Any],
    run: Callable[[ClockEvent, dict[str, Any]], State],
) -> State:
    """Call ``run(event, values)`` at each event of ``schedule``; return the state of the last run.

    The values a clock brings along give way to those in ``given``. Events that pass while a run goes on are left out.
    Raises ScheduleError if there is no event at all, MissingParameterError if some clock does not bring along what is
    required and not given.
    """
    _check_parameters(flow, schedule, parameters, given)
    state: State | None = None
    last: int | None = None
    for event in schedule.events(_moment(clock.now())):
        # Two clocks may agree on a moment, and both of their events count.
        if last is not None and event.instant != last and event.instant / 1e6 < clock.now():
            continue
        last = event.instant
        _wait_until(clock, event.instant / 1e6)
        state = run(event, {**event.parameter_defaults, **given})
    if state is None:
        raise ScheduleError(f"The schedule of flow {flow.name!r} has no more events.")
    return state


def _check_parameters(
    flow: Flow, schedule: Schedule, parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> None:
    required = [parameter.name for parameter in parameters if parameter.required and parameter.name not in given]
    for clock in schedule.clocks:
        missing = [name for name in required if name not in clock.parameter_defaults]
        if missing:
            raise MissingParameterError(flow.name, missing)


def _moment(seconds: float) -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415 - only for flows with a schedule

    return datetime.fromtimestamp(seconds, UTC)


def _wait_until(clock: Clock, moment: float) -> None:
    nothing: SimpleQueue[None] = SimpleQueue()
    while (left := moment - clock.now()) > 0:
        # In slices, so that a machine that slept, or a clock that was set, is noticed.
        clock.wait(nothing, min(left, 60.0))
