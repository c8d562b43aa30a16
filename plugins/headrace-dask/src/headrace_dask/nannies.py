"""What is asked of nannies, the processes that watch over workers."""

from __future__ import annotations

import os
import signal
from typing import Any

__all__ = ["kill_worker"]


def kill_worker(dask_worker: Any) -> bool:
    """Kill the worker that a nanny watches over, which then starts another; tell whether there was one."""
    pid = dask_worker.pid
    if pid is None:
        return False
    os.kill(pid, signal.SIGKILL)
    return True
