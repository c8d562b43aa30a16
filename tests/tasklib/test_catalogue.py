"""What the task library promises as a plugin: cheap to list, and every spec leads to a task."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from headrace.tasks import Task
from headrace_tasklib.http.plugin import headrace_tasks as http_tasks
from headrace_tasklib.shell.plugin import headrace_tasks as shell_tasks
from headrace_tasklib.sql.plugin import headrace_tasks as sql_tasks

FAMILIES = {"http": http_tasks, "shell": shell_tasks, "sql": sql_tasks}
SPECS = [spec for tasks in FAMILIES.values() for spec in tasks()]


def task_class(spec):
    module, _, name = spec.factory.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_task_is_named_like_the_family_and_the_others_begin_with_it(family):
    first, *others = [spec.name for spec in FAMILIES[family]()]
    assert first == family
    assert all(name.startswith(f"{family}.") for name in others)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_spec_leads_to_a_task_that_needs_no_arguments_to_be_made(spec):
    assert isinstance(task_class(spec)(), Task)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_task_takes_the_options_of_all_tasks(spec):
    task = task_class(spec)(name="mine", max_retries=2, retry_delay=0)
    assert (task.name, task.max_retries) == ("mine", 2)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_argument_of_run_can_be_preset_in_the_constructor(spec):
    cls = task_class(spec)
    assert set(cls().inputs()) <= set(inspect.signature(cls).parameters)


@pytest.mark.parametrize("module", ["shell", "http", "sql", "shell.plugin", "http.plugin", "sql.plugin"])
def test_importing_a_family_loads_no_heavy_client(module):
    code = f"import sys, headrace_tasklib.{module}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"httpx2", "httpx", "sqlalchemy", "networkx", "pendulum", "rich", "click"}.isdisjoint(loaded)
