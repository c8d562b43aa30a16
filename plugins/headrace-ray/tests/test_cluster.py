"""How the executor comes by a Ray: it starts one, joins one, or finds one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import ray

from headrace import Flow, Parameter, task
from headrace.abc import ExecutorContext
from headrace.exceptions import ExecutorError, PluginOptionError
from headrace_ray import RayExecutor, environment, worker
from headrace_ray.worker import Head

_FLOW = """
import json, os, sys, threading, time
from headrace import Flow, task
from headrace_ray import RayExecutor

@task
def double(number):
    return 2 * number

with Flow("script") as flow:
    children = double.map([1, 2, 3])
"""
_LITTLE = 'init_kwargs={"object_store_memory": 80 * 2**20, "log_to_driver": False}'


def _script(tmp_path, text):
    """Return the command that runs a script; functions of a script are what workers cannot import."""
    path = tmp_path / "script.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def _output(tmp_path, text):
    ran = subprocess.run(_script(tmp_path, text), capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def _address():
    return ray.get_runtime_context().gcs_address


def test_a_ray_of_the_runs_own_is_gone_after_it(tmp_path):
    text = f"""{_FLOW}
import subprocess

found = []
for _ in range(2):
    state = flow.run(executor=RayExecutor(num_cpus=1, {_LITTLE}), keep_results="all")
    found.append(state.result[children].result)
listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
left = [line for line in listed.splitlines() if not line.split()[1].endswith("ps")]
print(json.dumps([found, len(threading.enumerate()), left]))
"""
    found, threads, left = _output(tmp_path, text)
    assert found == [[2, 4, 6]] * 2
    assert threads == 1
    assert left == []


def test_runs_at_the_same_time_share_one_ray(tmp_path):
    text = f"""{_FLOW}
import ray
executors = [RayExecutor(num_cpus=2, {_LITTLE}) for _ in range(2)]
found = {{}}
def run(number):
    state = flow.run(executor=executors[number], keep_results="all")
    found[number] = state.result[children].result
threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([found, ray.is_initialized()]))
"""
    assert _output(tmp_path, text) == [{"0": [2, 4, 6], "1": [2, 4, 6]}, False]


def test_what_a_run_does_ends_when_its_driver_is_killed(tmp_path):
    begun = tmp_path / "begun"
    text = f"""{_FLOW}
@task
def begin():
    open({str(begun)!r}, "w").write(str(os.getpid()))
    time.sleep(100)

with Flow("long") as long:
    begin()
long.run(executor=RayExecutor(num_cpus=1, {_LITTLE}))
"""
    with subprocess.Popen(_script(tmp_path, text), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            _wait(lambda: begun.exists() and begun.read_text())
        finally:
            driver.kill()
    _wait(lambda: not _runs(int(begun.read_text())))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("way", ["address", "auto"])
def test_a_cluster_that_was_joined_goes_on_after_the_run(tmp_path, way, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", _address())
    address = "auto" if way == "auto" else _address()
    text = f"""{_FLOW}
import ray
state = flow.run(executor=RayExecutor({address!r}), keep_results="all")
print(json.dumps([state.result[children].result, ray.is_initialized()]))
"""
    assert _output(tmp_path, text) == [[2, 4, 6], False]
    assert ray.get(ray.remote(lambda: 5).remote()) == 5


def test_a_cluster_that_cannot_be_reached_is_an_error_that_says_where_and_how_long(tmp_path):
    text = f"""{_FLOW}
import socket
from headrace.exceptions import ExecutorError
silent = socket.create_server(("127.0.0.1", 0))
addresses = ["127.0.0.1:1", f"127.0.0.1:{{silent.getsockname()[1]}}"]
found = []
for address in addresses:
    began = time.monotonic()
    try:
        flow.run(executor=RayExecutor(address, connect_timeout=1.5))
    except ExecutorError as error:
        found.append([str(error), time.monotonic() - began])
print(json.dumps(found), flush=True)
os._exit(0)
"""
    refused, silent = _output(tmp_path, text)
    for message, seconds in (refused, silent):
        assert "'127.0.0.1:" in message
        assert "could not be reached within 1." in message
        assert "ray status" in message
        assert seconds < 10
    assert "refused" in refused[0]
    assert "does not answer as Ray would" in silent[0]


def test_what_is_no_address_is_refused_before_the_run():
    with pytest.raises(PluginOptionError, match="expected HOST:PORT or 'auto'"):
        RayExecutor("no-port")
    with pytest.raises(PluginOptionError, match="ray job submit"):
        RayExecutor("ray://127.0.0.1:10001")


def test_a_cluster_that_nobody_has_started_cannot_be_joined(tmp_path):
    text = f"""{_FLOW}
from headrace.exceptions import ExecutorError
os.environ.pop("RAY_ADDRESS", None)
import ray
def init(**arguments):
    raise ConnectionError("Could not find any running Ray instance.")
ray.init = init
try:
    flow.run(executor=RayExecutor("auto"))
except ExecutorError as error:
    print(json.dumps(str(error)), flush=True)
os._exit(0)
"""
    assert "no Ray on this machine to join" in _output(tmp_path, text)


def test_what_ray_is_started_with_is_named_when_it_cannot_be(tmp_path):
    text = f"""{_FLOW}
from headrace.exceptions import ExecutorError
try:
    flow.run(executor=RayExecutor(init_kwargs={{"objct_store_memory": 1}}))
except ExecutorError as error:
    print(json.dumps(str(error)), flush=True)
