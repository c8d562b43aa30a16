"""Headrace flows on Dask; `DaskExecutor` is what ``executor="dask"`` makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace_dask.executor import DaskExecutor

__all__ = ["DaskExecutor"]


def __getattr__(name: str) -> Any:
    # Workers import this package too, and have no use for what drives a run.
    if name == "DaskExecutor":
        from headrace_dask.executor import DaskExecutor

        return DaskExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
