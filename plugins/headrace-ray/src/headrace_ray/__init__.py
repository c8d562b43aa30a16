"""The executor ``ray`` for headrace."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace_ray.executor import RayExecutor

__all__ = ["RayExecutor"]


def __getattr__(name: str) -> object:
    # Ray takes half a second to import, which only who uses the executor should pay.
    if name == "RayExecutor":
        from headrace_ray.executor import RayExecutor

        return RayExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