os._exit(0)
"""
    message = _output(tmp_path, text)
    assert "objct_store_memory" in message
    assert "Look at `init_kwargs` of executor 'ray'." in message


def test_runs_inside_of_tasks_that_hold_all_cpus_go_on():
    step = task(lambda number: number + 1, name="step")
    with Flow("inner", executor="ray") as inner:
        last = Parameter("start")
        for _ in range(3):
            last = step(last)
    with Flow("outer") as outer:
        runs = [inner(start=number) for number in range(2 * int(ray.cluster_resources()["CPU"]))]
    states = outer.run(executor="ray", timeout=60).result
    assert all(states[each].is_successful() for each in runs)


def test_the_ray_that_a_process_is_connected_to_is_used_and_left_alone():
    with Flow("one") as flow:
        last = task(lambda: 1, name="one")()
    assert flow.run(executor="ray").result[last].result == 1
    assert flow.run(executor=RayExecutor(_address())).result[last].result == 1
    assert ray.is_initialized()


@pytest.mark.parametrize("options", [{"num_cpus": 1}, {"resources": {"disk": 1}}, {"init_kwargs": {"namespace": "x"}}])
def test_what_can_have_no_effect_any_more_is_refused(options):
    with pytest.raises(ExecutorError, match=f"already, so `{next(iter(options))}` can have no effect"):
        _start(RayExecutor(**options))


def test_another_ray_than_the_one_at_hand_is_refused():
    with pytest.raises(ExecutorError, match=r"already, and not to Ray at '127\.0\.0\.1:1'"):
        _start(RayExecutor("127.0.0.1:1"))


def test_an_executor_that_serves_a_run_refuses_another_at_the_same_time():
    executor = RayExecutor()
    with ExitStack() as stack:
        executor.start(ExecutorContext(flow_name="f", flow_run_id="r", task_count=1), stack)
        with pytest.raises(ExecutorError, match="another run already"):
            _start(executor)


def _start(executor, **context):
    told = {"flow_name": "f", "flow_run_id": "r", "task_count": 1, **context}
    with ExitStack() as stack:
        executor.start(ExecutorContext(**told), stack)


# -- versions --------------------------------------------------------------------------------------------------------


def test_workers_that_lack_a_plugin_are_refused_at_the_start():
    with pytest.raises(ExecutorError, match=r"headrace-store is 1\.2 here and missing there"):
        _start(RayExecutor(), plugins={"headrace-store": "1.2"})


def test_workers_with_another_headrace_are_refused_at_the_start(tmp_path):
    metadata = tmp_path / "headrace-0.0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: headrace\nVersion: 0.0.1\n")
    there = RayExecutor(runtime_env={"env_vars": {"PYTHONPATH": str(tmp_path)}})
    with pytest.raises(ExecutorError, match=r"headrace is \S+ here and 0\.0\.1 there"):
        _start(there)


def test_a_worker_that_came_later_looks_for_itself():
    from headrace.remote import Levels, Part

    run, one = Part("run", b"not read"), Part("task", b"not read")
    head = Head(run, one, Levels({}, 0), {"headrace": "0.0.1"}, "mailbox", timed=False)
    with pytest.raises(ExecutorError, match=r"headrace is 0\.0\.1 here and \S+ there"):
        worker.run(worker.joined(head) + b"")


def test_differences_are_what_a_worker_lacks_and_not_what_it_has_besides():
    here = {"Python": "3.11", "headrace": "0.1.0", "headrace-ray": "0.1.0"}
    there = {"Python": "3.12", "headrace": "0.1.0", "other": "1"}
    assert environment.differences(here, there) == [
        "Python is 3.11 here and 3.12 there",
        "headrace-ray is 0.1.0 here and missing there",
    ]


# -- nodes that die --------------------------------------------------------------------------------------------------

_TWO_NODES = """
import json, tempfile, time
import ray
from ray.cluster_utils import Cluster
from headrace import Flow, task
from headrace.engine import Engine
from headrace.plugins import hookimpl
from headrace_ray import RayExecutor

quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "health_check_failure_threshold": 3}
little = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={**little, "include_dashboard": False, "_system_config": quick})
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")

@task(tags=["ray-resource:far=1"])
def make():
    return [bytes([number]) * 20_000 for number in range(30)]

@task
def length(values):
    return sum(map(len, values))

@task
def first(value):
    return value[0]

class Reaper:
    # Kills the node that has the result, as soon as it is there.
    def __init__(self, node):
        self.node = node

    @hookimpl
    def headrace_task_state_changed(self, task_run, new):
        if new.is_successful() and task_run.task_name == "make":
            cluster.remove_node(self.node, allow_graceful=False)
            time.sleep(1.5)

def run(**options):
    node = cluster.add_node(**little, resources={"far": 1})
    with Flow("far") as flow:
        made = make()
        total, mapped = length(made), first.map(made)
    with Engine(plugins=[Reaper(node)]) as engine:
        states = flow.run(executor=RayExecutor(), engine=engine, keep_results="none", **options).result
    return [str(states[total].result), [str(state.result) for state in states[mapped].map_states]]

"""


@pytest.mark.timeout(180)
def test_results_on_a_node_that_dies_are_read_back_or_said_to_be_lost(tmp_path):
    text = f"""{_TWO_NODES}
found = [run(), run(results="file:" + {str(tmp_path / "results")!r})]
ray.shutdown()
cluster.shutdown()
print(json.dumps(found))
"""
    ran = subprocess.run(_script(tmp_path, text), capture_output=True, text=True, timeout=170, check=False)
    assert ran.returncode == 0, ran.stderr
    lost, kept = json.loads(ran.stdout.splitlines()[-1])
    assert [message for message in [lost[0], *lost[1]] if "result of task 'make' is lost" not in message] == []
    assert kept == ["600000", [str(number) for number in range(30)]]
