"""The executor ``processes``: tasks in worker processes of this machine, each of which may die alone.

    driver ── control socket ── supervisor          `link`, `protocol`, `supervisor`
      │                            ├── worker
      └──────── channel ───────────┴── worker       `pool`, `jobs`, `channel`, `worker`

The driver's process starts a supervisor, which forks workers, kills them and reports how they ended. The driver talks
to each worker directly.
"""

from __future__ import annotations

from headrace.plugins import Capability, ExecutorSpec, hookimpl

__all__ = ["headrace_executors"]


@hookimpl
def headrace_executors() -> list[ExecutorSpec]:
    """Offer the executor."""
    return [
        ExecutorSpec(
            name="processes",
            factory="headrace_plugins.processes.executor:ProcessesExecutor",
            summary="Tasks in processes, each of which may die alone; hard timeouts.",
            capabilities=frozenset({Capability.REMOTE, Capability.HARD_TIMEOUT, Capability.CANCEL}),
        )
    ]
