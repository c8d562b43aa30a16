"""What others do with the same graphs. Each peer imports its package when it is asked to run."""

from __future__ import annotations

from typing import Final

from benchmarks.contender import Contender
from benchmarks.peers.bare import BareDask, BareRay
from benchmarks.peers.dask import Dask
from benchmarks.peers.futures import Futures
from benchmarks.peers.luigi import Luigi
from benchmarks.peers.pools import Loky, Pebble, StandardPool
from benchmarks.peers.prefect import Prefect

PEERS: Final[tuple[Contender, ...]] = (
    Futures(),
    Dask("dask", "synchronous"),
    Dask("dask-threads", "threads"),
    Luigi(),
    Prefect(),
    Loky(),
    Pebble(),
    StandardPool(),
    BareDask(),
    BareRay(),
)
