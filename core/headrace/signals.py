"""Signals: what a task raises to end in a state of its choice.

``raise SKIP("no new rows")`` ends the task run as Skipped. Signals derive from ``BaseException``, so a task's own
``except Exception`` does not swallow them. ``result`` defaults to None: a signal never travels on as data.
"""

from __future__ import annotations

from typing import Any, ClassVar

from headrace import states
from headrace.exceptions import DefinitionTypeError

__all__ = [
    "ENDRUN",
    "FAIL",
    "LOOP",
    "PAUSE",
    "RETRY",
    "SKIP",
    "SUCCESS",
    "TRIGGERFAIL",
    "VALIDATIONFAIL",
    "Signal",
    "signal_from_state",
]


class Signal(BaseException):
    """Root of all signals; ``state`` is the state the raising run ends in."""

    state: states.State

    def __init__(self, message: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(message)
        self.state = self.state_class(message, *args, **kwargs)

    state_class: ClassVar[type[states.State]] = states.State

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.state)


class ENDRUN(Signal):
    """End the run at once in ``state``: no retry, no caching."""

    def __init__(self, state: states.State) -> None:
        if not isinstance(state, states.Finished | states.Scheduled):
            raise DefinitionTypeError(
                f"ENDRUN takes a state to end in, and got {state!r}.",
                hint="Raise `ENDRUN(Failed('why'))`, for example.",
            )
        BaseException.__init__(self, state.message)
        self.state = state
        state.context["final"] = True


class FAIL(Signal):
    """End as Failed; retries apply."""

    state_class = states.Failed


class TRIGGERFAIL(FAIL):
    """End as TriggerFailed; never retried."""

    state_class = states.TriggerFailed


class VALIDATIONFAIL(FAIL):
    """End as ValidationFailed."""

    state_class = states.ValidationFailed


class SUCCESS(Signal):
    """End as Success with ``result=``."""

    state_class = states.Success


class SKIP(Signal):
    """End as Skipped; downstream tasks are skipped too unless they say ``skip_on_upstream_skip=False``."""

    state_class = states.Skipped


class RETRY(Signal):
    """Run again, now or at ``start_time=``, whatever ``max_retries`` says."""

    state_class = states.Retrying


class PAUSE(Signal):
    """Wait for a person, or until ``start_time=``; then the whole task runs again."""

    state_class = states.Paused


class LOOP(Signal):
    """Run again at once with ``context.task_loop_result`` set to ``result=``."""

    state_class = states.Looped


def signal_from_state(state: states.State) -> type[Signal]:
    """Return the signal class that ends a run in a state of ``state``'s class; raise ValueError if there is none."""
    for signal in (FAIL, TRIGGERFAIL, VALIDATIONFAIL, SUCCESS, SKIP, RETRY, PAUSE, LOOP):
        if signal.state_class is type(state):
            return signal
    raise ValueError(f"No signal ends a run in state {type(state).__name__}.")


def _rebuild(cls: type[Signal], args: tuple[object, ...], state: states.State) -> Signal:
    signal = cls.__new__(cls, *args)
    signal.args = args
    signal.state = state
    return signal
