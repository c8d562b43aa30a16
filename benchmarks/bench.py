"""What every workload needs: the settings of this run, and ways to measure that never raise for a peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.contender import Contender
from benchmarks.machine import installed_version
from benchmarks.measure import Cost, Measurement, Request, better
from benchmarks.probe import Probe, ProbeError
from benchmarks.rows import Cell, Quantity

MICROSECONDS = "µs"
_TURNS = 2
# Small graphs run more often, so that the best run is one that nothing else disturbed.
_DUEL_SECONDS = 0.5
# A slow peer makes fewer runs; its figures need fewer digits, too.
_PEER_SECONDS = 3.0

# A text says why there is no measurement.
Found: TypeAlias = "Measurement | str"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """``say`` reports progress; ``million`` asks for the measurements that take minutes and a gigabyte."""

    sizes: Sequence[int]
    repeat: int
    peers: Sequence[Contender]
    probe: Probe
    say: Callable[[str], None]
    million: bool = False

    def measure(
        self, contender: str, shape: str, size: int, *, least_seconds: float = 0.0, seconds: float = 10.0
    ) -> Measurement:
        """Measure one contender; raise ProbeError."""
        self.say(f"{shape} {size:,}: {contender}")
        return self.probe.graph(
            Request(
                contender=contender,
                shape=shape,
                size=size,
                repeat=self.repeat,
                least_seconds=least_seconds,
                seconds=seconds,
            )
        )

    def duel(self, shape: str, size: int) -> tuple[Measurement, Measurement]:
        """Measure headrace and the floor in turns, so that a busy moment does not fall on one of them."""
        turns = [
            (
                self.measure("headrace", shape, size, least_seconds=_DUEL_SECONDS),
                self.measure("floor", shape, size, least_seconds=_DUEL_SECONDS),
            )
            for _ in range(_TURNS)
        ]
        first, *others = turns
        engine, floor = first
        for engine_again, floor_again in others:
            engine, floor = better(engine, engine_again), better(floor, floor_again)
        return engine, floor

    def in_turns(self, contenders: Sequence[Contender], shape: str, size: int) -> dict[str, Found]:
        """Measure several contenders in turns, by name; a text says why there is nothing of one.

        Raises ProbeError if the first one fails.
        """
        found: dict[str, Found] = {}
        for _ in range(_TURNS):
            for contender in contenders:
                before = found.get(contender.name)
                if isinstance(before, str):
                    continue
                try:
                    measured = self.measure(contender.name, shape, size)
                except ProbeError as error:
                    if contender is contenders[0]:
                        raise
                    found[contender.name] = f"failed: {error}"
                else:
                    found[contender.name] = measured if before is None else better(before, measured)
        return found

    def peer_cells(self, shape: str, size: int, peers: Sequence[str] | None = None) -> dict[str, Cell]:
        """Return a column for each engine among the peers, or those named: the time per task, or why it has none."""
        engines = [peer for peer in self.peers if peer.field == "engines"]
        chosen = [peer for peer in engines if peers is None or peer.name in peers]
        return {_title(peer): self._peer_cell(peer, shape, size) for peer in chosen}

    def _peer_cell(self, peer: Contender, shape: str, size: int) -> Cell:
        if is_missing(peer):
            return "missing"
        bearable = min(size, peer.largest)
        if bearable < size and size != min(self.sizes):
            return "capped"
        try:
            measurement = self.measure(peer.name, shape, bearable, seconds=_PEER_SECONDS)
        except ProbeError as error:
            self.say(f"{peer.name} failed: {error}")
            return f"failed: {error}"
        cost = per_task(measurement, measurement.total)
        note = f"@{bearable:,}" if bearable < size else ""
        return Quantity(value=cost.wall if peer.clock == "wall" else cost.cpu, unit=MICROSECONDS, note=note)


def _title(peer: Contender) -> str:
    return f"{peer.name} (wall)" if peer.clock == "wall" else peer.name


def is_missing(peer: Contender) -> bool:
    """Tell whether a peer is not installed."""
    return peer.distribution is not None and installed_version(peer.distribution) is None


def per_task(measurement: Measurement, cost: Cost) -> Cost:
    """Return ``cost`` in microseconds per task."""
    return Cost(cpu=cost.cpu / measurement.tasks * 1e6, wall=cost.wall / measurement.tasks * 1e6)
