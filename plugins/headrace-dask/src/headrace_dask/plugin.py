"""What headrace finds through the entry point ``dask``."""

from __future__ import annotations

from headrace.plugins import Capability, ExecutorSpec, hookimpl

__all__ = ["headrace_executors"]


@hookimpl
def headrace_executors() -> list[ExecutorSpec]:
    """Offer the executor."""
    return [
        ExecutorSpec(
            name="dask",
            factory="headrace_dask.executor:DaskExecutor",
            summary="Tasks on a Dask cluster, of one machine or many; results stay there.",
            capabilities=frozenset({Capability.REMOTE, Capability.CANCEL, Capability.KEEPS_RESULTS}),
        )
    ]
