"""One round: a random flow is run, crashes, is resumed, crashes again, and comes to what it would have come to."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from headrace.engine.resumed_runs import prepare_resume
from headrace.exceptions import HeadraceError, describe
from headrace.history.sealing import Sealer, project_key
from headrace.project import make_private, project_folder
from headrace.testing.clocks import VirtualClock
from headrace.testing.simulation.checks import Observer
from headrace.testing.simulation.lives import Life
from headrace.testing.simulation.memory import MemoryHistory
from headrace.testing.simulation.scripts import is_free, make_script
from headrace.testing.simulation.tasks import WORLD, World, build, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.engine import Engine
    from headrace.states import State
    from headrace.testing.simulation.lives import History
    from headrace.testing.simulation.scripts import Script

__all__ = ["Round", "play"]


@dataclass
class Round:
    """What came of one round: ``broken`` says in words what did not hold."""

    seed: int
    script: Script
    broken: list[str] = field(default_factory=list)
    lives: int = 0
    crashes: int = 0
    power_cuts: int = 0
    lost_completions: int = 0
    chains: int = 0
    calls: int = 0


def play(
    seed: int,
    engine: Engine,
    *,
    tasks: int | None = None,
    make_history: Callable[[Random], History] = MemoryHistory,
    prepare: Callable[..., Any] = prepare_resume,
) -> Round:
    """Play the round of ``seed``, with no more than so many ``tasks`` of its flow, in the current folder's project."""
    script = make_script(Random(seed))[:tasks]  # noqa: S311 - it is to be repeatable
    played = Round(seed, script)
    random = Random(f"{seed} lives")  # noqa: S311 - as above
    world = World(script)
    history = make_history(random)
    losing = random.choice([0.0, 0.0, 0.15])
    reference = _reference(script, engine)
    observer = Observer(world, _sealer(), None if losing else _values(reference))
    crashes = random.choice([1, 1, 2, 3, 5])
    for number in range(crashes + 1):
        world.life = number
        life = Life(history, world, engine, random, prepare)
        if number < crashes:
            life.crash_at, life.losing = random.randint(1, 10 + 14 * len(script)), losing
        _live(life, played)
        with _opened(history) as store:
            store.sweep()
            played.broken += observer.look(store, life, power_lost=history.lost_power)
        played.power_cuts += history.lost_power
        history.lost_power = False
        if played.broken:
            break
        if number == crashes:
            played.broken += _compared(life, reference)
    played.calls = len(world.begun)
    return played


@contextmanager
def _opened(history: History) -> Iterator[Any]:
    store = history.open()
    try:
        yield store
    finally:
        store.close()


def _live(life: Life, played: Round) -> None:
    with _opened(life.history) as store:
        store.sweep()
        origin = next((run.id for run in store.runs()), None)
    try:
        life.live(origin)
    except HeadraceError as error:
        played.broken.append(f"life {life.world.life}: {describe(error)}")
    played.lives += 1
    played.crashes += life.dead
    played.lost_completions += life.lost
    played.chains += life.chains


def _sealer() -> Sealer:
    folder = project_folder() / "history"
    make_private(folder)
    return Sealer(project_key(folder))


def _reference(script: Script, engine: Engine) -> list[State]:
    """Return what the flow comes to if nothing happens to it."""
    flow, tasks = build(script)
    engine.clock = VirtualClock()
    final = flow.run(executor="local", engine=engine, context={WORLD: World(script)}, record=False)
    return [final.result[task] for task in tasks]


def _values(reference: list[State]) -> Mapping[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    for number, state in enumerate(reference):
        _, value, children = told(state)
        found[number, -1] = value
        for index, child in enumerate(children or ()):
            found[number, index] = child[1]
    return found


def _compared(life: Life, reference: list[State]) -> list[str]:
    if life.ended is None:
        return ["the last life came to no end"]
    pairs = [(told(found), told(wanted)) for found, wanted in zip(life.ended, reference, strict=True)]
    return [
        f"task {number} came to {found}, and should have come to {wanted}"
        for number, (found, wanted) in enumerate(pairs)
        if is_free(life.world.script, number) and not _agree(found, wanted)
    ]


def _agree(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Tell whether two ends are the same, apart from values that were not kept because nobody reads them."""
    (kind, value, children), (other_kind, other_value, other_children) = found, wanted
    if kind != other_kind or len(children or ()) != len(other_children or ()):
        return False
    if children:
        return all(map(_agree, children, other_children))
    return value is None or value == other_value
