"""``python -m tests.faults``: does to runs what must not harm them, many times, and counts what it did.

    python -m tests.faults C1 --seed 1 --count 100
    python -m tests.faults C1 C3 --executor processes --json figures.json
    python -m tests.faults                                        # all of them, each on the executors it is for

Trial number N of seed S is the first trial of seed S + N. Exit code 1 says that an invariant broke.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from tests.faults import platforms
from tests.faults.campaign import run_trials
from tests.faults.catalogue import EXPERIMENTS
from tests.faults.experiment import Experiment
from tests.faults.table import as_json, table


def main(arguments: Sequence[str] | None = None, known: Mapping[str, Experiment] = EXPERIMENTS) -> int:
    options = _parser(known).parse_args(arguments)
    experiments = [known[name] for name in options.experiments or known]
    machine = describe_machine([])
    tallies = []
    for experiment, executor in _pairs(experiments, options.executor):
        reason = platforms.missing(executor)
        if reason:
            print(f"{experiment.name} on {executor} is left out: {reason}.", file=sys.stderr)
            continue
        tallies.append(run_trials(experiment, executor, seed=options.seed, count=options.count, say=_say))
        print(f"{experiment.name} on {executor}: done", file=sys.stderr, flush=True)
    print(f"seed {options.seed}, {machine['python']}, {machine['machine']}, {machine['date']}")
    print(table(tallies))
    if options.json:
        found = as_json({**machine, "seed": str(options.seed)}, tallies)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if not tallies or any(tally.failed for tally in tallies) else 0


def _pairs(experiments: Sequence[Experiment], executor: str | None) -> Iterator[tuple[Experiment, str]]:
    for experiment in experiments:
        for name in [executor] if executor else experiment.executors:
            if name in experiment.executors:
                yield experiment, name
            else:
                print(
                    f"{experiment.name} is not for {name}, but for {', '.join(experiment.executors)}.", file=sys.stderr
                )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser(known: Mapping[str, Experiment]) -> argparse.ArgumentParser:
    def experiment(name: str) -> str:
        if name.upper() not in known:
            raise argparse.ArgumentTypeError(f"there is no experiment {name!r}; there are {', '.join(known)}")
        return name.upper()

    titles = "\n".join(f"  {each.name}  {each.title} ({', '.join(each.executors)})" for each in known.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Do to runs what must not harm them, and count what that does.",
        epilog=f"experiments (by default all), and the executors they are for:\n{titles}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", type=experiment)
    parser.add_argument("--executor", choices=platforms.NAMES, help="only on this one (default: all it is for)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first trial (default 1)")
    parser.add_argument("--count", type=int, default=20, help="how many trials of each experiment (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
