"""A cluster of this machine."""

from __future__ import annotations

from typing import Any, Final

import dask
from distributed import LocalCluster

__all__ = ["MachineCluster"]

_SETTING: Final = "distributed.deploy.lost-worker-timeout"
# Longer than anybody has a worker that does not start.
_NEVER: Final = "1000 days"


class MachineCluster(LocalCluster):
    """What Dask makes, but that workers which die come back however often they do.

    Dask looks at each lost worker once more, 15 seconds later. One that is starting anew just then, because it died
    again, is closed for good, so that a task which kills its workers leaves the run without any.
    """

    def _update_worker_status(self, op: Any, msg: Any) -> None:
        with dask.config.set({_SETTING: _NEVER}):
            super()._update_worker_status(op, msg)
