"""What takes part: the engine, the floor and the peers, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from benchmarks.graphs import Graph

Field: TypeAlias = Literal["engines", "processes", "dask", "ray"]


class Contender(ABC):
    """Runs graphs in one particular way.

    ``field`` is what it is compared in: engines that run tasks in their own process, or what runs them on several
    processes, on Dask or on Ray. ``importing`` is the line that users begin with. ``largest`` is the size it is asked
    to bear, so that the whole benchmark ends in minutes. ``clock`` says which time is compared: CPU time of the
    process, or wall time where other processes do part of the work.
    """

    name: str
    field: ClassVar[Field] = "engines"
    distribution: ClassVar[str | None] = None
    importing: ClassVar[str] = ""
    largest: int = 1_000_000
    clock: Literal["cpu", "wall"] = "cpu"

    @abstractmethod
    def build(self, graph: Graph) -> Any:
        """Return the graph in the contender's own terms."""

    def plan(self, built: Any) -> None:
        """Do what the contender does once per graph before it runs."""

    @abstractmethod
    def run(self, built: Any) -> Any:
        """Run to the end and return whatever that gives."""

    @abstractmethod
    def values(self, built: Any, outcome: Any) -> Sequence[Any]:
        """Return the results of the graph's sinks."""

    def close(self) -> None:
        """Stop what several runs have shared."""


def make_contender(name: str) -> Contender:
    """Return the contender called ``name``; nothing of the others is imported."""
    if name == "floor":
        from benchmarks.floor import Floor

        return Floor()
    if name == "floor-recorded":
        from benchmarks.floor import RecordedFloor

        return RecordedFloor()
    if name in {"headrace", "headrace-recorded", "headrace-threads"}:
        from benchmarks.engine import Headrace

        return Headrace(name)
    if name.startswith("headrace-"):
        from benchmarks.executors import make_headrace

        return make_headrace(name)
    from benchmarks.peers import PEERS

    return next(peer for peer in PEERS if peer.name == name)
