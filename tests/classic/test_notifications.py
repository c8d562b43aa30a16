"""Notifications and handlers, section 9 of the classic reference."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from headrace import Engine, Flow, Secret, Task, signals, task
from headrace.abc import Notifier
from headrace.callbacks import callback_factory
from headrace.plugins import NotifierSpec, StateChange, hookimpl
from headrace.states import Failed, Finished, State, Success

SENT: list[str] = []


class Pigeon(Notifier):
    """``pigeon:`` tells what it is told; ``pigeon:NAME`` only of states of that class, ``pigeon:!`` never arrives."""

    def __init__(self, url: str) -> None:
        self.only = url.partition(":")[2]

    def wants(self, change: StateChange) -> bool:
        return type(change.new).__name__ == self.only if self.only.isalpha() else super().wants(change)

    def notify(self, change: StateChange) -> None:
        if self.only == "!":
            raise ConnectionError("lost on the way")
        name = change.run.flow_name if change.task_run is None else change.task_run.name
        SENT.append(f"{name} is {type(change.new).__name__}")


class Vault(Notifier):
    """``vault:`` needs a secret to send anything."""

    def __init__(self, url: str) -> None: ...

    def notify(self, change: StateChange) -> None:
        SENT.append(Secret("WEBHOOK_OF_NOBODY").get())


class Notifiers:
    @hookimpl
    def headrace_notifiers(self):
        return [
            NotifierSpec(name="pigeon", factory=f"{__name__}:Pigeon", summary=""),
            NotifierSpec(name="vault", factory=f"{__name__}:Vault", summary=""),
        ]


@pytest.fixture(autouse=True)
def _nothing_sent():
    SENT.clear()


@task
def work():
    return 1


@task
def fail():
    raise ValueError("no")


def notified(tracked: Any, *urls: str) -> tuple[State, list[str]]:
    """Run a flow of one task with notifiers; return its state and what was sent."""
    with Flow("daily") as flow:
        tracked()
    state = flow.run(notify=urls, engine=Engine(plugins=[Notifiers()]))
    return state, list(SENT)


# callback_factory


def test_a_callback_is_called_with_the_task_and_its_new_state_when_the_check_passes():
    seen: list[tuple[str, str]] = []
    handler = callback_factory(
        lambda obj, state: seen.append((obj.name, str(state.message))), check=lambda s: s.is_failed()
    )
    with Flow("f") as flow:
        work(task_args={"state_handlers": [handler]})
        fail(task_args={"state_handlers": [handler]})
    flow.run()
    assert seen == [("fail", "ValueError: no")]


def test_the_same_handler_serves_tasks_and_flows():
    seen: list[str] = []
    handler = callback_factory(lambda obj, state: seen.append(obj.name), check=lambda s: isinstance(s, Finished))
    with Flow("a flow", state_handlers=[handler]) as flow:
        work(task_args={"state_handlers": [handler]})
    flow.run()
    assert seen == ["work", "a flow"]


def test_a_check_passes_with_any_true_value():
    """A departure: the classic check has to return True itself."""
    seen: list[State] = []
    handler = callback_factory(lambda obj, state: seen.append(state), check=lambda s: s.is_finished() and s.message)
    handler(Task(), State(), Success("done"))
    assert len(seen) == 1


def test_a_callback_that_raises_fails_the_task():
    handler = callback_factory(lambda obj, state: 1 / 0, check=lambda s: s.is_running())
    with Flow("f") as flow:
        made = work(task_args={"state_handlers": [handler]})
    assert flow.run().result[made].is_failed()


def test_on_failure_is_the_callback_for_failures():
    seen: list[str] = []
    with Flow("f", on_failure=lambda flow, state: seen.append(flow.name)) as flow:
        task(fail.run, name="fail", on_failure=lambda task, state: seen.append(task.name))()
    flow.run()
    assert seen == ["fail", "f"]


def test_an_alert_is_called_for_each_attempt_that_failed():
    seen: list[str] = []
    handler = callback_factory(lambda obj, state: seen.append(type(state).__name__), check=lambda s: s.is_failed())
    with Flow("f") as flow:
        fail(task_args={"state_handlers": [handler], "max_retries": 2, "retry_delay": timedelta(0)})
    flow.run()
    assert seen == ["Failed"] * 3


# Notifiers, in the place of slack_notifier and the others


def test_a_notifier_tells_of_runs_that_ended_and_of_tasks_that_failed():
    assert notified(fail, "pigeon:")[1] == ["fail is Failed", "daily is Failed"]
    SENT.clear()
    assert notified(work, "pigeon:")[1] == ["daily is Success"]


def test_a_notifier_chooses_what_it_tells():
    """In the place of ``only_states`` and ``ignore_states``."""
    assert notified(work, "pigeon:Running")[1] == ["daily is Running", "work is Running"]


def test_one_notifier_serves_tasks_and_flows_and_several_are_told():
    assert notified(work, "pigeon:Success", "pigeon:")[1] == ["work is Success", "daily is Success", "daily is Success"]


def test_a_message_that_could_not_be_sent_is_a_warning_and_fails_nothing(caplog):
    """A departure: a classic notifier that fails makes its task fail."""
    state, _ = notified(work, "pigeon:!")
    assert state.is_successful()
    assert "lost on the way" in caplog.text


def test_a_secret_of_a_notifier_is_asked_for_when_there_is_something_to_send(caplog):
    """A departure: the classic notifiers ask before they look at the state, so that each task failed without it."""
    state, _ = notified(work, "vault:")
    assert state.is_successful()
    assert caplog.text.count("WEBHOOK_OF_NOBODY") >= 1


def test_the_notifier_that_comes_along_writes_log_lines(caplog):
    with caplog.at_level(logging.INFO):
        notified(fail, "log:")
    assert "Task 'fail' is Failed: ValueError: no" in caplog.text


def test_an_unknown_notifier_is_an_error_before_anything_runs():
    with pytest.raises(LookupError, match="No notifier named 'slak'"):
        notified(work, "slak:")


def test_handlers_can_look_at_the_class_of_a_state_as_with_only_states():
    seen: list[str] = []
    handler = callback_factory(lambda obj, state: seen.append(obj.name), check=lambda s: isinstance(s, Failed))
    skipping = task(lambda: (_ for _ in ()).throw(signals.SKIP("no")), name="skipping")
    with Flow("f") as flow:
        skipping(task_args={"state_handlers": [handler]})
        fail(task_args={"state_handlers": [handler]})
    flow.run()
    assert seen == ["fail"]
