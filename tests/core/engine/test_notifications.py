"""Messages about a run, sent by a thread of their own."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from tests.core.engine.fakes import FakePlugins
from tests.core.engine.test_values import merged

from headrace import Engine, Flow, task
from headrace.abc import Notifier
from headrace.engine.notifications import NotificationThread
from headrace.plugins import FlowRunInfo, StateChange, TaskRunInfo
from headrace.states import Failed, Running, Success

RUN = FlowRunInfo(id="1", name="run", flow_name="flow")


class Listening(Notifier):
    """Takes down what it is told, or raises, or takes its time."""

    def __init__(self, error: Exception | None = None, hold: threading.Event | None = None) -> None:
        self.changes: list[StateChange] = []
        self.threads: set[str] = set()
        self.events: list[str] = []
        self.error = error
        self.hold = hold

    def start(self, stack: ExitStack) -> None:
        self.events.append("start")
        stack.callback(self.events.append, "stop")

    def notify(self, change: StateChange) -> None:
        if self.hold is not None:
            self.hold.wait()
        self.threads.add(threading.current_thread().name)
        self.changes.append(change)
        if self.error is not None:
            raise self.error


class Everything(Listening):
    def wants(self, change: StateChange) -> bool:
        return True


def tell(thread: NotificationThread, count: int) -> None:
    for i in range(count):
        thread.task_state_changed(RUN, TaskRunInfo(task_name=f"t{i}", task_slug=f"t{i}"), Running(), Success())


def names(notifier: Listening) -> list[str]:
    return [change.task_run.name for change in notifier.changes if change.task_run is not None]


def test_changes_arrive_in_order_and_before_the_block_ends():
    notifier = Everything()
    with NotificationThread([notifier]) as thread:
        tell(thread, 50)
    assert names(notifier) == [f"t{i}" for i in range(50)]


def test_they_are_sent_from_another_thread():
    notifier = Everything()
    with NotificationThread([notifier]) as thread:
        tell(thread, 1)
    assert notifier.threads == {"headrace-notify"}


def test_a_change_holds_the_run_the_task_run_and_both_states():
    notifier = Everything()
    old, new = Running(), Success()
    info = TaskRunInfo(task_name="t", task_slug="t-1")
    with NotificationThread([notifier]) as thread:
        thread.task_state_changed(RUN, info, old, new)
        thread.flow_state_changed(RUN, old, new)
    assert notifier.changes == [
        StateChange(run=RUN, task_run=info, old=old, new=new),
        StateChange(run=RUN, task_run=None, old=old, new=new),
    ]


def test_a_notifier_gets_only_what_it_wants():
    notifier = Listening()
    info = TaskRunInfo(task_name="t", task_slug="t-1")
    with NotificationThread([notifier]) as thread:
        thread.task_state_changed(RUN, info, Running(), Success())
        thread.task_state_changed(RUN, info, Running(), Failed())
        thread.flow_state_changed(RUN, Success(), Running())
        thread.flow_state_changed(RUN, Running(), Success())
    assert [(change.task_run is None, type(change.new)) for change in notifier.changes] == [
        (False, Failed),
        (True, Success),
    ]


def test_a_notifier_is_started_before_and_stopped_after():
    notifier = Everything()
    with NotificationThread([notifier]) as thread:
        assert notifier.events == ["start"]
        tell(thread, 1)
    assert notifier.events == ["start", "stop"]


def test_one_that_raises_is_logged_and_the_others_go_on(caplog):
    broken, sound = Everything(RuntimeError("no network")), Everything()
    with caplog.at_level(logging.ERROR, "headrace"), NotificationThread([broken, sound]) as thread:
        tell(thread, 2)
    assert len(broken.changes) == len(sound.changes) == 2
    assert "no network" in caplog.text


def test_a_filter_that_raises_is_logged_and_the_others_go_on(caplog):
    class Odd(Everything):
        def wants(self, change: StateChange) -> bool:
            raise RuntimeError("odd filter")

    sound = Everything()
    with caplog.at_level(logging.ERROR, "headrace"), NotificationThread([Odd(), sound]) as thread:
        tell(thread, 1)
    assert len(sound.changes) == 1
    assert "odd filter" in caplog.text


def test_a_slow_one_does_not_hold_up_the_run():
    hold = threading.Event()
    with NotificationThread([Everything(hold=hold)]) as thread:
        began = time.monotonic()
        tell(thread, 100)
        assert time.monotonic() - began < 1
        hold.set()


def test_what_does_not_fit_is_dropped_and_counted(caplog):
    hold = threading.Event()
    notifier = Everything(hold=hold)
    with caplog.at_level(logging.WARNING, "headrace"), NotificationThread([notifier], size=5) as thread:
        tell(thread, 100)
        hold.set()
    assert len(notifier.changes) <= 6
    assert f"Dropped {100 - len(notifier.changes)} messages" in caplog.text


def test_one_that_never_returns_is_given_up(caplog):
    hold = threading.Event()
    began = time.monotonic()
    with (
        caplog.at_level(logging.WARNING, "headrace"),
        NotificationThread([Everything(hold=hold)], patience=0.05) as thread,
    ):
        tell(thread, 3)
    hold.set()
    assert time.monotonic() - began < 2
    assert "Gave up sending" in caplog.text


def test_one_that_cannot_start_leaves_no_other_running():
    class Refusing(Everything):
        def start(self, stack: ExitStack) -> None:
            raise OSError("no such host")

    sound = Everything()
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="no such host"), NotificationThread([sound, Refusing()]):
        pass
    assert sound.events == ["start", "stop"]
    assert set(threading.enumerate()) <= before


class TestRuns:
    def lines(self, path: Any, *, engine: Any = None, **kwargs: Any) -> list[str]:
        with Flow("notified") as flow:
            task(lambda: 1, name="t")()
        flow.run(executor="local", engine=engine or Engine(plugins=[FakePlugins()]), **kwargs)
        return path.read_text().splitlines()

    def test_a_run_tells_the_notifiers_named_by_url(self, tmp_path):
        path = tmp_path / "lines"
        assert self.lines(path, notify=[f"lines:{path}"]) == [
            "start",
            "flow Pending->Running",
            "t Pending->Running",
            "t Running->Success",
            "flow Running->Success",
            "stop",
        ]

    def test_the_configured_ones_are_told_too(self, tmp_path):
        path = tmp_path / "lines"
        engine = Engine(plugins=[FakePlugins()], config=merged({"notify": {"urls": (f"lines:{path}",)}}))
        assert self.lines(path, engine=engine)[-2:] == ["flow Running->Success", "stop"]
