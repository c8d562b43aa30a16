"""What goes with a report of a problem."""

from __future__ import annotations

import json
from typing import Any

import pytest

import headrace
from headrace import Flow, Parameter, config, task
from headrace.diagnostics import diagnostics


@task
def double(x):
    return 2 * x


def report(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(diagnostics(**options))
    return found


def test_it_names_versions():
    found = report()
    assert found["headrace"] == headrace.__version__
    assert found["dependencies"]["cloudpickle"]
    assert found["python"]["version"].startswith("3.")
    assert found["platform"]["system"]


def test_it_lists_plugins_from_their_metadata():
    assert {"kind": "executor", "name": "threads"}.items() <= {
        (k, v) for plugin in report()["plugins"]["found"] if plugin["name"] == "threads" for k, v in plugin.items()
    }


def test_overrides_are_listed_and_masked():
    with config.set_temporary_config({"tasks.defaults.max_retries": 3141}):
        text = diagnostics()
    assert json.loads(text)["config_overrides"] == {
        "tasks.defaults.max_retries": {"value": "********", "source": "code"}
    }
    assert "3141" not in text


@pytest.mark.parametrize(("wanted", "shown"), [(False, "********"), (True, "BANK")])
def test_secrets_are_named_only_on_request(wanted, shown):
    with config.set_temporary_config({"context.secrets": {"BANK": "1234"}}):
        text = diagnostics(include_secret_names=wanted, environ={"HEADRACE__CONTEXT__SECRETS__BANK": "1234"})
    found = json.loads(text)
    assert list(found["config_overrides"]) == [f"context.secrets.{shown}"]
    assert found["environment"] == [f"HEADRACE__CONTEXT__SECRETS__{shown}"]
    assert "1234" not in text


def test_of_variables_only_the_names_of_headraces_own_are_listed():
    found = report(environ={"HEADRACE__DEBUG": "true", "HOME": "/home/me", "OTHER": "x"})
    assert found["environment"] == ["HEADRACE__DEBUG"]


def test_a_flow_tells_about_itself():
    with Flow("f", executor="threads") as flow:
        double.map(double(Parameter("n", default="a password")))
    text = flow.diagnostics()
    found = json.loads(text)["flow"]
    assert found["name"] == "f"
    assert found["task_count"] == 3
    assert found["task_types"] == {"headrace.tasks.FunctionTask": 2, "headrace.parameters.Parameter": 1}
    assert (found["edge_count"], found["mapped_edge_count"]) == (2, 1)
    assert found["parameters"] == [{"name": "n", "required": False}]
    assert "password" not in text


def test_without_a_flow_there_is_no_word_about_one():
    assert "flow" not in report()
