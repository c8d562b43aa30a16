"""What is asked of nannies, the processes that watch over workers."""

from __future__ import annotations

from typing import Any

import psutil

__all__ = ["kill_worker"]


def kill_worker(dask_worker: Any) -> bool:
    """Kill the worker that a nanny watches over, which then starts another; tell whether there was one."""
    pid = dask_worker.pid
    if pid is None:
        return False
    psutil.Process(pid).kill()
    return True
