"""A flow with about 500 task runs of every kind, whose tasks say in a side log what they do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.faults.sidelog import SideLog

from headrace import Flow, Parameter, context, flatten, task, unmapped

CHAIN = 60
SQUARES = 150
GROUPS = 10
GROUP = 6
FLAKY = 20
LARGE = 6
_LARGE_SIZE = 100_000

EXPECTED = (
    CHAIN
    + 2 * sum(number * number for number in range(SQUARES))
    + sum(group * GROUP + member + 1 for group in range(GROUPS) for member in range(GROUP))
    + sum(range(FLAKY))
    + LARGE * _LARGE_SIZE
    + 6
    + 12
)
"""What the flow comes to."""


def every_run() -> set[tuple[str, int]]:
    """Return all that ends when the flow is run, by the name of the task and the index of the mapped child."""
    counts = {
        "square": SQUARES,
        "double": SQUARES,
        "group": GROUPS,
        "member": GROUPS * GROUP,
        "flaky": FLAKY,
        "large": LARGE,
    }
    sums = ("sum of squares", "sum of members", "sum of flaky", "length", "bottom", "report", "inner total")
    links = (*(f"link {number}" for number in range(CHAIN)), "inner link 2", "inner link 8", "top", "left", "right")
    children = {(name, number) for name, count in counts.items() for number in range(count)}
    return children | {(name, -1) for name in (*sums, *links, "numbers")}


def step(folder: str, seconds: float, result: Any) -> Any:
    """Say that a task begins and ends, and be busy between."""
    log, name, number = SideLog(Path(folder) / "side.log"), context.task_name, context.map_index
    number = -1 if number is None else number
    log.write("begin", name, number)
    time.sleep(seconds)
    log.write("end", name, number)
    return result


def link(folder: str, seconds: float, value: int) -> int:
    return step(folder, seconds, value + 1)


def numbers(folder: str, seconds: float, count: int) -> list[int]:
    return step(folder, seconds, list(range(count)))


def square(folder: str, seconds: float, number: int) -> int:
    return step(folder, seconds, number * number)


def double(folder: str, seconds: float, number: int) -> int:
    return step(folder, seconds, 2 * number)


def group(folder: str, seconds: float, number: int) -> list[int]:
    return step(folder, seconds, [number * GROUP + member for member in range(GROUP)])


def flaky(folder: str, seconds: float, number: int) -> int:
    if number % 2 and context.task_run_count == 1:
        SideLog(Path(folder) / "side.log").write("failed", context.task_name, context.map_index)
        raise ConnectionError("not at once")
    return step(folder, seconds, number)


def large(folder: str, seconds: float, number: int) -> bytes:
    return step(folder, seconds, bytes([number]) * _LARGE_SIZE)


def length(folder: str, seconds: float, parts: list[bytes]) -> int:
    return step(folder, seconds, sum(map(len, parts)))


def total(folder: str, seconds: float, values: list[int]) -> int:
    return step(folder, seconds, sum(values))


def report(folder: str, seconds: float, values: list[int]) -> int:
    found = sum(values)
    SideLog(Path(folder) / "side.log").write("result", "report", found)
    return step(folder, seconds, found)


def _step(function: Any, name: str | None = None, **options: Any) -> Any:
    return task(function, name=name or function.__name__, **options)


def make_flow() -> Flow:
    """Return a new flow; its parameters are where the side log is, and how many seconds a task takes."""
    with Flow("inner") as inner:
        where, pause = Parameter("folder"), Parameter("seconds")
        ends = [_step(link, f"inner link {number}")(where, pause, number) for number in (2, 8)]
        _step(total, "inner total")(where, pause, ends)
    with Flow("large") as made:
        folder, seconds = Parameter("folder"), Parameter("seconds")
        common = unmapped(folder), unmapped(seconds)
        chain = _step(link, "link 0")(folder, seconds, 0)
        for number in range(1, CHAIN):
            chain = _step(link, f"link {number}")(folder, seconds, chain)
        squares = _step(square).map(*common, _step(numbers)(folder, seconds, SQUARES))
        doubled = _step(double).map(*common, squares)
        groups = _step(group).map(*common, list(range(GROUPS)))
        members = _step(link, "member").map(*common, flatten(groups))
        again = _step(flaky, max_retries=3, retry_delay=0.02).map(*common, list(range(FLAKY)))
        parts = _step(large).map(*common, list(range(LARGE)))
        top = _step(link, "top")(folder, seconds, 0)
        sides = [_step(link, name)(folder, seconds, top) for name in ("left", "right")]
        bottom = _step(total, "bottom")(folder, seconds, [*sides, 2])
        whole = [
            chain,
            _step(total, "sum of squares")(folder, seconds, doubled),
            _step(total, "sum of members")(folder, seconds, members),
            _step(total, "sum of flaky")(folder, seconds, again),
            _step(length)(folder, seconds, parts),
            bottom,
            inner(folder=folder, seconds=seconds),
        ]
        _step(report)(folder, seconds, whole)
    return made


flow = make_flow()
