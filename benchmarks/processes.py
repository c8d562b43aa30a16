"""Workloads that are whole processes: importing, and hello world."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.bench import Bench, is_missing
from benchmarks.measure import Cost
from benchmarks.probe import ProbeError, best_and_median
from benchmarks.rows import TIMES, Cell, Quantity, Row, Target

IMPORTING = "Importing: wall time of a process, over that of a bare Python; best, and median"
HELLO = "Hello world: wall time of the whole process; best, and median"

_BARE: Final = ("-c", "pass")
_YARDSTICK: Final = ("-c", "import logging, dataclasses")
_HEAVY: Final = ("pluggy", "networkx", "pendulum", "dask", "rich", "click")
_HELLO: Final = """\
from headrace import Flow, task


@task
def say_hello():
    print("Hello, world!")


with Flow("My First Flow") as flow:
    say_hello()

flow.run()
"""
_PROCESSES_PER_REPEAT = 5


def measure_import(bench: Bench) -> Iterator[Row]:
    """Measure what importing costs and look for what it must not bring."""
    for line in ("import headrace", "from headrace import Flow, task"):
        bench.say(line)
        peers = _peer_imports(bench) if line == "import headrace" else {}
        bare, ours = _costs(bench, [_BARE, ("-c", line)])
        yield Row(
            section=IMPORTING,
            workload=line,
            cells={"bare": _time(bare[0].wall), **_over("headrace", bare, ours), **peers},
            # The budget is for the package; the names are imported when they are first asked for.
            target=Target(column="headrace", limit=30, unit="ms") if line == "import headrace" else None,
        )
        yield _heavy_modules_row(bench, line)


def _costs(
    bench: Bench, commands: Sequence[Sequence[str]], per_repeat: int = _PROCESSES_PER_REPEAT
) -> list[tuple[Cost, Cost]]:
    """Return the best and the median cost of each command."""
    return [best_and_median(costs) for costs in bench.probe.processes(commands, bench.repeat * per_repeat)]


def _over(title: str, bare: tuple[Cost, Cost], ours: tuple[Cost, Cost]) -> dict[str, Cell]:
    return {
        title: _time(ours[0].wall - bare[0].wall),
        f"{title} median": _time(ours[1].wall - bare[1].wall),
        f"{title} CPU": _time(ours[0].cpu - bare[0].cpu),
    }


def _peer_imports(bench: Bench) -> dict[str, Cell]:
    """Return, once for each package, what its import takes over a bare Python."""
    found: dict[str, Cell] = {}
    for peer in (peer for peer in bench.peers if peer.field == "engines"):
        name = peer.distribution or peer.name
        if name in found:
            continue
        if is_missing(peer):
            found[name] = "missing"
            continue
        try:
            bare, theirs = _costs(bench, [_BARE, ("-c", peer.importing)], per_repeat=1)
            found[name] = _time(theirs[0].wall - bare[0].wall)
        except ProbeError as error:
            found[name] = f"failed: {error}"
    return found


def _heavy_modules_row(bench: Bench, line: str) -> Row:
    code = f"{line}; import sys; print(*[name for name in {_HEAVY!r} if name in sys.modules])"
    names = bench.probe.output(["-c", code]).split()
    return Row(
        section=f"Importing: modules among {', '.join(_HEAVY)}",
        workload=line,
        cells={"loaded": Quantity(value=len(names), unit="found", note=" ".join(names))},
        target=Target(column="loaded", limit=0, unit="found"),
    )


def measure_hello(bench: Bench) -> Iterator[Row]:
    """Measure hello world beside a process that imports two modules of the standard library."""
    bench.say("hello world")
    with tempfile.TemporaryDirectory(prefix="headrace-hello-") as folder:
        script = Path(folder) / "hello.py"
        script.write_text(_HELLO, encoding="utf-8")
        if bench.probe.output([str(script)]) != "Hello, world!\n":
            raise ProbeError("hello world did not say hello")
        ours, yardstick, bare = _costs(bench, [[str(script)], _YARDSTICK, _BARE])
    yield Row(
        section=HELLO,
        workload="hello world",
        cells={
            "headrace": _time(ours[0].wall),
            "headrace median": _time(ours[1].wall),
            "headrace CPU": _time(ours[0].cpu),
            "logging, dataclasses": _time(yardstick[0].wall),
            "bare": _time(bare[0].wall),
            "ratio": Quantity(value=ours[0].wall / yardstick[0].wall, unit=TIMES),
            "ratio CPU": Quantity(value=ours[0].cpu / yardstick[0].cpu, unit=TIMES),
        },
        target=Target(column="ratio", limit=2.5, unit=TIMES),
    )


def _time(seconds: float) -> Quantity:
    return Quantity(value=seconds * 1e3, unit="ms")
