"""The lives of one process after the other that drive the same run, each until it crashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from headrace.abc import RunJournal, RunStore
from headrace.engine.runs import RunOptions
from headrace.testing.clocks import VirtualClock
from headrace.testing.simulation.executor import SimulatedExecutor
from headrace.testing.simulation.stepping import standing_before
from headrace.testing.simulation.tasks import WORLD, World, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from headrace.engine import Engine
    from headrace.engine.resumed_runs import Resume
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["Crash", "History", "Life"]


class Crash(BaseException):
    """The process dies."""


class History(Protocol):
    """Where runs are recorded."""

    lost_power: bool

    def open(self) -> Any:
        """Return a store for a new process."""

    def kill(self, journals: Sequence[Any]) -> None:
        """Leave all as it is when the process that has these journals dies."""


@dataclass
class Life:
    """One process, which dies at its step number ``crash_at``; None for one that lives to its end.

    ``said`` is what the history has acknowledged: task runs that have finished, and their states. ``ended`` is what the
    run came to, by task, and ``executor`` what ran it.
    """

    history: History
    world: World
    engine: Engine
    random: Random
    prepare: Callable[..., Resume]
    crash_at: int | None = None
    losing: float = 0.0
    steps: int = 0
    dead: bool = False
    said: dict[tuple[int, int], str] = field(default_factory=dict)
    ended: list[State] | None = None
    final: State | None = None
    lost: int = 0
    chains: int = 0
    _journals: list[Any] = field(default_factory=list)

    def live(self, origin: str | None) -> None:
        """Run the flow, or go on with the run ``origin``."""
        flow, tasks = build(self.world.script)
        clock = self.engine.clock = VirtualClock()
        executor = SimulatedExecutor(self.random, clock, self._step, self.losing)
        store = standing_before(RunStore, self.history.open(), self._around)
        options = RunOptions(record=store, context={WORLD: self.world})
        try:
            parameters: dict[str, Any] = {}
            if origin is not None:
                prepared = self.prepare(flow, store, store.run(origin), self.engine)
                options = prepared.options(flow, options)
            self.final = flow.run(parameters, executor=executor, engine=self.engine, options=options)
            self._take_stock(tasks)
        except Crash:
            pass
        finally:
            self.lost, self.chains = executor.lost, executor.chains

    def _take_stock(self, tasks: list[Task]) -> None:
        assert self.final is not None
        self.ended = [self.final.result[task] for task in tasks]

    def _step(self, name: str) -> None:
        del name
        self.steps += 1
        if self.steps == self.crash_at and not self.dead:
            self.dead = True
            self.history.kill(self._journals)
            raise Crash

    def _around(self, name: str, call: Callable[[], Any]) -> Any:
        # What tidies up on the way out is not there any more.
        if self.dead:
            return None
        self._step(f"before {name}")
        result = call()
        if name == "begin":
            self._journals.append(result)
            result = standing_before(RunJournal, _Heard(result, self.said), self._around)
        self._step(f"after {name}")
        return result


class _Heard:
    """A journal that notes what it has acknowledged."""

    def __init__(self, journal: Any, said: dict[tuple[int, int], str]) -> None:
        self._journal = journal
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def finished(self, node: int, map_index: int, attempt: int, state: str, *rest: Any) -> None:
        self._journal.finished(node, map_index, attempt, state, *rest)
        self._said[node, map_index] = state
