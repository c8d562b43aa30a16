"""``python -m headrace.testing.simulate``: random flows crash and are resumed, many times a second.

    python -m headrace.testing.simulate --seed 1 --count 1000
    python -m headrace.testing.simulate --seed 1 --count 100 --history sqlite:runs.db

Round number N of seed S is the first round of seed S + N. What breaks is printed with the command that repeats it, and
with the smallest part of the flow that still breaks. Exit code 1 says that something did.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from headrace import config
from headrace.engine import Engine
from headrace.testing.simulation import Round, play

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

_SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Play rounds and print what they came to."""
    options = _parser().parse_args(arguments)
    counts: Counter[str] = Counter()
    failed: list[Round] = []
    began = time.monotonic()
    with _project() as engine:
        for seed in range(options.seed, options.seed + options.count):
            played = _play(seed, engine, options.history)
            counts.update(_numbers(played))
            if played.broken:
                failed.append(_smallest(played, engine, options.history))
                _tell(failed[-1])
    seconds = time.monotonic() - began
    found = {"seed": options.seed, **counts, "failed": len(failed), "seconds": round(seconds, 1)}
    print(json.dumps(found) if options.json else _shown(found))  # noqa: T201 - a command
    return 1 if failed else 0


def _play(seed: int, engine: Engine, url: str | None, tasks: int | None = None) -> Round:
    if url is None:
        return play(seed, engine, tasks=tasks)
    return play(seed, engine, tasks=tasks, make_history=lambda _: _Recorded(engine, url))


class _Recorded:
    """A history that some plugin keeps. A process that is killed is one that abandons its runs."""

    lost_power = False

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._url = url
        self._place = tempfile.mkdtemp(dir=".")

    def open(self) -> Any:
        kind, _, name = self._url.partition(":")
        return self._engine.registry.create_from_url("history", f"{kind}:{self._place}/{name or 'runs.db'}")

    def kill(self, journals: Sequence[Any]) -> None:
        for journal in journals:
            journal.abandon()


def _smallest(played: Round, engine: Engine, url: str | None) -> Round:
    """Return the round with as few of the first tasks as still break something."""
    for tasks in range(1, len(played.script)):
        again = _play(played.seed, engine, url, tasks)
        if again.broken:
            return again
    return played


def _numbers(played: Round) -> dict[str, int]:
    names = ("lives", "crashes", "power_cuts", "lost_completions", "chains", "calls")
    return {"rounds": 1, **{name: getattr(played, name) for name in names}}


def _tell(played: Round) -> None:
    lines = [f"seed {played.seed} broke:", *(f"    {text}" for text in played.broken[:_SHOWN])]
    lines += [f"    task {number}: {role}" for number, role in enumerate(played.script)]
    lines.append(f"    again: python -m headrace.testing.simulate --seed {played.seed} --count 1")
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - a command


def _shown(found: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in found.items())


@contextlib.contextmanager
def _project() -> Iterator[Engine]:
    """Work in an empty project, in silence."""
    disabled, folder = logging.root.manager.disable, os.getcwd()  # noqa: PTH109 - to go back to
    with tempfile.TemporaryDirectory(prefix="headrace-simulation-") as name, config.set_temporary_config({}):
        os.chdir(name)
        logging.disable(logging.CRITICAL)
        try:
            with Engine(no_plugins=True) as engine:
                yield engine
        finally:
            logging.disable(disabled)
            os.chdir(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m headrace.testing.simulate",
        description="Let random flows crash and be resumed, and check what must hold.",
    )
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first round (default 1)")
    parser.add_argument("--count", type=int, default=1000, help="how many rounds (default 1000)")
    parser.add_argument("--history", metavar="URL", help="a history such as `sqlite:`; by default one in memory")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
