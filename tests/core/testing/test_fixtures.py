"""The fixtures that plugin authors get for their tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headrace import Engine, Flow, task
from headrace.plugins import hookimpl
from headrace.testing import RecordingObserver, VirtualClock

pytest_plugins = ["headrace.testing.fixtures"]


@task(max_retries=1, retry_delay=3600)
def fail(number: int) -> int:
    return 1 // number


def make_flow() -> Flow:
    with Flow("fixtures") as flow:
        fail.map([0, 1])
    return flow


def test_an_engine_reports_to_the_observer_and_follows_the_clock(
    make_engine: Callable[..., Engine], recording_observer: RecordingObserver, virtual_clock: VirtualClock
) -> None:
    began = virtual_clock.now()
    make_flow().run(engine=make_engine(clock=virtual_clock), executor="local")
    assert recording_observer.states("fail[0]") == ["Running", "Failed", "Retrying", "Running", "Failed"]
    assert recording_observer.states("fail[1]") == ["Running", "Success"]
    assert recording_observer.states() == ["Running", "Failed"]
    assert virtual_clock.now() == began + 3600


def test_an_engine_has_the_plugins_it_is_given_and_a_broken_one_raises(make_engine: Callable[..., Engine]) -> None:
    class Broken:
        @hookimpl
        def headrace_flow_state_changed(self, run: Any) -> None:
            raise OSError("no")

    with pytest.raises(Exception, match="no"):
        make_flow().run(engine=make_engine(Broken()))


def test_an_engine_has_none_that_others_installed(make_engine: Callable[..., Engine]) -> None:
    policy = make_engine().registry.policy
    assert policy.refusal(_record("headrace-acme")) is not None
    assert policy.refusal(_record("headrace")) is None


def _record(distribution: str) -> Any:
    from headrace.hooks.scan import PluginRecord

    return PluginRecord(group="headrace.executors", name="x", value="m", distribution=distribution, version="1")


def test_each_test_has_an_observer_and_a_clock_of_its_own(
    recording_observer: RecordingObserver, virtual_clock: VirtualClock
) -> None:
    assert recording_observer.changes == []
    assert virtual_clock.now() == VirtualClock().now()
