"""The executors that experiments run on."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from headrace.abc import Executor

_FACTORIES = {
    "local": "headrace_plugins.local:LocalExecutor",
    "processes": "headrace_plugins.processes.executor:ProcessesExecutor",
    "threads": "headrace_plugins.threads:ThreadsExecutor",
    "dask": "headrace_dask.executor:DaskExecutor",
    "ray": "headrace_ray.executor:RayExecutor",
}
NAMES = tuple(_FACTORIES)


def missing(name: str) -> str | None:
    """Return why an executor cannot be had here, or None."""
    package = _FACTORIES[name].partition(".")[0]
    return None if find_spec(package) else f"{package.replace('_', '-')} is not installed"


def options(name: str, workers: int) -> dict[str, Any]:
    """Return what to make an executor with so that it has so many workers, each of which runs one task at a time."""
    if name == "local":
        return {}
    if name == "dask":
        return {"cluster_kwargs": {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}}
    return {"num_cpus" if name == "ray" else "workers": workers}


def make_executor(name: str, workers: int, **others: Any) -> Executor:
    """Return a new executor."""
    module, _, attribute = _FACTORIES[name].partition(":")
    found: Executor = getattr(import_module(module), attribute)(**options(name, workers), **others)
    return found
