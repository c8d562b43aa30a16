"""The executors that experiments run on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from headrace.abc import Executor

_MODULES = {"dask": "headrace_dask", "ray": "headrace_ray"}
NAMES = ("processes", "threads", *_MODULES)


def missing(name: str) -> str | None:
    """Return why an executor cannot be had here, or None."""
    module = _MODULES.get(name)
    if module is None or find_spec(module) is not None:
        return None
    return f"{module.replace('_', '-')} is not installed"


def make_executor(name: str, workers: int, **options: Any) -> Executor:
    """Return a new executor with so many workers, each of which runs one task at a time."""
    if name == "threads":
        from headrace_plugins.threads import ThreadsExecutor

        return ThreadsExecutor(workers=workers)
    if name == "processes":
        from headrace_plugins.processes.executor import ProcessesExecutor

        return ProcessesExecutor(workers=workers, **options)
    if name == "dask":
        from headrace_dask import DaskExecutor

        cluster = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        return DaskExecutor(cluster_kwargs=cluster, **options)
    if name == "ray":
        from headrace_ray import RayExecutor

        return RayExecutor(init_kwargs={"num_cpus": workers, "include_dashboard": False}, **options)
    raise ValueError(f"There is no executor {name!r}; there are {', '.join(NAMES)}.")
