"""The floor: the least that a Python loop can do and still be called a scheduler.

A ready deque, dependency counters, three slotted states a task stamped by the clock, the trigger check, a context
variable set and reset, the call in try/except, one event appended. No retries, no mapping, no plugins, no names.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather

_ROWS = 2_000

_current: ContextVar[int] = ContextVar("current", default=-1)


class State:
    __slots__ = ("message", "result", "timestamp")
    successful = False

    def __init__(self, message: str, result: Any = None) -> None:
        self.message = message
        self.result = result
        self.timestamp = time.time()


class Pending(State):
    __slots__ = ()


class Running(State):
    __slots__ = ()


class Success(State):
    __slots__ = ()
    successful = True


class Failed(State):
    __slots__ = ()


class Loop:
    """One run of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.upstreams = graph.upstreams
        self.functions = [graph.function(upstreams) for upstreams in graph.upstreams]
        self.downstreams: list[list[int]] = [[] for _ in graph.upstreams]
        for index, upstreams in enumerate(graph.upstreams):
            for upstream in upstreams:
                self.downstreams[upstream].append(index)
        self.waiting = [len(upstreams) for upstreams in graph.upstreams]
        self.states: list[State] = [Pending("Pending.") for _ in graph.upstreams]
        self.events: list[tuple[int, State]] = []

    def run(self) -> list[State]:
        waiting, downstreams, states, events = self.waiting, self.downstreams, self.states, self.events
        ready = deque(index for index, count in enumerate(waiting) if count == 0)
        while ready:
            index = ready.popleft()
            state = self.run_task(index)
            states[index] = state
            events.append((index, state))
            for downstream in downstreams[index]:
                waiting[downstream] -= 1
                if waiting[downstream] == 0:
                    ready.append(downstream)
        return states

    def run_task(self, index: int) -> State:
        states, upstreams = self.states, self.upstreams[index]
        for upstream in upstreams:
            if not states[upstream].successful:
                return Failed("Trigger failed.")
        token = _current.set(index)
        states[index] = Running("Running.")
        try:
            return Success("Succeeded.", self.call(self.functions[index], upstreams))
        except Exception as error:  # noqa: BLE001 - whatever a task raises becomes its state
            return Failed("Failed.", error)
        finally:
            _current.reset(token)

    def call(self, function: Callable[..., Any], upstreams: tuple[int, ...]) -> Any:
        if not upstreams:
            return function()
        arguments = [self.states[upstream].result for upstream in upstreams]
        return function(arguments) if function is gather else function(*arguments)


class RecordedLoop(Loop):
    """One run whose events go into a table, the beginning of a task and its end."""

    def __init__(self, graph: Graph, history: sqlite3.Connection) -> None:
        super().__init__(graph)
        self.history = history
        self.rows: list[tuple[int, str, float]] = []

    def run(self) -> list[State]:
        states = super().run()
        self.write()
        return states

    def run_task(self, index: int) -> State:
        rows = self.rows
        rows.append((index, "Running", time.time()))
        state = super().run_task(index)
        rows.append((index, type(state).__name__, state.timestamp))
        if len(rows) >= _ROWS:
            self.write()
        return state

    def write(self) -> None:
        with self.history:
            self.history.executemany("INSERT INTO events VALUES (?, ?, ?)", self.rows)
        self.rows.clear()


class Floor(Contender):
    name = "floor"

    def build(self, graph: Graph) -> Graph:
        return graph

    def run(self, built: Graph) -> list[State]:
        return Loop(built).run()

    def values(self, built: Graph, outcome: list[State]) -> Sequence[Any]:
        return [outcome[sink].result for sink in built.sinks]


class RecordedFloor(Floor):
    name = "floor-recorded"

    def run(self, built: Graph) -> list[State]:
        history = sqlite3.connect("events.db")
        try:
            history.execute("CREATE TABLE IF NOT EXISTS events (task INTEGER, state TEXT, at REAL)")
            return RecordedLoop(built, history).run()
        finally:
            history.close()
