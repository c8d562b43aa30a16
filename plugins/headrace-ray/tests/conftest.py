"""One small Ray for all tests, which the executor finds running and leaves alone."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack
from importlib.util import find_spec
from queue import SimpleQueue

import pytest

from headrace import Task, task
from headrace.abc import ExecutorContext
from headrace.engine.runs import new_run_id
from headrace.engine.worker import Work
from headrace.run_context import RunFrame

# Before Ray is imported, which reads these once. The token is one of its own, for all processes that the tests start.
os.environ |= {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}

_HAS_RAY = find_spec("ray") is not None
# Without Ray there is nothing but the test that says so.
collect_ignore_glob = [] if _HAS_RAY else ["test_[!i]*.py"]

# Nobody's child, since there are tests that look at what processes this one has.
_CLUSTER = """
import os, sys

if os.fork():
    os._exit(0)
import ray

ray.init(
    address="local",
    num_cpus=2,
    object_store_memory=200 * 2**20,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="error",
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """Start Ray in a process of its own, as clusters are, with two CPUs and little memory, and connect to it."""
    if not _HAS_RAY:
        yield
        return
    import ray

    command = [sys.executable, "-c", _CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(process.stdout.readline().strip(), log_to_driver=False, logging_level="error")
        yield
        ray.shutdown()
        process.stdin.close()


class Desk:
    """Hands functions to a started executor, as the driver would, and returns the states they end in."""

    def __init__(self, executor, stack):
        run_id = new_run_id()
        self.executor = executor
        self._inbox = SimpleQueue()
        self._frame = RunFrame({"flow_name": "desk", "flow_run_id": run_id, "parameters": {}}, None, time.time())
        self._next_key = 0
        executor.start(ExecutorContext(flow_name="desk", flow_run_id=run_id, task_count=1), stack)

    def submit(self, function, *, task_args=None, **arguments):
        """Hand over one call, of a function or of a task."""
        made = function
        if not isinstance(function, Task):
            made = task(function, **{"name": getattr(function, "__name__", "work"), **(task_args or {})})
        key = self._next_key
        self._next_key += 1
        work = Work(key, made, f"{made.name}-{key}", arguments, -1, 1, None, False, self._frame, None)
        self.executor.submit(work, self._inbox.put)

    def collect(self, count):
        """Return the next states, in the order of their submission."""
        found = [self._inbox.get(timeout=60) for _ in range(count)]
        return [outcome.state for outcome in sorted(found, key=lambda outcome: outcome.key)]

    def outcomes(self, *functions, **arguments):
        """Call each function, and return the states."""
        for function in functions:
            self.submit(function, **arguments)
        return self.collect(len(functions))


@pytest.fixture
def desk():
    """Return a desk with a started executor."""
    from headrace_ray import RayExecutor

    with ExitStack() as stack:
        yield Desk(RayExecutor(), stack)
