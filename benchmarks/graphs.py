"""The graphs that every contender runs: who waits for whom, and the functions that the tasks call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

NAP_SECONDS = 0.05
BURN_SECONDS = 0.2
PAYLOAD_BYTES = 10_000_000
_LAYER_WIDTH = 100
_SMALLEST = 5


def begin() -> int:
    return 1


def advance(value: int) -> int:
    return value + 1


def join(value: int, _other: int) -> int:
    return value + 1


def gather(values: Sequence[int]) -> int:
    return len(values)


def nap() -> int:
    time.sleep(NAP_SECONDS)
    return 1


def burn() -> int:
    """Compute in Python for a while, by the clock that stands still while something else has the core."""
    began = time.thread_time()
    while time.thread_time() - began < BURN_SECONDS:
        sum(range(1_000))
    return 1


def first_payload() -> bytes:
    return bytes([1]) * PAYLOAD_BYTES


def next_payload(value: bytes) -> bytes:
    return bytes([value[0] + 1]) * PAYLOAD_BYTES


def first_array() -> Any:
    numpy = import_module("numpy")

    return numpy.ones(PAYLOAD_BYTES, dtype=numpy.uint8)


def next_array(value: Any) -> Any:
    value = value.copy()
    value[0] += 1
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A graph of tasks in an order in which they can run.

    ``upstreams[i]`` are the tasks whose results task ``i`` takes: none, and it calls ``begin``; one, ``advance``; two,
    ``join``; more, ``gather`` with a list. ``children`` is how many of the tasks are the children of one mapped task,
    for a contender that can map. ``check`` tells whether the results of the ``sinks`` are the right ones.
    """

    name: str
    upstreams: Sequence[tuple[int, ...]]
    sinks: Sequence[int]
    check: Callable[[Sequence[Any]], bool]
    begin: Callable[[], Any] = begin
    advance: Callable[[Any], Any] = advance
    children: int = 0

    def __len__(self) -> int:
        return len(self.upstreams)

    def function(self, upstreams: tuple[int, ...]) -> Callable[..., Any]:
        """Return what a task with these upstream tasks calls."""
        functions: tuple[Callable[..., Any], ...] = (self.begin, self.advance, join, gather)
        return functions[min(len(upstreams), 3)]

    def items(self) -> list[int]:
        """Return what the mapped task is mapped over."""
        return list(range(self.children))


def _results_are(count: int, value: int) -> Callable[[Sequence[Any]], bool]:
    return lambda results: len(results) == count and all(result == value for result in results)


def independent(size: int) -> Graph:
    return Graph(name="independent", upstreams=[()] * size, sinks=range(size), check=_results_are(size, 1))


def chain(size: int) -> Graph:
    upstreams = [(), *((i,) for i in range(size - 1))]
    return Graph(name="chain", upstreams=upstreams, sinks=[size - 1], check=_results_are(1, size))


def fan_out_in(size: int) -> Graph:
    return _fan("fan-out-in", size, children=0)


def mapped(size: int) -> Graph:
    return _fan("map", size, children=size - 2)


def _fan(name: str, size: int, *, children: int) -> Graph:
    width = size - 2
    upstreams = [(), *[(0,)] * width, tuple(range(1, width + 1))]
    return Graph(name=name, upstreams=upstreams, sinks=[size - 1], check=_results_are(1, width), children=children)


def layered(size: int) -> Graph:
    """Return layers of 100 tasks; each takes the results of two neighbours in the layer before."""
    width = min(_LAYER_WIDTH, size // 2)
    upstreams: list[tuple[int, ...]] = [()] * width
    for i in range(width, size - size % width):
        above, column = i - i % width - width, i % width
        upstreams.append((above + column, above + (column + 1) % width))
    count = len(upstreams)
    return Graph(
        name="layered",
        upstreams=upstreams,
        sinks=range(count - width, count),
        check=_results_are(width, count // width),
    )


def sleeps(size: int) -> Graph:
    return Graph(name="sleeps", upstreams=[()] * size, sinks=range(size), check=_results_are(size, 1), begin=nap)


def payloads(size: int) -> Graph:
    """Return a chain that passes ten megabytes from task to task."""

    def check(results: Sequence[bytes]) -> bool:
        return len(results) == 1 and len(results[0]) == PAYLOAD_BYTES and results[0][0] == size

    upstreams = [(), *((i,) for i in range(size - 1))]
    return Graph(
        name="payloads",
        upstreams=upstreams,
        sinks=[size - 1],
        check=check,
        begin=first_payload,
        advance=next_payload,
    )


def burns(size: int) -> Graph:
    return Graph(name="burns", upstreams=[()] * size, sinks=range(size), check=_results_are(size, 1), begin=burn)


def arrays(size: int) -> Graph:
    """Return a chain that passes a NumPy array of ten megabytes from task to task."""

    def check(results: Sequence[Any]) -> bool:
        return len(results) == 1 and results[0].nbytes == PAYLOAD_BYTES and results[0][0] == size

    upstreams = [(), *((i,) for i in range(size - 1))]
    return Graph(
        name="arrays",
        upstreams=upstreams,
        sinks=[size - 1],
        check=check,
        begin=first_array,
        advance=next_array,
    )


def make_graph(shape: str, size: int) -> Graph:
    """Return the graph called ``shape`` with about ``size`` tasks; raise ValueError for a size that is too small."""
    makers = {
        "independent": independent,
        "chain": chain,
        "fan-out-in": fan_out_in,
        "map": mapped,
        "layered": layered,
        "sleeps": sleeps,
        "payloads": payloads,
        "burns": burns,
        "arrays": arrays,
    }
    if size < _SMALLEST:
        raise ValueError(f"A graph of {size} tasks is too small to have a shape; the smallest has {_SMALLEST}.")
    return makers[shape](size)
