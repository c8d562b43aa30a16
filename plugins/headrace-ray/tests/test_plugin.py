"""The distribution: what it offers, what importing it costs, which options it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.abc import Capability
from headrace.engine import Engine
from headrace.exceptions import PluginOptionError
from headrace_ray import RayExecutor, plugin


def test_the_entry_point_and_its_spec_agree():
    (spec,) = plugin.headrace_executors()
    assert spec.name == "ray"
    assert spec.capabilities == RayExecutor.capabilities
    with Engine() as engine:
        assert isinstance(engine.registry.create("executor", "ray"), RayExecutor)


def test_looking_at_the_plugin_imports_nothing_of_ray():
    code = "import sys, headrace_ray.plugin; sys.exit('ray' in sys.modules or 'cloudpickle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_results_stay_with_ray_and_work_can_be_killed():
    assert RayExecutor.capabilities == {
        Capability.REMOTE,
        Capability.CANCEL,
        Capability.HARD_TIMEOUT,
        Capability.KEEPS_RESULTS,
        Capability.CHAINS,
    }


def test_options_are_read_from_texts():
    with Engine() as engine:
        executor = engine.registry.create("executor", "ray", num_cpus="2", resources='{"disk": 1.5}', window="7")
    assert executor._settings.num_cpus == 2
    assert executor._settings.resources == {"disk": 1.5}
    assert executor.capacity == 7


def test_an_unknown_option_names_the_known_ones():
    with Engine() as engine, pytest.raises(PluginOptionError, match="runtime_env"):
        engine.registry.create("executor", "ray", runtime="x")


def test_what_a_cluster_has_cannot_be_said_of_one_that_runs():
    with pytest.raises(PluginOptionError, match="`num_cpus` and `resources` say nothing"):
        RayExecutor("auto", num_cpus=2)


@pytest.mark.parametrize("name", ["num_cpus", "window", "connect_timeout"])
def test_numbers_must_be_positive(name):
    with pytest.raises(PluginOptionError, match=f"'{name}'.*positive"):
        RayExecutor(**{name: 0})


def test_an_executor_can_be_pickled_while_it_works(desk):
    import pickle

    copy = pickle.loads(pickle.dumps(desk.executor))
    assert copy._settings == desk.executor._settings
    assert copy.capacity == RayExecutor().capacity


def test_work_before_the_start_is_an_error():
    from headrace.exceptions import ExecutorError

    with pytest.raises(ExecutorError, match="not been started"):
        RayExecutor().submit(None, print)
