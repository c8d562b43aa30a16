"""The executor ``processes``: tasks in worker processes of this machine, each of which may die alone.

    driver ── control socket ── supervisor          `link`, `protocol`, `supervisor`
      │                            ├── worker        `worker`, `surroundings`, `standard_files`
      └──────── channel ───────────┴── worker        `channel`, `descriptors`, `streams`

The driver's process starts a supervisor, which forks workers, kills them and reports how they ended. The driver talks
to each worker directly: its `pool` gives `jobs` that are `waiting` to the workers of its `crew`, as far as their `pace`
and their `alarms` allow, and makes outcomes of their `answers` and `crashes`.
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
