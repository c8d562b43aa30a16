"""``python -m benchmarks``: measures headrace beside the floor and its peers, and prints a table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.contender import Contender
from benchmarks.machine import describe_machine
from benchmarks.peers import PEERS
from benchmarks.probe import Probe, ProbeError
from benchmarks.report import as_json, render
from benchmarks.rows import Row
from benchmarks.workloads import WORKLOADS, Workload


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    machine = describe_machine(options.peers)
    bench = Bench(
        sizes=options.sizes,
        repeat=options.repeat,
        peers=options.peers,
        probe=Probe(),
        say=lambda text: print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True),
        million=options.million,
    )
    rows = list(_rows(bench, options.workloads or WORKLOADS))
    print(render({**machine, "took": f"{time.monotonic() - started:.0f} s"}, rows))
    if options.json:
        options.json.write_text(as_json(machine, rows) + "\n", encoding="utf-8")
    return 0


def _rows(bench: Bench, workloads: Sequence[Workload]) -> Iterator[Row]:
    for workload in workloads:
        try:
            yield from workload.measure(bench)
        except ProbeError as error:
            yield Row(section="Failed", workload=workload.name, cells={"why": str(error)})


def _parser() -> argparse.ArgumentParser:
    summaries = "\n".join(f"  {workload.name:<12} {workload.summary}" for workload in WORKLOADS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure headrace beside a hand-written loop and beside its peers.",
        epilog=f"workloads (by default all):\n{summaries}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", type=_workload)
    parser.add_argument("--sizes", type=_sizes, default=(1_000, 10_000, 100_000), help="tasks per graph: 1000,10000")
    parser.add_argument("--peers", type=_peers, default=PEERS, help="some of futures,dask,luigi,prefect, or none")
    parser.add_argument("--repeat", type=_repeat, default=3, help="take the best of so many runs (default 3)")
    parser.add_argument("--million", action="store_true", help="also map over a million elements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    return parser


def _workload(name: str) -> Workload:
    found = next((workload for workload in WORKLOADS if workload.name == name), None)
    if found is None:
        known = ", ".join(workload.name for workload in WORKLOADS)
        raise argparse.ArgumentTypeError(f"there is no workload {name!r}; there are {known}")
    return found


def _sizes(text: str) -> tuple[int, ...]:
    sizes = sorted({int(size.replace("_", "")) for size in text.split(",")})
    if sizes[0] < 10:
        raise argparse.ArgumentTypeError("a size is a number of tasks, 10 or more")
    return tuple(sizes)


def _repeat(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("a number of runs is 1 or more")
    return int(text)


def _peers(text: str) -> tuple[Contender, ...]:
    wanted = set(text.split(",")) - {"none"}
    known = {name for peer in PEERS for name in (peer.name, peer.distribution) if name}
    if wanted - known:
        raise argparse.ArgumentTypeError(
            f"there is no peer {', '.join(wanted - known)}; there are {', '.join(sorted(known))}"
        )
    return tuple(peer for peer in PEERS if {peer.name, peer.distribution} & wanted)


if __name__ == "__main__":
    sys.exit(main())
