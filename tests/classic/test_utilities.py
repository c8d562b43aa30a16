"""Command line and utilities, sections 10.3 and 10.4 of the classic reference, as far as they need no server."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path
from textwrap import dedent

import pytest

from headrace import Flow, Parameter, Task, context, signals, task
from headrace.cli import main
from headrace.diagnostics import diagnostics
from headrace.module_names import MODULE_PREFIX
from headrace.serializers import PickleSerializer

FLOW = """
    from headrace import Flow, Parameter, context, task

    @task
    def greet(name, day):
        print("hello", name, day, context.get("stage"))

    @task
    def check(go):
        if not go:
            raise ValueError("no go")

    with Flow("greeting") as flow:
        greet(Parameter("name", default="world"), Parameter("day", default=None))
        check(Parameter("go", default=True))

    if __name__ == "__main__":
        print("a script")
        flow.run()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with a flow file, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows.py").write_text(dedent(FLOW))
    path, logger = list(sys.path), logging.getLogger("headrace")
    handlers, level = list(logger.handlers), logger.level
    yield tmp_path
    logger.handlers[:] = handlers
    logger.setLevel(level)
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith((MODULE_PREFIX, "acme_"))]:
        del sys.modules[name]


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0), capsys.readouterr().out


# The command line


def test_run_takes_a_file_and_leaves_out_what_only_a_script_does(capsys):
    code, out = command(capsys, "run", "flows.py")
    assert code == 0
    assert "hello world None None" in out
    assert "a script" not in out


def test_run_takes_a_module(capsys, folder):
    (folder / "acme_flows.py").write_text(dedent(FLOW))
    assert "hello world" in command(capsys, "run", "-m", "acme_flows")[1]


def test_a_flow_is_chosen_by_name_where_there_are_several(capsys, folder):
    (folder / "flows.py").write_text(dedent(FLOW) + 'other = Flow("other one")\n')
    assert command(capsys, "run", "flows.py")[0] == 2
    assert "other one succeeded" in command(capsys, "run", "flows.py:other one")[1]


def test_parameters_are_json_or_text(capsys):
    _, out = command(capsys, "run", "flows.py", "--param", "name=5", "--param", 'day={"a": [1]}')
    assert "hello 5 {'a': [1]} None" in out


def test_parameters_of_the_command_line_win_over_those_of_a_file(capsys, folder):
    (folder / "given.json").write_text('{"name": "file", "day": "file"}')
    _, out = command(capsys, "run", "flows.py", "--param-file", "given.json", "--param", "name=line")
    assert "hello line file None" in out


def test_the_context_is_given_key_by_key(capsys):
    assert "hello world None test" in command(capsys, "run", "flows.py", "--context", "stage=test")[1]


def test_a_failed_run_ends_with_1(capsys):
    assert command(capsys, "run", "flows.py", "--param", "go=false")[0] == 1


def test_a_quiet_run_prints_what_its_tasks_print(capsys):
    assert command(capsys, "run", "flows.py", "-q")[1] == "hello world None None\n"


def test_one_run_now_unless_the_schedule_is_asked_for(capsys, folder):
    (folder / "flows.py").write_text(
        dedent(FLOW)
        + dedent("""
            from datetime import UTC, datetime, timedelta
            from headrace.schedules import Schedule
            from headrace.schedules.clocks import DatesClock

            clock = DatesClock([datetime.now(UTC) + timedelta(seconds=1)], parameter_defaults={"name": "schedule"})
            flow.schedule = Schedule([clock])
        """)
    )
    assert command(capsys, "run", "flows.py")[1].count("hello world") == 1
    assert command(capsys, "run", "flows.py", "--schedule")[1].count("hello schedule") == 1


def test_version_and_configuration_are_shown(capsys):
    assert command(capsys, "--version")[1].startswith("headrace ")
    assert "logging.level" in command(capsys, "config", "show")[1]


def test_diagnostics_are_json_without_values(capsys, monkeypatch):
    monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__BANK", "1234")
    code, out = command(capsys, "diagnostics", "flows.py", "--include-secret-names")
    assert (code, "1234" in out) == (0, False)
    assert json.loads(out)["flow"]["name"] == "greeting"
    assert "HEADRACE__CONTEXT__SECRETS__BANK" in json.loads(out)["environment"]


# Diagnostics


def test_diagnostics_of_a_flow_are_those_of_the_module():
    with Flow("f") as flow:
        flow.add_task(Parameter("x"))
    assert json.loads(flow.diagnostics()) == json.loads(diagnostics(flow))


# raise_on_exception


def test_on_request_the_exception_of_a_task_comes_out_of_the_run():
    @task
    def fail():
        raise ZeroDivisionError("of the task")

    with Flow("f") as flow:
        fail()
    with context(raise_on_exception=True), pytest.raises(ZeroDivisionError, match="of the task"):
        flow.run()
    assert flow.run().is_failed()


def test_signals_that_are_no_failures_do_not_come_out():
    @task
    def skip():
        raise signals.SKIP("not today")

    with Flow("f") as flow:
        skip()
    with context(raise_on_exception=True):
        assert flow.run().is_successful()


# is_serializable


def test_what_cannot_travel_is_named_where_it_is_serialized():
    """In the place of ``is_serializable``."""
    made = Task(name="with a lock")
    made.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="lock"):
        PickleSerializer().serialize(made)
