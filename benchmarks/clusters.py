"""Clusters of this machine, of as many processes as it has cores, for headrace and for bare clients alike."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

WORKERS = 2


@contextmanager
def dask_client() -> Iterator[Any]:
    """Start workers of one thread each; yield a client, whose workers have imported what tasks need."""
    distributed: Any = import_module("distributed")

    with (
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextmanager
def ray_runtime() -> Iterator[Any]:
    """Start Ray on this machine and yield its module."""
    ray: Any = import_module("ray")

    ray.init(
        # Not one that happens to be on this machine.
        address="local",
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    try:
        yield ray
    finally:
        ray.shutdown()
