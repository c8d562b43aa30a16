"""What headrace finds through the entry point ``ray``; importing it imports nothing of Ray."""

from __future__ import annotations

from headrace.plugins import Capability, ExecutorSpec, hookimpl


@hookimpl
def headrace_executors() -> list[ExecutorSpec]:
    """Offer the executor."""
    return [
        ExecutorSpec(
            name="ray",
            factory="headrace_ray.executor:RayExecutor",
            summary="Tasks on Ray, on this machine or on a cluster.",
            capabilities=frozenset(
                {
                    Capability.REMOTE,
                    Capability.CANCEL,
                    Capability.HARD_TIMEOUT,
                    Capability.KEEPS_RESULTS,
                    Capability.CHAINS,
                }
            ),
        )
    ]
