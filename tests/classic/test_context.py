"""The context, section 5.8 of the classic reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Flow, Parameter, Secret, config, context, tags, task, testing
from headrace.exceptions import ParameterError
from headrace.results import Result

FLOW_KEYS = ["flow_name", "flow_id", "flow_run_id", "flow_run_name", "scheduled_start_time", "parameters", "date"]
DAYS = ["today", "yesterday", "tomorrow", "today_nodash", "yesterday_nodash", "tomorrow_nodash"]
TASK_KEYS = [
    "task_name",
    "task_full_name",
    "task_slug",
    "task_tags",
    "task_run_count",
    "map_index",
    "task_id",
    "task_run_id",
    "task_run_name",
    "logger",
    "resume",
]


def inside(function: Any, run_options: Any = None, **options: Any) -> Any:
    """Return what ``function`` returns in a task."""
    with Flow("the flow") as flow:
        last = task(function, **{"name": "the task", **options})()
    state = flow.run(**(run_options or {})).result[last]
    if state.is_failed():
        raise state.result
    return state.result


# What is there


@pytest.mark.parametrize("key", ["config", "logger"])
def test_always(key):
    assert key in context


@pytest.mark.parametrize("key", FLOW_KEYS + DAYS)
def test_in_a_run_of_a_flow(key):
    seen: list[bool] = []
    flow = Flow("f", state_handlers=[lambda *_: seen.append(key in context)])
    flow.run()
    assert seen == [True, True]
    assert key not in context


@pytest.mark.parametrize("key", FLOW_KEYS + DAYS + TASK_KEYS)
def test_in_a_run_of_a_task(key):
    assert inside(lambda: key in context)


@pytest.mark.parametrize(
    "key", ["caches", "checkpointing", "case", "resource", "mapped", "loading_flow", "running_with_backend"]
)
def test_what_the_classic_engine_kept_there_for_itself_is_not(key):
    assert not inside(lambda: key in context)


def test_while_a_flow_is_built():
    with tags("nightly"), Flow("f") as flow:
        assert (context.flow, context.tags) == (flow, {"nightly"})


# The run of a flow


def test_the_dates_are_texts_in_utc_that_follow_from_the_date():
    clock = testing.VirtualClock(datetime(2026, 1, 1, 23, 59, tzinfo=UTC).timestamp())
    with Flow("f") as flow:
        last = task(lambda: [context[key] for key in DAYS], name="days")()
    assert testing.run(flow, clock=clock).result(last) == [
        "2026-01-01",
        "2025-12-31",
        "2026-01-02",
        "20260101",
        "20251231",
        "20260102",
    ]


@pytest.mark.parametrize("date", ["2021-03-01", datetime(2021, 3, 1, tzinfo=UTC)])
def test_a_date_that_is_given_shifts_the_days(date):
    found = inside(lambda: (context.date.year, context.yesterday), {"context": {"date": date}})
    assert found == (2021, "2021-02-28")


def test_a_day_that_is_given_shifts_no_other():
    found = inside(lambda: (context.today, context.yesterday[:2]), {"context": {"today": "1999-12-31"}})
    assert found == ("1999-12-31", "20")


def test_a_date_that_cannot_be_read_fails_whoever_reads_it():
    with pytest.raises(ParameterError, match="`date` in the context is 'soon'"):
        inside(lambda: context.today, {"context": {"date": "soon"}})
    assert inside(lambda: 5, {"context": {"date": "soon"}}) == 5


def test_the_scheduled_start_time_is_when_the_run_was_meant_to_begin():
    meant = datetime(2021, 3, 1, tzinfo=UTC)
    assert inside(lambda: context.scheduled_start_time, {"scheduled_start_time": meant}) == meant
    began = datetime.now(UTC)
    assert abs(inside(lambda: context.scheduled_start_time) - began) < timedelta(seconds=60)


def test_values_that_are_given_hide_those_of_the_run():
    assert inside(lambda: context.flow_name, {"context": {"flow_name": "mine"}}) == "mine"


# The run of a task


def test_a_task_run_has_an_id_of_its_own_and_so_has_each_child():
    with Flow("f") as flow:
        one = task(lambda: context.task_run_id, name="one")()
        mapped = task(lambda x: context.task_run_id, name="each").map([1, 2])
    states = flow.run().result
    assert len({states[one].result, *states[mapped].result}) == 3


def test_what_a_child_is_called():
    with Flow("f") as flow:
        mapped = task(
            lambda x: (context.map_index, context.task_name, context.task_full_name, context.task_slug), name="each"
        ).map([1, 2])
    assert flow.run().result[mapped].result == [(0, "each", "each[0]", "each-1"), (1, "each", "each[1]", "each-1")]


def test_the_logger_is_that_of_the_task_and_writes_under_its_name(caplog):
    with caplog.at_level("INFO", "headrace"):
        inside(lambda: context.logger.info("hello"))
    assert [record.name for record in caplog.records if record.getMessage() == "hello"] == ["headrace.the task"]


# Control


def test_secrets_are_looked_up_there():
    assert inside(lambda: Secret("TOKEN").get(), {"context": {"secrets": {"TOKEN": "a long token"}}}) == "a long token"


def test_tags_reach_the_tasks_that_are_made_inside():
    with context(), tags("nightly"):
        assert inside(lambda: context.task_tags) == {"nightly"}


# Templates


def test_arguments_win_over_the_context_and_that_over_parameters():
    place = Result(location="{a}/{b}/{c}")

    @task
    def fill(a: str) -> Any:
        return context.task_run_name

    with Flow("f") as flow:
        for name in "abc":
            flow.add_task(Parameter(name, default="parameter"))
        filled = fill("argument", task_args={"task_run_name": "{a}/{b}/{c}"})
        formatted = task(lambda: place.format(a="argument").location, name="format")()
    states = flow.run(context={"a": "context", "b": "context"}).result
    assert states[filled].result == states[formatted].result == "argument/context/parameter"


# How it behaves


def test_values_of_a_block_end_with_it_and_what_they_hid_is_back():
    with context(region="north"):
        with context(region="south"):
            assert context.region == "south"
        assert context["region"] == "north"
    assert context.get("region") is None


def test_the_section_of_the_configuration_is_underneath_everything():
    with config.set_temporary_config({"context.region": "north", "context.flow_name": "configured"}):
        assert inside(lambda: (context.region, context.flow_name)) == ("north", "the flow")
        assert context.flow_name == "configured"


def test_runs_in_threads_do_not_see_each_others_values():
    with Flow("f") as flow:
        mapped = task(lambda x: (context.map_index, x), name="each").map(range(20))
    assert flow.run(executor="threads").result[mapped].result == [(i, i) for i in range(20)]


def test_it_cannot_be_assigned_to():
    with pytest.raises(AttributeError):
        context.region = "north"  # type: ignore[attr-defined]
