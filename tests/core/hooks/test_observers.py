from __future__ import annotations

import logging
from typing import Any

import pytest

from headrace.exceptions import PluginError
from headrace.hooks.observers import FAILURES_IN_A_ROW, Observers
from headrace.hooks.policy import PluginPolicy
from headrace.hooks.registry import Registry
from headrace.plugins import EngineInfo, FlowRunInfo, TaskRunInfo, hookimpl

ENGINE = EngineInfo(version="0.1", pid=1)
RUN = FlowRunInfo(id="r", name="n", flow_name="f")
TASK_RUN = TaskRunInfo(task_name="t", task_slug="t-1")
OLD: Any = "old"
NEW: Any = "new"


class Everything:
    """Writes down every call with its arguments."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    @hookimpl
    def headrace_engine_started(self, engine: object) -> None:
        self.seen.append(("started", engine))

    @hookimpl
    def headrace_engine_stopping(self, engine: object) -> None:
        self.seen.append(("stopping", engine))

    @hookimpl
    def headrace_flow_state_changed(self, run: object, old: object, new: object) -> None:
        self.seen.append(("flow", run, old, new))

    @hookimpl
    def headrace_task_state_changed(self, run: object, task_run: object, old: object, new: object) -> None:
        self.seen.append(("task", run, task_run, old, new))


class FlowOnly:
    """Takes some of the arguments, in an order of its own."""

    def __init__(self, seen: list[object]) -> None:
        self.seen = seen

    @hookimpl
    def headrace_flow_state_changed(self, new: object, run: object) -> None:
        self.seen.append((new, run))


class Failing:
    """Raises on every task change that it was told to."""

    def __init__(self, *, times: int = 1000, error: type[BaseException] = ValueError) -> None:
        self.left, self.calls, self.error = times, 0, error

    @hookimpl
    def headrace_task_state_changed(self) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error("ouch")


class TaskNames:
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    @hookimpl
    def headrace_task_state_changed(self, task_run: TaskRunInfo) -> None:
        self.seen.append(self.name)


class First(TaskNames):
    @hookimpl(tryfirst=True)
    def headrace_task_state_changed(self, task_run: TaskRunInfo) -> None:
        self.seen.append(self.name)


def observers(*plugins: object, strict: bool = False) -> tuple[Observers, list[tuple[str, Exception | None]]]:
    warned: list[tuple[str, Exception | None]] = []
    registry = Registry([], plugins=plugins)
    return Observers(registry, strict=strict, warn=lambda *args: warned.append(args)), warned


def change(told: Observers, times: int = 1) -> None:
    for _ in range(times):
        told.task_state_changed(RUN, TASK_RUN, OLD, NEW)


def test_every_hook_gets_its_arguments() -> None:
    plugin = Everything()
    told, _ = observers(plugin)
    told.engine_started(ENGINE)
    told.flow_state_changed(RUN, OLD, NEW)
    told.task_state_changed(RUN, TASK_RUN, OLD, NEW)
    told.engine_stopping(ENGINE)
    assert plugin.seen == [
        ("started", ENGINE),
        ("flow", RUN, OLD, NEW),
        ("task", RUN, TASK_RUN, OLD, NEW),
        ("stopping", ENGINE),
    ]


def test_implementation_gets_the_arguments_it_names_in_its_order() -> None:
    seen: list[object] = []
    told, _ = observers(FlowOnly(seen))
    told.flow_state_changed(RUN, OLD, NEW)
    assert seen == [(NEW, RUN)]


@pytest.mark.parametrize("tryfirst", [False, True])
def test_order_is_that_of_pluggy(tryfirst: bool) -> None:
    seen: list[str] = []
    plugins = [(First if tryfirst else TaskNames)("a", seen), TaskNames("b", seen), TaskNames("c", seen)]
    registry = Registry([], plugins=plugins)
    change(Observers(registry))
    isolated, seen[:] = list(seen), []
    registry.manager._manager.hook.headrace_task_state_changed(run=RUN, task_run=TASK_RUN, old=OLD, new=NEW)
    assert isolated == seen == (["a", "c", "b"] if tryfirst else ["c", "b", "a"])


def test_observer_that_raises_does_not_keep_the_others_from_being_told() -> None:
    seen: list[str] = []
    told, warned = observers(TaskNames("a", seen), Failing(), TaskNames("b", seen))
    change(told)
    assert seen == ["b", "a"]
    assert [str(error) for _, error in warned] == ["ouch"]
    assert "Failing raised in headrace_task_state_changed" in warned[0][0]


def test_observer_that_keeps_raising_is_switched_off_and_said_so_once() -> None:
    plugin = Failing()
    told, warned = observers(plugin)
    change(told, FAILURES_IN_A_ROW + 3)
    assert plugin.calls == FAILURES_IN_A_ROW
    assert [error is None for _, error in warned] == [False] * FAILURES_IN_A_ROW + [True]
    assert "switched off" in warned[-1][0]
    assert not told.watches_tasks


def test_switched_off_observer_stays_off_when_a_plugin_is_loaded_later() -> None:
    plugin = Failing()
    registry = Registry([], plugins=[plugin])
    told = Observers(registry, warn=lambda *_: None)
    change(told, FAILURES_IN_A_ROW)
    seen: list[str] = []
    registry.manager.register(TaskNames("late", seen), "late")
    change(told)
    assert plugin.calls == FAILURES_IN_A_ROW
    assert seen == ["late"]


def test_switched_off_observer_is_called_by_another_engine() -> None:
    plugin = Failing()
    change(observers(plugin)[0], FAILURES_IN_A_ROW + 1)
    change(observers(plugin)[0])
    assert plugin.calls == FAILURES_IN_A_ROW + 1


def test_call_that_goes_well_starts_the_count_again() -> None:
    plugin = Failing(times=FAILURES_IN_A_ROW - 1)
    told, _ = observers(plugin)
    change(told, FAILURES_IN_A_ROW)
    plugin.left = FAILURES_IN_A_ROW - 1
    change(told, FAILURES_IN_A_ROW)
    assert plugin.calls == 2 * FAILURES_IN_A_ROW
    assert list(told.failures.values()) == [2 * (FAILURES_IN_A_ROW - 1)]


def test_strict_mode_raises_and_names_the_observer() -> None:
    told, warned = observers(Failing(), strict=True)
    with pytest.raises(ValueError, match="ouch") as caught:
        change(told)
    assert any("Failing in headrace_task_state_changed" in note for note in caught.value.__notes__)
    assert warned == []


def test_strict_mode_comes_from_the_policy() -> None:
    registry = Registry([], plugins=[Failing()], policy=PluginPolicy(strict=True))
    with pytest.raises(ValueError, match="ouch"):
        change(Observers(registry))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_is_never_swallowed(error: type[BaseException]) -> None:
    told, _ = observers(Failing(error=error))
    with pytest.raises(error):
        change(told)


def test_failure_goes_to_the_log_with_the_name_of_the_observer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "headrace.plugins"):
        change(Observers(Registry([], plugins=[Failing()])))
    assert "Failing raised in headrace_task_state_changed" in caplog.text
    assert "ValueError: ouch" in caplog.text


def test_engine_can_ask_whether_anybody_watches() -> None:
    told, _ = observers(FlowOnly([]))
    assert told.watches_flows
    assert not told.watches_tasks
    told, _ = observers()
    assert not told.watches_flows


def test_plugin_that_is_loaded_later_observes_too(site: Any) -> None:
    text = """
    from headrace.plugins import ExecutorSpec, hookimpl
    seen = []
    @hookimpl
    def headrace_executors():
        return [ExecutorSpec(name="late", factory="builtins:dict", summary="")]
    @hookimpl
    def headrace_task_state_changed(new):
        seen.append(new)
    """
    site.add("headrace-late", "[headrace.executors]\nlate = obs_late\n", obs_late=text)
    registry = Registry(site.records())
    told = Observers(registry)
    assert not told.watches_tasks
    registry.resolve("executor", "late")
    assert told.watches_tasks
    change(told)
    import obs_late  # type: ignore[import-not-found]

    assert obs_late.seen == [NEW]


def test_installed_observer_is_named_with_its_distribution(site: Any) -> None:
    site.add_observer(
        "headrace-sad",
        "obs_sad",
        "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_task_state_changed(): raise ValueError",
    )
    registry = Registry(site.records())
    registry.load_observers()
    warned: list[str] = []
    change(Observers(registry, warn=lambda message, _: warned.append(message)))
    assert warned == [
        "The observer obs_sad of headrace-sad 1.0 raised in headrace_task_state_changed; the run goes on."
    ]


def test_wrapper_is_refused_when_it_is_registered() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def headrace_flow_state_changed(self) -> Any:
            return (yield)

    with pytest.raises(PluginError, match="is a wrapper"):
        observers(Wrapper())
