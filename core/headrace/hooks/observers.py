"""Telling the observers of a run what happens, so that none of them can disturb it or each other."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from headrace.hooks import specs
from headrace.hooks.manager import OBSERVER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pluggy

    from headrace.hooks.registry import Registry
    from headrace.plugins import EngineInfo, FlowRunInfo, TaskRunInfo
    from headrace.states import State

__all__ = ["FAILURES_IN_A_ROW", "Observers"]

FAILURES_IN_A_ROW: Final = 5
"""So many exceptions, with no call between them that went well, and an observer is not called any more."""


class _Observer:
    """One plugin that observes, and how it behaved."""

    __slots__ = ("failures", "in_a_row", "name", "off")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.in_a_row = 0
        self.off = False


class _Call:
    """One implementation of a hook. ``picks`` says which of the hook's arguments it takes; None is all, in order."""

    __slots__ = ("function", "hook", "observer", "picks")

    def __init__(self, hook: str, implementation: pluggy.HookImpl, observer: _Observer) -> None:
        arguments = list(inspect.signature(getattr(specs, hook)).parameters)
        picks = tuple(map(arguments.index, implementation.argnames))
        self.hook = hook
        self.function = implementation.function
        self.observer = observer
        self.picks = None if picks == tuple(range(len(arguments))) else picks


class Observers:
    """Calls the observer hooks of the plugins that one registry has loaded.

    An ``Exception`` of an observer is logged and counted and goes no further; other exceptions are not touched. In
    strict mode it is raised, with a note that names the observer. ``warn`` gets the message and the exception, if
    there is one; by default they go to the logger ``headrace.plugins``. To be called from the driving thread.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        strict: bool | None = None,
        warn: Callable[[str, Exception | None], object] | None = None,
    ) -> None:
        self._manager = registry.manager
        self._strict = registry.policy.strict if strict is None else strict
        self._warn = warn or _log
        self._observers: dict[str, _Observer] = {}
        self._look()

    @property
    def watches_tasks(self) -> bool:
        """Whether anybody wants to hear of task runs; if not, the engine need not say anything."""
        if self._version != self._manager.version:
            self._look()
        return bool(self._task_state_changed)

    @property
    def watches_flows(self) -> bool:
        """Whether anybody wants to hear of flow runs."""
        if self._version != self._manager.version:
            self._look()
        return bool(self._flow_state_changed)

    @property
    def failures(self) -> Mapping[str, int]:
        """How many exceptions each observer has raised, for those that raised any."""
        return {name: observer.failures for name, observer in self._observers.items() if observer.failures}

    def engine_started(self, engine: EngineInfo) -> None:
        """Say that the engine is about to start its first run."""
        if self._version != self._manager.version:
            self._look()
        self._tell(self._engine_started, (engine,))

    def engine_stopping(self, engine: EngineInfo) -> None:
        """Say that the engine is about to end."""
        if self._version != self._manager.version:
            self._look()
        self._tell(self._engine_stopping, (engine,))

    def flow_state_changed(self, run: FlowRunInfo, old: State, new: State) -> None:
        """Say that a flow run has changed its state."""
        if self._version != self._manager.version:
            self._look()
        self._tell(self._flow_state_changed, (run, old, new))

    def task_state_changed(self, run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
        """Say that a task run has changed its state."""
        if self._version != self._manager.version:
            self._look()
        self._tell(self._task_state_changed, (run, task_run, old, new))

    def _tell(self, calls: tuple[_Call, ...], values: tuple[object, ...]) -> None:
        for call in calls:
            try:
                if call.picks is None:
                    call.function(*values)
                else:
                    call.function(*[values[index] for index in call.picks])
            except Exception as error:  # noqa: BLE001 - an observer may raise anything, and a run must not notice
                self._failed(call, error)
            else:
                call.observer.in_a_row = 0

    def _failed(self, call: _Call, error: Exception) -> None:
        observer = call.observer
        if self._strict:
            error.add_note(f"Raised by the observer {observer.name} in {call.hook}.")
            raise error
        observer.failures += 1
        observer.in_a_row += 1
        self._warn(f"The observer {observer.name} raised in {call.hook}; the run goes on.", error)
        if observer.in_a_row >= FAILURES_IN_A_ROW and not observer.off:
            observer.off = True
            self._look()
            self._warn(
                f"The observer {observer.name} raised {observer.in_a_row} times in a row and is switched off.", None
            )

    def _look(self) -> None:
        """Take down who observes what. Plugins may come later: an executor's module can observe too."""
        self._version = self._manager.version
        (
            self._engine_started,
            self._engine_stopping,
            self._flow_state_changed,
            self._task_state_changed,
        ) = map(self._calls, OBSERVER_HOOKS)

    def _calls(self, hook: str) -> tuple[_Call, ...]:
        calls = [
            _Call(hook, implementation, self._observer(implementation.plugin_name))
            for implementation in self._manager.implementations(hook)
        ]
        return tuple(call for call in calls if not call.observer.off)

    def _observer(self, name: str) -> _Observer:
        return self._observers.setdefault(name, _Observer(name))


def _log(message: str, error: Exception | None) -> None:
    import logging  # noqa: PLC0415 - a run in which nothing is wrong does without

    logging.getLogger("headrace.plugins").warning("%s", message, exc_info=error)
