from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from headrace import Engine, Flow, task
from headrace.exceptions import PluginOptionError
from headrace.plugins import FlowRunInfo, StateChange, TaskRunInfo
from headrace.states import Failed, Pending, Running, State, Success
from headrace_plugins.log import LogNotifier, headrace_notifiers

RUN = FlowRunInfo(id="1", name="daily-1", flow_name="daily")


def change(new: State, *, of_task: bool = False, map_index: int | None = None) -> StateChange:
    run = TaskRunInfo(task_name="load", task_slug="load-1", map_index=map_index) if of_task else None
    return StateChange(run=RUN, task_run=run, old=Pending(), new=new)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.levelname, record.getMessage()))


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str]]]:
    handler, logger = Lines(), logging.getLogger("headrace.notify")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.found
    logger.removeHandler(handler)
    logger.setLevel(level)


class TestOptions:
    @pytest.mark.parametrize("url", ["log:", "log:?level=debug", "log:?level=WARNING&all=true", "log:?all=0"])
    def test_what_a_url_may_say(self, url):
        LogNotifier(url)

    def test_an_unknown_option_names_the_nearest(self):
        with pytest.raises(PluginOptionError, match=r"'levle'.*Did you mean 'level'"):
            LogNotifier("log:?levle=info")

    def test_an_unknown_level_names_the_nearest(self):
        with pytest.raises(PluginOptionError, match=r"'warn'.*Did you mean 'warning'"):
            LogNotifier("log:?level=warn")

    @pytest.mark.parametrize("url", ["log:?level=", "log:?all=perhaps", "log:?all="])
    def test_a_value_that_makes_no_sense_is_refused(self, url):
        with pytest.raises(PluginOptionError):
            LogNotifier(url)

    @pytest.mark.parametrize("url", ["log:level=debug", "log:debug", "log://debug"])
    def test_what_is_not_behind_the_question_mark_is_refused(self, url):
        with pytest.raises(PluginOptionError, match=r"log:\?level=warning"):
            LogNotifier(url)


class TestWants:
    @pytest.mark.parametrize(
        ("new", "of_task", "wanted"),
        [
            (Running(), False, False),
            (Success(), False, True),
            (Failed(), False, True),
            (Running(), True, False),
            (Success(), True, False),
            (Failed(), True, True),
        ],
    )
    def test_finished_flow_runs_and_failed_task_runs(self, new, of_task, wanted):
        assert LogNotifier().wants(change(new, of_task=of_task)) is wanted

    def test_everything_on_request(self):
        assert LogNotifier("log:?all=yes").wants(change(Running(), of_task=True)) is True


class TestNotify:
    def test_a_flow_run(self, lines):
        LogNotifier().notify(change(Success("All done.")))
        assert lines == [("INFO", "Flow run 'daily-1' is Success: All done.")]

    def test_a_task_run_with_its_index(self, lines):
        LogNotifier("log:?level=warning").notify(change(Running("Running."), of_task=True, map_index=3))
        assert lines == [("WARNING", "Task 'load[3]' is Running: Running.")]

    @pytest.mark.parametrize(("level", "expected"), [("debug", "ERROR"), ("critical", "CRITICAL")])
    def test_a_failure_is_never_below_error(self, lines, level, expected):
        LogNotifier(f"log:?level={level}").notify(change(Failed("no"), of_task=True))
        assert lines == [(expected, "Task 'load' is Failed: no")]

    def test_percent_signs_in_names_and_messages_are_text(self, lines):
        LogNotifier().notify(change(Success("100 %s")))
        assert lines == [("INFO", "Flow run 'daily-1' is Success: 100 %s")]


def test_the_plugin_offers_it_under_its_scheme():
    (spec,) = headrace_notifiers()
    assert spec.name == "log"
    assert isinstance(Engine().registry.create_from_url("notifier", "log:?level=debug"), LogNotifier)


def test_a_run_notifies_before_it_returns(lines):
    with Flow("daily") as flow:
        task(lambda: 1 // 0, name="divide")()
    flow.run(run_name="daily-1", notify=["log:"])
    assert [line.split(":")[0] for _, line in lines] == ["Task 'divide' is Failed", "Flow run 'daily-1' is Failed"]
