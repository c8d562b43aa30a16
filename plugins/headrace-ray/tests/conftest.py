"""One small Ray for all tests, which the executor finds running and leaves alone."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

# Before Ray is imported: it reads these once.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
ray = pytest.importorskip("ray", reason="Ray has no build for this Python")

MEGABYTE = 2**20


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """Start Ray, with two CPUs and little memory; stop it in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=200 * MEGABYTE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
    yield
    ray.shutdown()


class Desk:
    """Hands functions to a started executor, and returns the states they end in."""

    def __init__(self, executor, stack, context=None):
        from headrace.abc import ExecutorContext
        from headrace.engine.runs import new_run_id
        from headrace.run_context import RunFrame

        names = {"flow_name": "desk", "flow_run_id": new_run_id(), "parameters": {}}
        self.executor = executor
        self.inbox = SimpleQueue()
        self.frame = RunFrame(names, None, time.time())
        self.keys = 0
        told = {"flow_name": "desk", "flow_run_id": names["flow_run_id"], "task_count": 1, **(context or {})}
        executor.start(ExecutorContext(**told), stack)

    def submit(self, function, *, keeper=None, task_args=None, **arguments):
        from headrace import task
        from headrace.engine.worker import Work

        made = task(function, **{"name": getattr(function, "__name__", "work"), **(task_args or {})})
        key, self.keys = self.keys, self.keys + 1
        work = Work(key, made, f"{made.name}-{key}", arguments, -1, 1, None, False, self.frame, keeper)
        self.executor.submit(work, self.inbox.put)
        return key

    def collect(self, count):
        found = [self.inbox.get(timeout=60) for _ in range(count)]
        return [outcome.state for outcome in sorted(found, key=lambda outcome: outcome.key)]

    def outcomes(self, *functions, **arguments):
        for function in functions:
            self.submit(function, **arguments)
        return self.collect(len(functions))


@pytest.fixture
def desk():
    from headrace_ray import RayExecutor

    with ExitStack() as stack:
        yield Desk(RayExecutor(), stack)
